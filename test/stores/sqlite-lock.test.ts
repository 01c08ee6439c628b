/** A process that is stopped while it has the lock for writing: an outage, until it goes on or ends. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import type { Namespace, StoreNotice, Write } from "../../src/core/store.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { Database } from "../../src/stores/sqlite/database.ts";
import { type Connection, loadDriver } from "../../src/stores/sqlite/driver.ts";
import { SqliteNamespace } from "../../src/stores/sqlite/namespace.ts";
import { openSqlite, type SqliteStore } from "../../src/stores/sqlite/index.ts";
import { answered, opened, passes, until } from "../support/wait.ts";

const CONFIG = { version: 1, periodMs: 1000, offset: 0, retentionSlots: 120, base: 0 };
const WORKER = resolve(import.meta.dirname, "sqlite-worker.mjs");

let directory: string;
let store: SqliteStore;
let ns: Namespace;
let holder: ChildProcess | undefined;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "heartbit-lock-"));
  store = await openSqlite(directory);
  ns = store.namespace("shared");
  await ns.configure(CONFIG);
});
afterEach(async () => {
  holder?.kill("SIGKILL");
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const start = (pinger: number): Write => ({
  kind: "registration",
  registration: {
    session: 1,
    pinger,
    start: 1,
    key: `k${pinger}`,
    since: 1,
    slot: 1,
    meta: "null",
    revision: 0,
  },
});

const meta = (pinger: number, revision: number): Write => ({
  kind: "meta",
  registration: { session: 1, pinger, start: 1 },
  meta: JSON.stringify("m".repeat(8000)),
  revision,
});

/** A process that takes the lock, and is stopped then. */
async function stopHolder(): Promise<ChildProcess> {
  holder = fork(WORKER, [pathToFileURL(inject("built")).href, directory, "hold"], {
    stdio: ["ignore", 2, 2, "ipc"],
  });
  await once(holder, "message");
  holder.kill("SIGSTOP");
  return holder;
}

it("updates in an endless loop hold the lock for a small part of the time", async () => {
  let heldMs = 0;
  const connect = loadDriver();
  const timed = (path: string): Connection => {
    const connection = connect(path);
    let began = 0;
    return {
      exec: (sql) => connection.exec(sql),
      close: () => connection.close(),
      prepare: (sql) => {
        const statement = connection.prepare(sql);
        return {
          all: (...values) => statement.all(...values),
          get: (...values) => statement.get(...values),
          run: (...values) => {
            if (sql === "BEGIN IMMEDIATE") began = performance.now();
            const result = statement.run(...values);
            if (sql === "COMMIT" && began > 0) heldMs += performance.now() - began;
            if (sql === "COMMIT") began = 0;
            return result;
          },
        };
      },
    };
  };
  const database = await Database.open(directory, timed);
  const updating = new SqliteNamespace(database, "shared", systemClock);
  const pingers = Array.from({ length: 20 }, (_, pinger) => pinger);
  await updating.write(pingers.map((pinger) => start(pinger)));
  heldMs = 0;
  const began = performance.now();
  for (let revision = 1; revision <= 20; revision++)
    await updating.write(pingers.map((pinger) => meta(pinger, revision)));
  expect(heldMs / (performance.now() - began)).toBeLessThan(0.2);
  await database.close();
});

describe("a process that is stopped while it has the lock", () => {
  it("refuses writes as STORE_UNAVAILABLE, and names the process; reads continue", async () => {
    const notices: StoreNotice[] = [];
    ns.notices?.((notice) => notices.push(notice));
    const { pid } = await stopHolder();
    await expect(ns.ping(1, 1)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/store\.sqlite cannot be written: .*has held its lock for [\d.]+ s\.$/),
    });
    expect(notices).toMatchObject([{ kind: "lost" }]);
    if (process.platform === "linux")
      expect(notices).toMatchObject([
        { reason: expect.stringMatching(`process ${pid} .*, which is stopped,`) },
      ]);
    expect(await ns.config()).toEqual(CONFIG);
    expect(await ns.pings(0)).toEqual([]);
    // An opening has nothing to write.
    const other = await openSqlite(directory);
    expect(await other.namespace("shared").configure(CONFIG)).toEqual(CONFIG);
    await other.close();
  });

  it.each(["SIGCONT", "SIGKILL"] as const)("is an outage that ends with its %s", async (signal) => {
    const notices: string[] = [];
    ns.notices?.(({ kind }) => notices.push(kind));
    const child = await stopHolder();
    const waiting = answered(() => ns.ping(1, 1));
    await until(() => notices.includes("lost"));
    child.kill(signal);
    if (signal === "SIGCONT") child.send("go on");
    await waiting;
    expect(notices).toEqual(["lost", "found"]);
    expect(await ns.pings(0)).toHaveLength(1);
  });

  it("is what doctor reports", async () => {
    const [free] = (await ns.examine?.(0)) ?? [];
    expect(free).toMatchObject({ check: "lock", level: "ok" });
    await stopHolder();
    const [held] = (await ns.examine?.(0)) ?? [];
    expect(held).toMatchObject({
      check: "lock",
      level: "error",
      found: expect.stringContaining("has held its lock") as string,
    });
  });

  it("makes everybody stale, with the reason, and nobody is reported dead", async () => {
    const periodMs = 1000;
    const target = `sqlite:${directory}`;
    await using first = await opened(target, { periodMs });
    await using second = await opened(target, { periodMs });
    const changes: string[] = [];
    await Promise.all([first.pinger("a").start(), second.pinger("b").start()]);
    first.watcher().watch({ all: true }, ({ key, alive }) => void changes.push(`${key} ${alive}`));
    await until(() => changes.length === 2);
    const reasons: string[] = [];
    first.on("health", ({ reason }) => void (reason !== undefined && reasons.push(reason)));
    await until(() => first.health.state === "healthy");
    const child = await stopHolder();
    await until(() => first.health.state === "stale" && second.health.state === "stale");
    await passes(5 * periodMs);
    const named = `process ${child.pid} `;
    if (process.platform === "linux") await until(() => reasons.some((reason) => reason.includes(named)));
    child.kill("SIGCONT");
    child.send("go on");
    await until(() => first.health.state === "healthy" && second.health.state === "healthy");
    await passes(4 * periodMs);
    expect(changes).toEqual(["a true", "b true"]);
  });
});
