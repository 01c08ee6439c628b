import { describe, expect, it, onTestFinished } from "vitest";
import type { Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { answered, opened } from "../support/wait.ts";
import { newFolder } from "./support.ts";

/** A presence that is closed at the end of the test. */
async function open(target: string): Promise<Presence> {
  const presence = await opened(target, { periodMs: 2000 });
  onTestFinished(() => presence.close());
  return presence;
}

describe("a drop gives no number a second time", () => {
  it.each([
    ["MongoDB", newDatabase],
    ["SQLite", () => `sqlite:${newFolder()}`],
  ])("so a process that has not noticed it ends nobody else's keys, %s", async (_, newTarget) => {
    const target = newTarget();
    const late = await open(target);
    await late.pinger("x").start();
    await (await open(target)).drop();
    await (await open(target)).pinger("y").start();
    const told: string[] = [];
    const watcher = (await open(target)).watcher();
    watcher.watch("y", ({ alive, cause }) => told.push(`${alive ? "alive" : "dead"} ${cause}`));
    await answered(() => watcher.sync());
    await late.close();
    await answered(() => watcher.sync());
    expect(told).toEqual(["alive initial"]);
  });

  it("even where more sessions were opened than seconds have passed", async () => {
    const target = newDatabase();
    const numbers: (number | undefined)[] = [];
    for (let life = 0; life < 2; life++) {
      let latest: Presence | undefined;
      for (let one = 0; one < 20; one++) {
        latest = await open(target);
        await latest.pinger("k").start();
        numbers.push(latest.session);
      }
      if (life === 0) await latest?.drop();
    }
    expect(numbers).not.toContain(undefined);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
