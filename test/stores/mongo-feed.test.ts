import type { Document, MongoClient } from "mongodb";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { isHeartbitError } from "../../src/core/errors.ts";
import type { Selection } from "../../src/core/selection.ts";
import type { Namespace } from "../../src/core/store.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { aRegistration, aSession, CONFIG, everything, only, put } from "../../src/testing/contract/world.ts";
import { type Command, refusal } from "../servers/proxy.ts";
import { needsFeed } from "../support/needs.ts";
import { opened, until } from "../support/wait.ts";
import { Heard, newClient, newProxy, SLOT } from "./support.ts";

needsFeed();

let client: MongoClient;
let namespace: Namespace;
beforeEach(async () => {
  client = newClient({ maxPoolSize: 20 });
  namespace = mongoStore(client.db()).namespace("presence", CONFIG);
  onTestFinished(() => namespace.close());
  await namespace.configure(CONFIG);
});

/** A feed that is ready. */
async function listen(selection: Selection, of = namespace): Promise<Heard> {
  const heard = new Heard(of, selection);
  await heard.feed.ready;
  return heard;
}

const session = (seq: number) => put.session(aSession(seq, SLOT));
const registration = (seq: number, pinger: number, key: string) =>
  put.registration(aRegistration(seq, key, SLOT, { pinger }));

describe("a feed", () => {
  it("picks keys and prefixes on the server, whatever is in their names", async () => {
    const names = ["$key", "a.b", "{", "\u{1F600}", "\uFFFF", "pre/$x", "pre/", "pr", "prf", "pre/end"];
    const heard = await listen(only("$key", "\u{1F600}", { prefix: "pre/" }));
    await namespace.write([session(1), ...names.map((key, index) => registration(1, index, key))]);
    await until(() => heard.keys.includes("pre/end"));
    expect(heard.keys).toEqual(["$key", "\u{1F600}", "pre/$x", "pre/", "pre/end"]);
  });

  it("reports the end of a session that was opened in the same ms, whose stamp stays the same", async () => {
    const { pages } = await listen(everything());
    await namespace.write([session(1)]);
    const records = client.db().collection<{ _id: number; last?: number }>("presence.records");
    await records.updateOne({ _id: 1 }, { $min: { last: 0 } });
    await until(() => pages.some((page) => page.sessions.some(({ last }) => last === 0)));
  });

  it("reads only updated records, those that arrive together at once, and of them the selected ones", async () => {
    const asked: Command[] = [];
    const proxy = await newProxy({ onCommand: (command) => void asked.push(command) });
    const proxied = await openMongo(proxy.uri);
    onTestFinished(() => proxied.close());
    const target = proxied.namespace("presence", CONFIG);
    const heard = await listen(only("mine 7", "last"), target);
    const watching = asked.find(({ isFeed, name }) => isFeed && name === "aggregate");
    expect(JSON.stringify(watching?.body["pipeline"])).not.toContain("updateLookup");
    const readByFeed = (): Document[] =>
      asked
        .filter(({ name, collection }) => name === "find" && collection === "presence.records")
        .map(({ body }) => body["filter"] as Document);

    const pingers = Array.from({ length: 200 }, (_, pinger) => pinger);
    await target.write([session(1), ...pingers.map((pinger) => registration(1, pinger, `mine ${pinger}`))]);
    await until(() => heard.keys.includes("mine 7"));
    expect(readByFeed()).toEqual([]);

    const ends = pingers.map((pinger) => put.end({ session: 1, pinger, start: 1 }, SLOT + 1));
    await target.write([...ends, registration(1, 200, "last")]);
    await until(() => heard.keys.includes("last"));
    // Records of one page are in no order.
    expect(heard.keys.toSorted()).toEqual(["last", "mine 7", "mine 7"]);
    const ids = readByFeed().flatMap(({ _id: id }) => id.$in as string[]);
    expect(ids.toSorted()).toEqual(pingers.map((pinger) => `1.${pinger}.1`).toSorted());
    expect(readByFeed().length).toBeLessThan(pingers.length);
    expect(JSON.stringify(readByFeed())).toContain('"mine 7"');
  });

  it("of more names than a command holds is a feed of everything", async () => {
    const names = Array.from({ length: 2000 }, (_, index) => `${"k".repeat(100)}${index}`);
    const heard = await listen(only(...names));
    await namespace.write([session(1), registration(1, 1, names[7] ?? "")]);
    await until(() => heard.keys.includes(names[7] ?? ""));
  });

  it("is lost when the namespace is dropped, once", async () => {
    const { feed, lost } = await listen(everything());
    await namespace.drop();
    await until(() => lost.length > 0);
    await feed.close();
    expect(lost).toHaveLength(1);
    expect(isHeartbitError(lost[0])).toBe(true);
  });

  it("is lost when the server loses each of its cursors, which the driver resumes at once and for ever", async () => {
    let resumed = 0;
    const proxy = await newProxy({
      onCommand: ({ isFeed, name }) => {
        if (isFeed && name === "aggregate") resumed++;
        return isFeed && name === "getMore" ? refusal(43) : undefined;
      },
    });
    const proxied = await openMongo(proxy.uri);
    onTestFinished(() => proxied.close());
    const { lost } = await listen(everything(), proxied.namespace("presence", CONFIG));
    await until(() => lost.length > 0);
    expect(resumed).toBeLessThan(10);
  });

  it("is not lost when it is closed before it is ready", async () => {
    const early = new Heard(namespace, everything());
    await early.feed.close();
    const later = await listen(everything());
    await namespace.write([session(1)]);
    await until(() => later.sessions.length > 0);
    expect([...early.lost, ...early.pages]).toEqual([]);
  });

  it("leaves half of the client's connections to others", async () => {
    const feeds = Array.from({ length: 11 }, () => new Heard(namespace, everything()).feed);
    const ready = await Promise.allSettled(feeds.map((feed) => feed.ready));
    expect(ready.filter(({ status }) => status === "fulfilled")).toHaveLength(10); // of 20 connections
    const message: unknown = expect.stringContaining("maxPoolSize is 20");
    expect(ready[10]).toMatchObject({ reason: { code: "UNSUPPORTED_SERVER", message } }); // polled, then
    await feeds[0]?.close();
    await listen(everything());
  });
});

it("a server whose change streams have no postBatchResumeToken is polled, or followed by what its events have", async () => {
  let streams = 0;
  const proxy = await newProxy({
    onReply: ({ isFeed, name }, reply) => {
      if (!isFeed) return undefined;
      if (name === "aggregate") streams++;
      const { postBatchResumeToken: _, ...cursor } = reply["cursor"] as Document;
      return { ...reply, cursor };
    },
  });
  const warnings: string[] = [];
  const logger = { warn: (line: string) => void warnings.push(line) };
  const periodMs = 400;
  await using watching = await opened(proxy.uri, { periodMs, pollMs: 100, logger });
  await using holding = await opened(proxy.uri, { periodMs, feed: "poll" });
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
