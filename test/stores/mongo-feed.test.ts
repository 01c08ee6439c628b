import { type Document, MongoClient } from "mongodb";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { isHeartbitError } from "../../src/core/errors.ts";
import { EVERYTHING, select, type Selection } from "../../src/core/selection.ts";
import type { Feed, Namespace, Page, Write } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { needsFeed } from "../support/needs.ts";
import { until } from "../support/wait.ts";
import { startServer } from "../servers/index.ts";
import { type Command, startProxy } from "../servers/proxy.ts";

/** Long: the time limits of calls follow it, and are not what is tested here. */
const PERIOD_MS = 60_000;
const SCALE = { periodMs: PERIOD_MS, retentionSlots: 120 };
const SLOT = 360_000_000;

needsFeed();

let client: MongoClient;
let namespace: Namespace;
beforeEach(async () => {
  client = new MongoClient(newDatabase(), { maxPoolSize: 20 });
  namespace = mongoStore(client.db()).namespace("presence", SCALE);
  await namespace.configure({ version: 2, periodMs: PERIOD_MS, offset: 0, retentionSlots: 120, base: 0 });
});
afterEach(async () => {
  await namespace.close();
  await client.close();
});

interface Heard {
  readonly feed: Feed;
  readonly pages: Page[];
  readonly lost: unknown[];
}

function open(selection: Selection, of = namespace): Heard {
  const pages: Page[] = [];
  const lost: unknown[] = [];
  const feed = of.feed?.(selection, { page: (page) => pages.push(page), lost: (error) => lost.push(error) });
  return feed === undefined ? expect.fail("there is no feed") : { feed, pages, lost };
}

const session = (seq: number): Write => ({
  kind: "session",
  session: { seq, host: "here", pid: 1, opened: Date.now(), slot: SLOT },
});
const registration = (seq: number, pinger: number, key: string): Write => ({
  kind: "registration",
  registration: {
    session: seq,
    pinger,
    start: 1,
    key,
    since: Date.now(),
    slot: SLOT,
    meta: "null",
    revision: 0,
  },
});
const end = (pinger: number, last: number): Write => ({
  kind: "end",
  registration: { session: 1, pinger, start: 1 },
  last,
});
const keysIn = (pages: readonly Page[]): string[] =>
  pages.flatMap(({ registrations }) => registrations.map(({ key }) => key));

describe("a feed", () => {
  it("picks keys and prefixes on the server, whatever is in their names", async () => {
    const names = ["$key", "a.b", "{", "\u{1F600}", "\uFFFF", "pre/$x", "pre/", "pr", "prf"];
    const { feed, pages } = open(select(["$key", "\u{1F600}", { prefix: "pre/" }]));
    await feed.ready;
    await namespace.write([
      session(1),
      ...names.map((key, index) => registration(1, index, key)),
      registration(1, 99, "pre/end"),
    ]);
    await until(() => keysIn(pages).includes("pre/end"));
    expect(keysIn(pages)).toEqual(["$key", "\u{1F600}", "pre/$x", "pre/", "pre/end"]);
  });

  it("reports an update, an end and a kill of selected keys, and of nothing else", async () => {
    await namespace.write([session(1), registration(1, 1, "mine"), registration(1, 2, "other")]);
    const { feed, pages } = open(select(["mine"]));
    await feed.ready;
    await namespace.write([end(2, SLOT), end(1, SLOT + 3)]);
    await namespace.kill("other");
    await namespace.kill("mine");
    const lasts = (): unknown[] =>
      pages.flatMap(({ registrations }) => registrations.map(({ last }) => last));
    await until(() => lasts().includes(0));
    expect(new Set(keysIn(pages))).toEqual(new Set(["mine"]));
    await feed.close();
  });

  it("reports the end of a session that was opened in the same ms, whose stamp stays the same", async () => {
    const { feed, pages } = open(EVERYTHING);
    await feed.ready;
    await namespace.write([session(1)]);
    const records = client.db().collection<{ _id: number; last?: number }>("presence.records");
    await records.updateOne({ _id: 1 }, { $min: { last: 0 } });
    await until(() => pages.some((page) => page.sessions.some(({ last }) => last === 0)));
    await feed.close();
  });

  it("reads only updated records, those that arrive together at once, and of them the selected ones", async () => {
    const asked: Command[] = [];
    const proxy = await startProxy({ uri: newDatabase(), onCommand: (command) => void asked.push(command) });
    onTestFinished(() => proxy.stop());
    const proxied = await openMongo(proxy.uri);
    onTestFinished(() => proxied.close());
    const target = proxied.namespace("presence", SCALE);
    const { feed, pages } = open(select(["mine 7", "last"]), target);
    await feed.ready;
    const watching = asked.find(({ isFeed, name }) => isFeed && name === "aggregate");
    expect(JSON.stringify(watching?.body["pipeline"])).not.toContain("updateLookup");
    const readByFeed = (): Command[] =>
      asked.filter(({ name, collection }) => name === "find" && collection === "presence.records");

    const pingers = Array.from({ length: 200 }, (_, pinger) => pinger);
    await target.write([session(1), ...pingers.map((pinger) => registration(1, pinger, `mine ${pinger}`))]);
    await until(() => keysIn(pages).includes("mine 7"));
    expect(readByFeed()).toEqual([]);

    await target.write([...pingers.map((pinger) => end(pinger, SLOT + 1)), registration(1, 200, "last")]);
    await until(() => keysIn(pages).includes("last"));
    // Records of one page are in no order.
    expect(keysIn(pages).toSorted()).toEqual(["last", "mine 7", "mine 7"]);
    const ids = readByFeed().flatMap(({ body }) => (body["filter"] as Document)["_id"].$in as string[]);
    expect(ids.toSorted()).toEqual(pingers.map((pinger) => `1.${pinger}.1`).toSorted());
    expect(readByFeed().length).toBeLessThan(pingers.length);
    expect(JSON.stringify(readByFeed().map(({ body }) => body["filter"]))).toContain('"mine 7"');
  });

  it("of more names than a command holds is a feed of everything", async () => {
    const keys = Array.from({ length: 2000 }, (_, index) => `${"k".repeat(100)}${index}`);
    const { feed, pages } = open(select(keys));
    await feed.ready;
    await namespace.write([session(1), registration(1, 1, keys[7] ?? "")]);
    await until(() => keysIn(pages).includes(keys[7] ?? ""));
  });

  it("reports an older session together with its first registration, once", async () => {
    await namespace.write([session(5)]);
    const { feed, pages } = open(EVERYTHING);
    await feed.ready;
    await namespace.write([registration(5, 1, "first")]);
    await namespace.write([registration(5, 2, "second")]);
    await until(() => keysIn(pages).length === 2);
    expect(pages.flatMap(({ sessions }) => sessions.map(({ seq }) => seq))).toEqual([5]);
  });

  it("is lost when the namespace is dropped, once", async () => {
    const { feed, lost } = open(EVERYTHING);
    await feed.ready;
    await namespace.drop();
    await until(() => lost.length > 0);
    await feed.close();
    expect(lost).toHaveLength(1);
    expect(isHeartbitError(lost[0])).toBe(true);
  });

  it("is not lost when it is closed, at any time", async () => {
    const early = open(EVERYTHING);
    await early.feed.close();
    const late = open(EVERYTHING);
    await late.feed.ready;
    await late.feed.close();
    await late.feed.close();
    await namespace.write([session(1)]);
    expect([...early.lost, ...late.lost, ...early.pages, ...late.pages]).toEqual([]);
  });

  it("leaves half of the client's connections to others", async () => {
    const opened = Array.from({ length: 11 }, () => open(EVERYTHING));
    const ready = await Promise.allSettled(opened.map(({ feed }) => feed.ready));
    expect(ready.filter(({ status }) => status === "fulfilled")).toHaveLength(10); // of 20 connections
    expect(ready[10]).toMatchObject({ reason: { code: "UNSUPPORTED_SERVER" } });
    await opened[0]?.feed.close();
    await open(EVERYTHING).feed.ready;
  });
});

describe("without a feed", () => {
  it("a server whose change streams have no postBatchResumeToken is polled, or followed by what its events have", async () => {
    let streams = 0;
    const proxy = await startProxy({
      uri: newDatabase(),
      onReply: ({ isFeed, name }, reply) => {
        if (!isFeed) return undefined;
        if (name === "aggregate") streams++;
        const { postBatchResumeToken: _, ...cursor } = reply["cursor"] as Document;
        return { ...reply, cursor };
      },
    });
    onTestFinished(() => proxy.stop());
    const warnings: string[] = [];
    const logger = { warn: (line: string) => void warnings.push(line) };
    const periodMs = 400;
    await using watching = await Presence.open(proxy.uri, { periodMs, pollMs: 100, logger });
    await using holding = await Presence.open(proxy.uri, { periodMs, feed: "poll" });
    const heard: string[] = [];
    watching.watcher().watch({ all: true }, ({ key, alive }) => heard.push(`${key} ${alive}`));
    // The driver gives a stream up if it has no place to resume from; it may have the time of its start.
    await until(() => streams > 0);
    const pinger = holding.pinger("key");
    await pinger.start();
    await until(() => heard.includes("key true"));
    await pinger.kill();
    await until(() => heard.includes("key false"));
    expect(warnings.filter((line) => line.includes("changes are polled for")).length).toBeLessThanOrEqual(1);
  });

  it("on a standalone server it is UNSUPPORTED_SERVER", async () => {
    const server = await startServer({ standalone: true });
    const alone = new MongoClient(newDatabase(server.uri));
    const { feed } = open(EVERYTHING, mongoStore(alone.db()).namespace("presence", SCALE));
    await expect(feed.ready).rejects.toMatchObject({ code: "UNSUPPORTED_SERVER" });
    await feed.close();
    await alone.close();
    await server.stop();
  });
});
