/** What somebody does to the files of a store while processes use it: an outage, which ends by itself. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Presence } from "../../src/index.ts";
import { answered, opened, passes, until } from "../support/wait.ts";
import { Worker } from "../support/workers.ts";

const PERIOD_MS = 400;

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

function spoil(directory: string, way: string): void {
  const name = readdirSync(directory).find((one) => one.startsWith("heartbit-")) ?? "";
  const env = { ...process.env, home: directory, inner: join(directory, name) };
  execFileSync("sh", ["-ec", WAYS[way] ?? ""], { env, stdio: "inherit" });
}

const aliveIn = async (presence: Presence): Promise<string> => {
  const { keys } = await answered(() => presence.list());
  return keys
    .filter(({ alive }) => alive)
    .map(({ key }) => key)
    .toSorted()
    .join();
};

// Most of the time they wait for periods to pass.
describe.concurrent("a store of which something is destroyed in use", () => {
  it.for(Object.keys(WAYS))(
    "%s: it recovers, and no live key is reported dead",
    async (way, { onTestFinished }) => {
      const directory = join(mkdtempSync(join(tmpdir(), "heartbit-removal-")), "store");
      onTestFinished(() => rmSync(join(directory, ".."), { recursive: true, force: true }));
      const target = `sqlite:${directory}`;
      const options = { periodMs: PERIOD_MS };
      await using presence = await opened(target, options);
      const changes: string[] = [];
      const watcher = presence.watcher();
      watcher.watch(
        { all: true },
        ({ key, alive }) => void changes.push(`${key} ${alive ? "alive" : "dead"}`),
      );
      await presence.pinger("a").start();
      const worker = await Worker.start(target, options, "b");
      try {
        await until(() => changes.includes("b alive"));
        await passes(2 * PERIOD_MS);
        spoil(directory, way);
        await using later = await opened(target, options);
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
    },
  );
});
