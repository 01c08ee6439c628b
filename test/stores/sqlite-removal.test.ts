/** What somebody does to the files of a store while processes use it: an outage, which ends by itself. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { passes, until } from "../support/wait.ts";
import { Worker } from "../support/workers.ts";

const PERIOD_MS = 400;

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "heartbit-removal-")), "store");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

/** What a shell does. Not this process: it would lose its locks by closing a file that it has opened a second time. */
const WAYS: Readonly<Record<string, string>> = {
  "the directory removed": 'rm -rf "$home"',
  "the inner directory removed": 'rm -rf "$inner"',
  "the database removed": 'rm "$inner/store.sqlite"',
  "all files removed": 'rm -rf "$inner"/*',
  "-shm removed": 'rm "$inner/store.sqlite-shm"',
  "-wal removed": 'rm "$inner/store.sqlite-wal"',
  "the database overwritten": 'head -c 65536 /dev/urandom > "$inner/store.sqlite"',
};

function spoil(way: string): void {
  const name = readdirSync(directory).find((one) => one.startsWith("heartbit-")) ?? "";
  const env = { ...process.env, home: directory, inner: join(directory, name) };
  execFileSync("sh", ["-ec", WAYS[way] ?? ""], { env, stdio: "inherit" });
}

const aliveIn = async (presence: Presence): Promise<string> => {
  const { keys } = await presence.list();
  return keys
    .filter(({ alive }) => alive)
    .map(({ key }) => key)
    .toSorted()
    .join();
};

describe("a store of which something is destroyed in use", () => {
  it.each(Object.keys(WAYS))("%s: it recovers, and no live key is reported dead", async (way) => {
    const target = `sqlite:${directory}`;
    const options = { periodMs: PERIOD_MS };
    await using presence = await Presence.open(target, options);
    const changes: string[] = [];
    const watcher = presence.watcher();
    watcher.watch({ all: true }, ({ key, alive }) => void changes.push(`${key} ${alive ? "alive" : "dead"}`));
    await presence.pinger("a").start();
    const worker = await Worker.start(target, options, "b");
    try {
      await until(() => changes.includes("b alive"));
      await passes(2 * PERIOD_MS);
      spoil(way);
      await using later = await Presence.open(target, options);
      await later.pinger("c").start();
      await until(async () => (await aliveIn(later)) === "a,b,c");
      await until(async () => (await aliveIn(presence)) === "a,b,c");
      await until(() => changes.includes("c alive"));
      await until(() => presence.health.state === "healthy");
      await passes(4 * PERIOD_MS);
      expect(changes.filter((change) => change.endsWith("dead"))).toEqual([]);
      // And the dead are found again.
      await worker.crash();
      await until(() => changes.includes("b dead"));
    } finally {
      await worker.crash();
    }
  });
});
