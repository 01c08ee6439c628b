/** Which commands the store sends: how many, how acknowledged, and what they change. */
import { BSON, type CommandStartedEvent, type Document, type MongoClient } from "mongodb";
import { beforeEach, describe, expect, it } from "vitest";
import type { Namespace } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  only,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { refusal } from "../servers/proxy.ts";
import { until } from "../support/wait.ts";
import { failure, fakeServer, newClient, newProxy, SLOT } from "./support.ts";

let client: MongoClient;
let namespace: Namespace;
let sent: Document[];
beforeEach(async () => {
  client = newClient({ monitorCommands: true });
  namespace = mongoStore(client.db()).namespace("presence", CONFIG);
  await namespace.configure(CONFIG);
  await namespace.time();
  sent = [];
  client.on("commandStarted", ({ command }: CommandStartedEvent) => sent.push(command));
});

/** The names of the commands, in their order. */
const names = (): string[] => sent.map((command) => Object.keys(command)[0] ?? "");

const session = put.session(aSession(1, SLOT));
const registration = (pinger: number) =>
  put.registration(aRegistration(1, `k${pinger}`, SLOT, { pinger, meta: "null" }));

it.each([
  [100, 1000],
  [4000, 10_000],
  [60_000, 30_000],
])("a ping of a period of %i ms may take 2.5 periods, 1 s to 30 s: %i ms", async (periodMs, limitMs) => {
  await mongoStore(client.db())
    .namespace("presence", { ...CONFIG, periodMs })
    .ping(SLOT, 40);
  const writeConcern = { w: "majority", wtimeout: limitMs };
  // It is answered with nothing but the stamp and the session's own word of mail.
  expect(sent.at(-1)).toMatchObject({ fields: { _id: 0, now: 1, "mail.1": 1 }, writeConcern });
});

it("a write, even of one key, may wait 2.5 periods for its majority, as a slow majority is no failure", async () => {
  const slow = mongoStore(client.db()).namespace("presence", { ...CONFIG, periodMs: 8000 });
  await slow.write([session]);
  await slow.mail(SLOT, [1]);
  const updates = sent.filter((command) => "update" in command);
  const waited = { w: "majority", wtimeout: 20_000 };
  expect(updates.map(({ writeConcern }) => writeConcern as Document)).toEqual([waited, waited]);
});

it("each page of a read is one answer of the server, so that a caller can wait for each by itself", async () => {
  await namespace.write([session, registration(1)]);
  sent.length = 0;
  const pages = namespace.read({ select: only("k1") })[Symbol.asyncIterator]();
  const [first, second, end] = [await pages.next(), names().length, await pages.next()];
  expect(first.value).toMatchObject({ sessions: [], registrations: [] });
  expect([second, names().length]).toEqual([1, 2]);
  expect(end.value).toMatchObject({ sessions: [{ seq: 1 }], registrations: [{ key: "k1" }] });
  expect((await pages.next()).done).toBe(true);
});

it("reading what has changed is one command: what is selected, all sessions, and the asked session", async () => {
  await namespace.write([session, registration(1)]);
  const { cursor: since } = await readAll(namespace, { select: everything() });
  sent.length = 0;
  const select = only("k1", { prefix: "x" });
  await readAll(namespace, { select, session: 2, registrations: "ended", since });
  expect(names()).toEqual(["find"]);
});

it("open records are counted in one command, from the index alone", async () => {
  await namespace.write([session, registration(1), registration(2)]);
  sent.length = 0;
  expect((await namespace.countOpen(1)).count).toBe(3);
  expect(names()).toEqual(["aggregate"]);
  const explain = { aggregate: "presence.records", pipeline: sent[0]?.["pipeline"], cursor: {} };
  const plan = JSON.stringify(await client.db().command({ explain }));
  expect(plan).toContain('"session_last"');
  expect(plan).not.toContain("COLLSCAN");
});

describe("opening", () => {
  it("makes the indexes of a new namespace, by a majority of its members", async () => {
    await mongoStore(client.db()).namespace("fresh", CONFIG).configure(CONFIG);
    const made = sent.filter((command) => "createIndexes" in command);
    expect(made).toMatchObject([{ commitQuorum: "majority" }, { commitQuorum: "majority" }]);
  });

  it("makes them without naming a majority if the server does not take that, as 4.4 before it is made fully compatible", async () => {
    const proxy = await newProxy({
      onCommand: ({ body }) => ("commitQuorum" in body ? refusal(2) : undefined),
    });
    const own = newClient({}, proxy.uri).db();
    await mongoStore(own).namespace("fresh", CONFIG).configure(CONFIG);
    expect(await own.collection("fresh.records").indexExists(["changed", "key", "ended"])).toBe(true);
    expect(await own.collection("fresh.pings").indexExists("expireAt")).toBe(true);
  });

  it("asks for no index where the config notes that they are there", async () => {
    expect(await mongoStore(client.db()).namespace("presence", CONFIG).configure(CONFIG)).toEqual(CONFIG);
    expect(names()).toEqual(["hello", "find"]);
  });

  it("makes an index that is missing once the config does not note that all are there, and does not wait for it", async () => {
    const meta = client.db().collection<Document & { _id: string }>("presence.meta");
    await meta.updateOne({ _id: "config" }, { $unset: { indexes: "" } });
    await client.db().collection("presence.records").dropIndex("key");
    const admin = client.db("admin");
    const data = { failCommands: ["createIndexes"], blockConnection: true, blockTimeMS: 1000 };
    await admin.command({ configureFailPoint: "failCommand", mode: { times: 2 }, data });
    const done: string[] = [];
    client.on("commandSucceeded", ({ commandName }) => done.push(commandName));
    expect(await mongoStore(client.db()).namespace("presence", CONFIG).configure(CONFIG)).toEqual(CONFIG);
    expect(done).not.toContain("createIndexes");
    await until(async () => (await meta.findOne({ _id: "config" }))?.["indexes"] === 1);
    await admin.command({ configureFailPoint: "failCommand", mode: "off" });
    expect(await client.db().collection("presence.records").indexExists("key")).toBe(true);
  });
});

it("a write that is given up sends nothing further", async () => {
  const controller = new AbortController();
  client.once("commandStarted", () => controller.abort());
  const many = Array.from({ length: 3000 }, (_, pinger) => registration(pinger));
  const error = await failure(namespace.write([session, ...many], controller.signal));
  expect(error.code).toBe("STORE_UNAVAILABLE");
  await namespace.ping(SLOT, 1);
  expect(names()).toEqual(["update", "findAndModify"]);
});

const found = (firstBatch: Document[]): Document => ({
  cursor: { id: BSON.Long.ZERO, ns: "test.x", firstBatch },
});

/** The store on a server that answers as told, and otherwise has a config and nothing else. */
async function storeOn(
  answer: (name: string, command: Document) => Document | undefined,
): Promise<Namespace> {
  const config = { _id: "config", version: 2, period: CONFIG.periodMs, offset: 0, retention: 120, base: 0 };
  const { uri } = await fakeServer((name, command) => {
    const finds = name === "find" ? found(command["find"] === "presence.meta" ? [config] : []) : {};
    return { ...finds, ...answer(name, command) };
  });
  const one = mongoStore(newClient({ directConnection: true }, uri).db()).namespace("presence", CONFIG);
  await one.config();
  return one;
}

it("each page of a read may take the server as long as its limit, however many there are", async () => {
  const LIMIT_MS = CONFIG.periodMs / 2;
  let leftMs = 0; // the server counts its work on all pages of a cursor against `maxTimeMS`
  let pages = 0;
  const one = await storeOn((name, command) => {
    if (name === "findAndModify") return { value: { now: new Date() } };
    if (command["find"] === "presence.records") leftMs = Number(command["maxTimeMS"]);
    else if (name !== "getMore") return undefined;
    leftMs -= LIMIT_MS;
    if (leftMs < 0) return refusal(50);
    const id = BSON.Long.fromNumber(++pages < 200 ? 7 : 0);
    const batch = [{ _id: "not heartbit's" }];
    return { cursor: { id, ns: "test.presence.records", firstBatch: batch, nextBatch: batch } };
  });
  await readAll(one, { select: everything() });
  expect(pages).toBe(200);
});

it("an upsert that lost the race against another (E11000) is repeated, for pings, mail, numbers and the time", async () => {
  const duplicate = { code: 11000, errmsg: "E11000 duplicate key error" };
  let losses = 0;
  const one = await storeOn((name) => {
    if (name !== "findAndModify" && name !== "update") return { setName: "set" };
    if (losses-- <= 0) return { n: 1, value: { now: new Date(), seq: 7 } };
    return name === "update" ? { n: 0, writeErrors: [{ index: 0, ...duplicate }] } : { ok: 0, ...duplicate };
  });
  for (const act of [
    () => one.time(),
    () => one.ping(SLOT, 1),
    () => one.mail(SLOT, [1]),
    () => one.nextSeq(),
    () => one.write([registration(1)]),
  ]) {
    losses = 3;
    await act();
    expect(losses).toBe(-1); // three losses, and one success
  }
});

describe("behind a router whose clock is another than that of the shard", () => {
  const SHARD_MS = Date.UTC(2027, 0, 1);
  const ROUTER_MS = SHARD_MS + 3_600_000;
  let asked: [name: string, command: Document][];

  /** Behind the router as a user who may write, only read the statistics of collections, or not even that. */
  async function routed(may: "write" | "read statistics" | "read"): Promise<Namespace> {
    asked = [];
    const unauthorized = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" };
    const now = new Date(SHARD_MS);
    return storeOn((name, command) => {
      asked.push([name, command]);
      if (command["find"] === "presence.pings") return found([{ _id: `${SLOT}.0`, now, 0: 1 }]);
      if (name === "find") return undefined;
      if (name === "findAndModify") return may === "write" ? { value: { now } } : unauthorized;
      if (name === "aggregate") return may === "read" ? unauthorized : found([{ localTime: now }]);
      return { msg: "isdbgrid", localTime: new Date(ROUTER_MS) };
    });
  }

  /** Changes are read from two periods before the shard's time on. */
  async function expectReadSinceShard(router: Namespace): Promise<void> {
    const { cursor: since } = await readAll(router, { select: everything() });
    await readAll(router, { select: everything(), since });
    const { filter } = asked.findLast(([name]) => name === "find")![1] as {
      filter: { changed: { $gte: Date } };
    };
    expect(Math.abs(filter.changed.$gte.getTime() - (SHARD_MS - 2 * CONFIG.periodMs))).toBeLessThan(2000);
  }

  it("the time is the shard's, and changes are read from it on", async () => {
    const router = await routed("write");
    expect(await router.time()).toBe(SHARD_MS);
    expect((await router.ping(SLOT, 1)).ms).toBe(SHARD_MS);
    await expectReadSinceShard(router);
  });

  it.each([
    ["read statistics", "shard's", SHARD_MS],
    ["read", "router's", ROUTER_MS],
  ] as const)(
    "a user who may only %s has the %s time, and reads changes from the shard's on",
    async (may, _, ms) => {
      const router = await routed(may);
      expect([await router.time(), await router.time()]).toEqual([ms, ms]);
      expect(asked.filter(([name]) => name === "findAndModify")).toHaveLength(1); // refused once, asked no more
      await router.pings(0);
      await expectReadSinceShard(router);
    },
  );
});
