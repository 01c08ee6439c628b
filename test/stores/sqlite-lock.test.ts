/** A process that is stopped while it has the lock for writing: an outage, until it goes on or ends. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, inject, it, onTestFinished } from "vitest";
import type { Namespace, StoreNotice } from "../../src/core/store.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { Database } from "../../src/stores/sqlite/database.ts";
import { type Connection, loadDriver } from "../../src/stores/sqlite/driver.ts";
import { SqliteNamespace } from "../../src/stores/sqlite/namespace.ts";
import { aRegistration, CONFIG, put } from "../../src/testing/contract/world.ts";
import { answered, opened, passes, until } from "../support/wait.ts";
import { failure, newFolder, openIn } from "./support.ts";

const WORKER = resolve(import.meta.dirname, "sqlite-worker.mjs");
const isLinux = process.platform === "linux";

let directory: string;
let ns: Namespace;
let notices: StoreNotice[];
beforeEach(async () => {
  directory = newFolder();
  ns = (await openIn(directory)).namespace("shared");
  await ns.configure(CONFIG);
  notices = [];
  ns.notices?.((notice) => notices.push(notice));
});

/** A process that takes the lock, and is stopped then. */
async function stopHolder(): Promise<ChildProcess> {
  const args = [pathToFileURL(inject("built")).href, directory, "hold"];
  const holder = fork(WORKER, args, { stdio: ["ignore", 2, 2, "ipc"] });
  onTestFinished(() => void holder.kill("SIGKILL"));
  await once(holder, "message");
  holder.kill("SIGSTOP");
  return holder;
}

it("updates in an endless loop hold the lock for a small part of the time", async () => {
  let heldMs = 0;
  let began = 0;
  const connect = loadDriver();
  const timed = (path: string): Connection => {
    const connection = connect(path);
    return {
      exec: (sql) => connection.exec(sql),
      close: () => connection.close(),
      prepare: (sql) => {
        const statement = connection.prepare(sql);
        const run: typeof statement.run = (...values) => {
          if (sql === "BEGIN IMMEDIATE") began = performance.now();
          const result = statement.run(...values);
          if (sql === "COMMIT" && began > 0) heldMs += performance.now() - began;
          if (sql === "COMMIT") began = 0;
          return result;
        };
        return { run, all: statement.all.bind(statement), get: statement.get.bind(statement) };
      },
    };
  };
  const database = await Database.open(directory, timed);
  const updating = new SqliteNamespace(database, "shared", systemClock);
  const registrations = Array.from({ length: 20 }, (_, pinger) => aRegistration(1, "k", 1, { pinger }));
  await updating.write(registrations.map(put.registration));
  const meta = JSON.stringify("m".repeat(8000));
  heldMs = 0;
  const start = performance.now();
  for (let revision = 1; revision <= 20; revision++)
    await updating.write(registrations.map((registration) => put.meta(registration, meta, revision)));
  expect(heldMs / (performance.now() - start)).toBeLessThan(0.2);
  await database.close();
});

describe("a process that is stopped while it has the lock", () => {
  it("refuses writes as STORE_UNAVAILABLE, and names the process; reads continue", async () => {
    const { pid } = await stopHolder();
    expect(await failure(ns.ping(1, 1))).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/store\.sqlite cannot be written: .*has held its lock for [\d.]+ s\.$/),
    });
    const reason = isLinux ? `process ${pid} .*, which is stopped,` : "";
    expect(notices).toMatchObject([{ kind: "lost", reason: expect.stringMatching(reason) as string }]);
    expect(await ns.config()).toEqual(CONFIG);
    expect(await ns.pings(0)).toEqual([]);
    // An opening has nothing to write.
    expect(await (await openIn(directory)).namespace("shared").configure(CONFIG)).toEqual(CONFIG);
  });

  it.each(["SIGCONT", "SIGKILL"] as const)("is an outage that ends with its %s", async (signal) => {
    const child = await stopHolder();
    const waiting = answered(() => ns.ping(1, 1));
    await until(() => notices.length > 0);
    child.kill(signal);
    if (signal === "SIGCONT") child.send("go on");
    await waiting;
    expect(notices.map(({ kind }) => kind)).toEqual(["lost", "found"]);
    expect(await ns.pings(0)).toHaveLength(1);
  });

  it("is what doctor reports", async () => {
    expect(await ns.examine?.(0)).toMatchObject([{ check: "lock", level: "ok" }, {}]);
    await stopHolder();
    const found: unknown = expect.stringContaining("has held its lock");
    expect((await ns.examine?.(0))?.[0]).toMatchObject({ check: "lock", level: "error", found });
  });

  it("makes everybody stale, with the reason, and nobody is reported dead", async () => {
    const periodMs = 1000;
    const target = `sqlite:${directory}`;
    await using first = await opened(target, { periodMs });
    await using second = await opened(target, { periodMs });
    const areBoth = (state: string): Promise<void> =>
      until(() => first.health.state === state && second.health.state === state);
    const changes: string[] = [];
    await Promise.all([first.pinger("a").start(), second.pinger("b").start()]);
    first.watcher().watch({ all: true }, ({ key, alive }) => void changes.push(`${key} ${alive}`));
    await until(() => changes.length === 2);
    const reasons: string[] = [];
    first.on("health", ({ reason = "" }) => void reasons.push(reason));
    await areBoth("healthy");
    const child = await stopHolder();
    await areBoth("stale");
    await passes(5 * periodMs);
    const named = `process ${child.pid} `;
    if (isLinux) await until(() => reasons.some((reason) => reason.includes(named)));
    child.kill("SIGCONT");
    child.send("go on");
    await areBoth("healthy");
    await passes(4 * periodMs);
    expect(changes).toEqual(["a true", "b true"]);
  });
});
