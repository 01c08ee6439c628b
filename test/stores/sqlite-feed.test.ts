import type { FSWatcher } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Namespace } from "../../src/core/store.ts";
import { Database } from "../../src/stores/sqlite/database.ts";
import { openFeed } from "../../src/stores/sqlite/feed.ts";
import { openSqlite, type SqliteStore } from "../../src/stores/sqlite/index.ts";
import { until } from "../support/wait.ts";

let directory: string;
let store: SqliteStore;
let database: Database;
let ns: Namespace;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "heartbit-feed-"));
  store = await openSqlite(directory);
  database = await Database.open(directory); // as in another process: a connection of its own
  ns = store.namespace("n");
  await ns.configure({ version: 1, periodMs: 1000, offset: 0, retentionSlots: 120, base: 0 });
});
afterEach(async () => {
  await Promise.all([store.close(), database.close()]);
  rmSync(directory, { recursive: true, force: true });
});

/** As where a user has all the watches that the system gives. */
const noWatches = (): FSWatcher => {
  throw Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), {
    code: "ENOSPC",
  });
};

const writeKey = (key: string, seq: number): Promise<void> =>
  ns.write([
    { kind: "session", session: { seq, host: "h", pid: 1, opened: 0, slot: 1 } },
    {
      kind: "registration",
      registration: { session: seq, pinger: 1, start: 1, key, since: 0, slot: 1, meta: "{}", revision: 0 },
    },
  ]);

describe("the feed of a SQLite store", () => {
  it.each([
    ["by the bell", undefined],
    ["where the system has no watch to give", noWatches],
  ])("reports what another connection changes, %s", async (_, listen) => {
    const keys: string[] = [];
    const sink = {
      page: ({ registrations }: { registrations: readonly { key: string }[] }) =>
        void keys.push(...registrations.map(({ key }) => key)),
      lost: (error: unknown) => void keys.push(String(error)),
    };
    await writeKey("before", 1);
    const feed = openFeed(database, "n", EVERYTHING, sink, ...(listen === undefined ? [] : [listen]));
    await feed.ready;
    await writeKey("a", 2);
    await until(() => keys.length === 1);
    await writeKey("b", 3);
    await until(() => keys.length === 2);
    expect(keys).toEqual(["a", "b"]);
    await feed.close();
  });

  it("is lost with the directory, and another finds the new one", async () => {
    const losses: unknown[] = [];
    const keys: string[] = [];
    const sink = {
      page: ({ registrations }: { registrations: readonly { key: string }[] }) =>
        void keys.push(...registrations.map(({ key }) => key)),
      lost: (error: unknown) => void losses.push(error),
    };
    await openFeed(database, "n", EVERYTHING, sink).ready;
    rmSync(directory, { recursive: true });
    await until(() => losses.length === 1);
    const feed = openFeed(database, "n", EVERYTHING, sink);
    await feed.ready;
    await writeKey("again", 1);
    await until(() => keys.length === 1);
    expect(keys).toEqual(["again"]);
    await feed.close();
  });
});
