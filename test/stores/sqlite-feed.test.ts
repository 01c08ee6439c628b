import { type FSWatcher, rmSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { FeedSink, Namespace } from "../../src/core/store.ts";
import { Database } from "../../src/stores/sqlite/database.ts";
import { openFeed } from "../../src/stores/sqlite/feed.ts";
import { aRegistration, aSession, CONFIG, everything, put } from "../../src/testing/contract/world.ts";
import { until } from "../support/wait.ts";
import { newFolder, openIn } from "./support.ts";

let directory: string;
let database: Database;
let ns: Namespace;
let keys: string[];
let losses: unknown[];
const sink: FeedSink = {
  page: ({ registrations }) => void keys.push(...registrations.map(({ key }) => key)),
  lost: (error) => void losses.push(error),
};
beforeEach(async () => {
  directory = newFolder();
  ns = (await openIn(directory)).namespace("n");
  database = await Database.open(directory); // as in another process: a connection of its own
  onTestFinished(() => database.close());
  await ns.configure(CONFIG);
  keys = [];
  losses = [];
});

/** As where a user has all the watches that the system gives. */
const noWatches = (): FSWatcher => {
  const message = "ENOSPC: System limit for number of file watchers reached";
  throw Object.assign(new Error(message), { code: "ENOSPC" });
};

const writeKey = (key: string, seq: number): Promise<void> =>
  ns.write([put.session(aSession(seq, 1)), put.registration(aRegistration(seq, key, 1))]);

describe("the feed of a SQLite store", () => {
  it.each([
    ["by the bell", []],
    ["where the system has no watch to give", [noWatches]],
  ] as const)("reports what another connection changes, %s", async (_, listen) => {
    await writeKey("before", 1);
    const feed = openFeed(database, "n", everything(), sink, ...listen);
    await feed.ready;
    await writeKey("a", 2);
    await until(() => keys.length === 1);
    await writeKey("b", 3);
    await until(() => keys.length === 2);
    expect([keys, losses]).toEqual([["a", "b"], []]);
    await feed.close();
  });

  it("is lost with the directory, and another finds the new one", async () => {
    await openFeed(database, "n", everything(), sink).ready;
    rmSync(directory, { recursive: true });
    await until(() => losses.length === 1);
    const feed = openFeed(database, "n", everything(), sink);
    await feed.ready;
    await writeKey("again", 1);
    await until(() => keys.length === 1);
    expect(keys).toEqual(["again"]);
    await feed.close();
  });
});
