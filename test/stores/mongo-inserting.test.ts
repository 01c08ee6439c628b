/** Many new registrations are inserted, with a stamp that is renewed where it may be too old for readers of changes. */
import type { Document, MongoClientOptions } from "mongodb";
import { expect, it } from "vitest";
import type { Namespace, Write } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { type Command, refusal } from "../servers/proxy.ts";
import { until } from "../support/wait.ts";
import { newClient, newProxy, SLOT } from "./support.ts";

/** Readers of changes go back two periods. A stamp may be one behind. A write has 30 s: the machine may be busy. */
const PERIOD_MS = 12_000;
const LATE_MS = 12_500;

interface Bench {
  readonly namespace: Namespace;
  readonly records: () => Promise<Document[]>;
  /** The names of the commands that write records, since the last call. */
  readonly sent: () => string[];
  /** Called before the server gets a command. */
  onCommand: (command: Command) => Promise<Document | undefined> | Document | undefined;
  onReply: (command: Command, reply: Document) => Promise<Document | void> | Document | undefined;
}

async function bench(options: MongoClientOptions = {}): Promise<Bench> {
  let sent: string[] = [];
  const proxy = await newProxy({
    onCommand: (command) => {
      if (["insert", "update"].includes(command.name)) sent.push(command.name);
      return the.onCommand(command);
    },
    onReply: (command, reply) => the.onReply(command, reply),
  });
  const client = newClient(options, proxy.uri);
  const config = { ...CONFIG, periodMs: PERIOD_MS };
  const namespace = mongoStore(client.db()).namespace("presence", config);
  const the: Bench = {
    namespace,
    records: () =>
      client
        .db()
        .collection("presence.records")
        .find({ key: { $exists: true } })
        .toArray(),
    sent: () => sent.splice(0),
    onCommand: () => undefined,
    onReply: () => undefined,
  };
  await namespace.configure(config);
  await namespace.write([put.session(aSession(1, SLOT))]);
  await namespace.time();
  sent = [];
  return the;
}

const some = (from: number, count: number): Write[] =>
  Array.from({ length: count }, (_, i) =>
    put.newRegistration(aRegistration(1, `k${from + i}`, SLOT, { pinger: from + i })),
  );

it("an inserted document has the fields and types of one that was put", async () => {
  const { namespace, records, sent } = await bench();
  await namespace.write(some(0, 49));
  expect(sent()).toEqual(["update"]);
  await namespace.write(some(49, 50));
  expect(sent()).toEqual(["insert"]);
  const shapes = (await records()).map(({ _id, key, pinger, changed, ...same }) => {
    return JSON.stringify([
      typeof _id,
      typeof key,
      typeof pinger,
      changed instanceof Date,
      Object.entries(same).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]);
  });
  expect(new Set(shapes).size).toBe(1);
});

it("a stamp is renewed where the answer took so long that readers of changes may have passed it", async () => {
  const the = await bench();
  the.onReply = async ({ name }) => {
    if (name === "insert") await new Promise((resolve) => setTimeout(resolve, LATE_MS));
  };
  const before = await the.namespace.time();
  await the.namespace.write(some(0, 300));
  expect(the.sent()).toEqual(["insert", "insert", "update", "update"]);
  for (const { changed } of await the.records())
    expect(Number(changed)).toBeGreaterThanOrEqual(before + LATE_MS);
  // The store is slow, so the next ones are stamped by the server at once.
  await the.namespace.write(some(300, 50));
  expect(the.sent()).toEqual(["update"]);
});

it("a stamp is renewed where the store's clock has stepped forward", async () => {
  const the = await bench();
  const behindMs = 60_000;
  let isBehind = true;
  the.onReply = ({ collection, name }, reply) => {
    if (collection !== "presence.meta" || name !== "findAndModify" || !isBehind) return undefined;
    const { value } = reply as { value: { now: Date } };
    return { ...reply, value: { ...value, now: new Date(value.now.getTime() - behindMs) } };
  };
  const behind = await the.namespace.time();
  const { cursor: since } = await readAll(the.namespace, { select: everything() });
  isBehind = false;
  await the.namespace.write(some(0, 50));
  expect(the.sent()).toContain("update");
  for (const { changed } of await the.records())
    expect(Number(changed)).toBeGreaterThanOrEqual(behind + behindMs);
  expect((await readAll(the.namespace, { select: everything(), since })).registrations.size).toBe(50);
});

it("a stamp is renewed if the sample of the clock that it follows came late, after earlier inserts of the same write", async () => {
  const the = await bench({ maxPoolSize: 3 }); // one insert after the other
  const behindMs = 60_000;
  let inserts = 0;
  the.onReply = async ({ collection, name }, reply) => {
    // The answer to a ping, as if it had been held up, comes while the first insert is under way.
    if (name === "insert" && ++inserts === 1) await the.namespace.ping(SLOT, 1);
    if (collection !== "presence.pings" || name !== "findAndModify") return undefined;
    const { value } = reply as { value: { now: Date } };
    return { ...reply, value: { ...value, now: new Date(value.now.getTime() - behindMs) } };
  };
  const before = await the.namespace.time();
  await the.namespace.write(some(0, 251));
  expect(inserts).toBe(2);
  for (const { changed } of await the.records()) expect(Number(changed)).toBeGreaterThanOrEqual(before);
});

it("a stamp is renewed where the store's clock cannot be read", async () => {
  const the = await bench();
  the.onCommand = ({ collection }) => (collection === "presence.meta" ? refusal(11_600) : undefined);
  await the.namespace.write(some(0, 50));
  expect(the.sent()).toEqual(["insert", "update"]);
});

it.each([
  ["starts, of a client with few connections", 3, 0, 1, put.newRegistration],
  ["puts, of a client with few connections", 3, 0, 1, put.registration],
  ["starts, of three presences on one client", 10, 0, 3, put.newRegistration],
  ["starts, beside as many change streams as there may be", 6, 3, 1, put.newRegistration],
])("a ping has a connection while nobody answers %s", async (_, maxPoolSize, streams, presences, written) => {
  const the = await bench({ maxPoolSize });
  const sink = { page: () => {}, lost: () => {} };
  for (let count = 0; count < streams; count++)
    await the.namespace.feed?.(everything(), sink).ready.catch(() => undefined); // on a server that has them
  let answer: (() => void) | undefined;
  const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
  the.onCommand = ({ name, collection }) =>
    collection === "presence.records" && /insert|update/.test(name) ? held : undefined;
  const end = the.namespace.notices?.(() => {}); // as a presence
  const records = Array.from({ length: 1000 }, (__, i) => aRegistration(1, `k${i}`, SLOT, { pinger: i }));
  const writing: Promise<unknown>[] = [];
  for (let count = 0; count < presences; count++) {
    the.sent();
    writing.push(the.namespace.write(records.map(written)));
    await until(() => the.sent().length > 0);
  }
  await the.namespace.ping(SLOT, 1);
  answer?.();
  await Promise.all(writing);
  end?.();
  await the.namespace.close();
});

it("an insert that is refused for another reason than a duplicate rejects", async () => {
  const the = await bench();
  the.onCommand = ({ name }) => (name === "insert" ? refusal(13) : undefined);
  await expect(the.namespace.write(some(0, 50))).rejects.toMatchObject({ code: "NOT_PERMITTED" });
  const writeErrors = [{ index: 3, code: 112, errmsg: "WriteConflict" }];
  the.onCommand = ({ name }) => (name === "insert" ? { ok: 1, n: 49, writeErrors } : undefined);
  await expect(the.namespace.write(some(0, 50))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});
