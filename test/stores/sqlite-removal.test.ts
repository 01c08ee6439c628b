/** What somebody does to the files of a store while processes use it: an outage, which ends by itself. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Presence } from "../../src/index.ts";
import { answered, opened, passes, until } from "../support/wait.ts";
import { Worker } from "../support/workers.ts";

const options = { periodMs: 400 };

/** Not done by this process: it would lose its locks by closing a file that it has opened a second time. */
function runInShell(script: string, home: string): void {
  const name = readdirSync(home).find((one) => one.startsWith("heartbit-")) ?? "";
  const env = { ...process.env, home, inner: join(home, name) };
  execFileSync("sh", ["-ec", script], { env, stdio: "inherit" });
}

async function living(presence: Presence): Promise<string> {
  const { keys } = await answered(() => presence.list());
  return keys.flatMap(({ key, alive }) => (alive ? key : [])).join();
}

// Most of the time they wait for periods to pass.
describe.concurrent("a store of which something is destroyed in use", () => {
  it.for([
    ["the directory removed", 'rm -rf "$home"'],
    ["the inner directory removed", 'rm -rf "$inner"'],
    ["the database removed", 'rm "$inner/store.sqlite"'],
    ["all files removed", 'rm -rf "$inner"/*'],
    ["-shm removed", 'rm "$inner/store.sqlite-shm"'],
    ["-wal removed", 'rm "$inner/store.sqlite-wal"'],
    ["the database overwritten", 'head -c 65536 /dev/urandom > "$inner/store.sqlite"'],
  ] as const)("%s: it recovers, and no live key is reported dead", async ([, script], { onTestFinished }) => {
    const parent = mkdtempSync(join(tmpdir(), "heartbit-removal-"));
    onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
    const directory = join(parent, "store");
    const target = `sqlite:${directory}`;
    await using presence = await opened(target, options);
    const changes: string[] = [];
    presence.watcher().watch({ all: true }, ({ key, alive }) => {
      changes.push(`${key} ${alive ? "alive" : "dead"}`);
    });
    await presence.pinger("a").start();
    const worker = await Worker.start(target, options, "b");
    try {
      await until(() => changes.includes("b alive"));
      await passes(2 * options.periodMs);
      runInShell(script, directory);
      await using later = await opened(target, options);
      await later.pinger("c").start();
      for (const one of [later, presence]) await until(async () => (await living(one)) === "a,b,c");
      await until(() => changes.includes("c alive"));
      await until(() => presence.health.state === "healthy");
      await passes(4 * options.periodMs);
      expect(changes.filter((change) => change.endsWith("dead"))).toEqual([]);
      // And the dead are found again.
      await worker.crash();
      await until(() => changes.includes("b dead"));
    } finally {
      await worker.crash();
    }
  });
});
