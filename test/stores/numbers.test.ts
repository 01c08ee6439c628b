import { expect, it, onTestFinished } from "vitest";
import { newDatabase } from "../servers/database.ts";
import { opened } from "../support/wait.ts";
import { newFolder } from "./support.ts";

it.each([
  ["MongoDB", newDatabase],
  ["SQLite", () => `sqlite:${newFolder()}`],
])(
  "a drop gives no number a second time, even where more sessions were opened than seconds have passed: %s",
  async (_, newTarget) => {
    const target = newTarget();
    const numbers: (number | undefined)[] = [];
    for (let one = 1; one <= 40; one++) {
      const presence = await opened(target, { periodMs: 2000 });
      onTestFinished(() => presence.close());
      await presence.pinger("k").start();
      numbers.push(presence.session);
      if (one === 20) await presence.drop();
    }
    expect(numbers).not.toContain(undefined);
    expect(new Set(numbers).size).toBe(numbers.length);
  },
);
