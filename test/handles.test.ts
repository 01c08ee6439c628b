/** A program that has closed what it opened ends by itself, whatever happened before. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { newDatabase } from "./servers/database.ts";

/**
 * Runs a program, in which `Presence` is imported and `target` is given. Resolves with all that it has printed when it
 * has ended; rejects if its exit status is not 0.
 */
async function run(target: string, body: string): Promise<string> {
  const head = `import { Presence } from ${JSON.stringify(`${inject("built")}/index.js`)}; const target = process.argv[1];`;
  const options = ["--input-type=module", "--unhandled-rejections=strict", "-e", head + body, target];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, options);
  return stdout + stderr;
}

const stores = [
  { name: "memory", make: async () => "memory:handles" },
  { name: "SQLite", make: async () => `sqlite:${await mkdtemp(join(tmpdir(), "heartbit-handles-"))}` },
  { name: "MongoDB", make: async () => newDatabase() },
];

describe.each(stores)("on $name, a program ends by itself, and prints nothing of heartbit's", ({ make }) => {
  it.each([
    ["that held and watched, and closed", "await presence.close();"],
    ["whose close was not awaited", "void presence.close();"],
    ["that dropped the namespace, and closed", "await presence.drop(); await presence.close();"],
    ["that aborted its signal", "abort.abort();"],
  ])("%s", async (_, end) => {
    const target = await make();
    const output = await run(
      target,
      `const abort = new AbortController();
      const presence = await Presence.open(target, { periodMs: 1000, signal: abort.signal });
      const watcher = presence.watcher();
      watcher.watch({ all: true }, () => {});
      void watcher.changes("k").next();
      await presence.pinger("k").start();
      await watcher.sync();
      ${end}`,
    );
    if (target.startsWith("sqlite:")) await rm(target.slice(7), { recursive: true, force: true });
    expect(output).toBe("");
  });
});

it("a program that closes while its store does not answer ends with the closing", async () => {
  const output = await run(
    "",
    `const { FaultyStore, MemoryStore } = await import(${JSON.stringify(`${inject("built")}/testing/index.js`)});
    const store = new FaultyStore(new MemoryStore());
    const presence = await Presence.open(store, { periodMs: 100 });
    const watcher = presence.watcher();
    watcher.watch("k", () => {});
    await presence.pinger("k").start();
    await watcher.sync();
    store.pause();
    const asked = Promise.allSettled([presence.list(), watcher.sync(), presence.pinger("late").start()]);
    await presence.close();
    setTimeout(() => console.log("something keeps it alive"), 500).unref();
    for (const { reason } of await asked) console.log(reason.code);`,
  );
  expect(output.split("\n")).toEqual(["PRESENCE_CLOSED", "WATCHER_STOPPED", "PRESENCE_CLOSED", ""]);
});

describe("a program that could not open ends by itself, with the error that says why", () => {
  it.each([
    ["mongodb://127.0.0.1:1/db", "STORE_UNAVAILABLE"],
    ["mongodb://user:secret@127.0.0.1:1/db?authSource=admin", "STORE_UNAVAILABLE"],
    ["mongodb://user:secret@/db", "INVALID_OPTION"],
    ["mongodb://user:secret@127.0.0.1:99999/db", "INVALID_OPTION"],
    ["mongodb://127.0.0.1:27017/db?nonsense=1", "INVALID_OPTION"],
    ["http://user:secret@127.0.0.1", "INVALID_OPTION"],
  ])("%s: %s", async (target, expected) => {
    const output = await run(
      target,
      `const began = performance.now();
      await import("mongodb"); // first: a busy machine needs seconds to load the driver
      let isInTime = true;
      setTimeout(() => (isInTime = false), 8000 + 2 * (performance.now() - began)).unref();
      const error = await Presence.open(target).catch((error) => error);
      console.log(error.code, error.name, isInTime, error.message, String(error.stack), String(error.cause));`,
    );
    expect(output).toMatch(new RegExp(`^${expected} HeartbitError true `));
    expect(output).not.toContain("secret");
  });
});
