import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { answered, opened } from "../support/wait.ts";

const directory = mkdtempSync(join(tmpdir(), "heartbit-numbers-"));
afterAll(() => rmSync(directory, { recursive: true }));

it.each([
  ["MongoDB", newDatabase],
  ["SQLite", () => `sqlite:${directory}`],
])(
  "a drop gives no number a second time: who has not noticed it ends nobody else's keys, %s",
  async (_name, target) => {
    const uri = target();
    const open = async (): Promise<Presence> => opened(uri, { periodMs: 2000 });
    const [late, a] = [await open(), await open()];
    await late.pinger("x").start();
    await a.drop();
    const b = await open();
    await b.pinger("y").start();
    const told: string[] = [];
    const watching = await open();
    const watcher = watching.watcher();
    watcher.watch("y", ({ alive, cause }) => told.push(`${alive ? "alive" : "dead"} ${cause}`));
    await answered(() => watcher.sync());
    await late.close();
    await answered(() => watcher.sync());
    await Promise.all([b.close(), watching.close()]);
    expect(told).toEqual(["alive initial"]);
  },
);

it("nor does it where more sessions were opened than seconds have passed", async () => {
  const uri = newDatabase();
  const open = async (): Promise<Presence> => opened(uri, { periodMs: 2000 });
  const numbers: number[] = [];
  const presences: Presence[] = [];
  for (let life = 0; life < 2; life++) {
    for (let one = 0; one < 20; one++) {
      const presence = await open();
      presences.push(presence);
      await presence.pinger("k").start();
      numbers.push(presence.session!);
    }
    if (life === 0) await presences.at(-1)!.drop();
  }
  await Promise.all(presences.map((presence) => presence.close()));
  expect(new Set(numbers).size).toBe(numbers.length);
});
