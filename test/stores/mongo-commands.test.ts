/** Which commands the store sends: how many, how acknowledged, and what they change. */
import { BSON, type CommandStartedEvent, type Document, MongoClient } from "mongodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EVERYTHING, select } from "../../src/core/selection.ts";
import type { Namespace, ReadQuery, Write } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startFakeServer } from "../servers/fake-server.ts";
import { startServer } from "../servers/index.ts";
import { until } from "../support/wait.ts";

/** Long: the time limits of calls follow it, and are not what is tested here. */
const SCALE = { periodMs: 60_000, retentionSlots: 120 };
const CONFIG = { version: 2, periodMs: SCALE.periodMs, offset: 0, retentionSlots: 120, base: 0 };
const SLOT = 360_000_000;

let client: MongoClient;
let namespace: Namespace;
let sent: Document[];
beforeEach(async () => {
  client = new MongoClient(newDatabase(), { monitorCommands: true });
  namespace = mongoStore(client.db()).namespace("presence", SCALE);
  await namespace.configure(CONFIG);
  await namespace.time();
  sent = [];
  client.on("commandStarted", ({ command }: CommandStartedEvent) => sent.push(command));
});
afterEach(async () => {
  await namespace.close();
  await client.close();
});

/** The names of the commands, in their order. */
const names = (): string[] => sent.map((command) => Object.keys(command)[0] ?? "");

async function drain(query: Partial<ReadQuery>): Promise<ReadQuery["since"]> {
  let cursor: ReadQuery["since"];
  for await (const page of namespace.read({ select: EVERYTHING, ...query })) cursor = page.cursor ?? cursor;
  return cursor;
}

const session = (seq: number): Write => ({
  kind: "session",
  session: { seq, host: "here", pid: 1, opened: Date.now(), slot: SLOT },
});
const registration = (pinger: number): Write => ({
  kind: "registration",
  registration: {
    session: 1,
    pinger,
    start: 1,
    key: `k${pinger}`,
    since: Date.now(),
    slot: SLOT,
    meta: "null",
    revision: 0,
  },
});

describe("a ping", () => {
  it("is one command, answered with nothing but the stamp and the session's own word of mail", async () => {
    for (const seq of [1, 2, 40]) await namespace.ping(SLOT, seq);
    expect(names()).toEqual(["findAndModify", "findAndModify", "findAndModify"]);
    expect(sent[2]).toMatchObject({
      fields: { _id: 0, now: 1, "mail.1": 1 },
      writeConcern: { w: "majority" },
    });
  });

  it("changes what is stored each time, though many have the same stamp", async () => {
    await Promise.all(Array.from({ length: 30 }, () => namespace.ping(SLOT, 1)));
    const [document] = await client.db().collection("presence.pings").find().toArray();
    expect(document).toMatchObject({ 0: 2 });
    expect(document?.["count"]).toBeGreaterThanOrEqual(30); // more where one was repeated
  });

  it("may take 2.5 periods, at most half a minute", async () => {
    const limits: number[] = [];
    for (const periodMs of [100, 4000, 60_000]) {
      await mongoStore(client.db())
        .namespace("presence", { ...SCALE, periodMs })
        .ping(SLOT, 1);
      const { writeConcern } = sent.at(-1) as { writeConcern: { wtimeout: number } };
      limits.push(writeConcern.wtimeout);
    }
    expect(limits).toEqual([1000, 10_000, 30_000]);
  });
});

describe("reading", () => {
  it("what has changed is one command: what is selected, all sessions, and the asked session", async () => {
    await namespace.write([session(1), session(2), registration(1)]);
    const cursor = await drain({});
    sent.length = 0;
    const asked = select(["k1", { prefix: "x" }]);
    const query = { select: asked, session: 2, registrations: "ended" } as const;
    expect(await drain({ ...query, since: cursor })).toBeDefined();
    await namespace.ping(SLOT, 1);
    await drain({ ...query, since: cursor });
    expect(names()).toEqual(["find", "findAndModify", "find"]);
  });

  it("open records are counted in one command, from the index alone", async () => {
    await namespace.write([session(1), registration(1), registration(2)]);
    sent.length = 0;
    expect((await namespace.countOpen(1)).count).toBe(3);
    expect(names()).toEqual(["aggregate"]);
    const { pipeline } = sent.find((command) => "aggregate" in command) ?? {};
    const plan = await client
      .db()
      .command({ explain: { aggregate: "presence.records", pipeline, cursor: {} } });
    const said = JSON.stringify(plan);
    expect(said).toContain('"session_last"');
    expect(said).not.toContain("COLLSCAN");
  });
});

describe("opening", () => {
  it("makes the indexes of a new namespace, by a majority of its members", async () => {
    sent.length = 0;
    const fresh = mongoStore(client.db()).namespace("fresh", SCALE);
    await fresh.configure(CONFIG);
    const made = sent.filter((command) => "createIndexes" in command);
    expect(made).toMatchObject([{ commitQuorum: "majority" }, { commitQuorum: "majority" }]);
  });

  it("asks for no index where the config notes that they are there", async () => {
    expect(await mongoStore(client.db()).namespace("presence", SCALE).configure(CONFIG)).toEqual(CONFIG);
    expect(names()).toEqual(["hello", "find"]);
  });

  it("waits for no index of a namespace that is there and lacks some", async () => {
    const meta = client.db().collection<Document & { _id: string }>("presence.meta");
    await meta.updateOne({ _id: "config" }, { $unset: { indexes: "" } });
    const admin = client.db("admin");
    const data = { failCommands: ["createIndexes"], blockConnection: true, blockTimeMS: 1000 };
    await admin.command({ configureFailPoint: "failCommand", mode: { times: 2 }, data });
    const done: string[] = [];
    client.on("commandSucceeded", ({ commandName }) => done.push(commandName));
    expect(await mongoStore(client.db()).namespace("presence", SCALE).configure(CONFIG)).toEqual(CONFIG);
    expect(done).not.toContain("createIndexes");
    await until(async () => (await meta.findOne({ _id: "config" }))?.["indexes"] === 1);
    await admin.command({ configureFailPoint: "failCommand", mode: "off" });
  });
});

it("a write that is given up sends nothing further", async () => {
  const controller = new AbortController();
  client.once("commandStarted", () => controller.abort());
  const many = Array.from({ length: 3000 }, (_, pinger) => registration(pinger));
  await expect(namespace.write([session(1), ...many], controller.signal)).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
  const before = sent.length;
  await namespace.ping(SLOT, 1);
  expect([before, names()]).toEqual([1, ["update", "findAndModify"]]);
});

it("a standalone server is asked for its journal, since a majority of one acknowledges from memory", async () => {
  const server = await startServer({ standalone: true });
  const alone = new MongoClient(newDatabase(server.uri), { monitorCommands: true });
  const concerns: unknown[] = [];
  alone.on("commandStarted", ({ command }) => concerns.push(command["writeConcern"]));
  const one = mongoStore(alone.db()).namespace("presence", SCALE);
  await one.configure(CONFIG);
  await one.time();
  concerns.length = 0;
  await one.ping(SLOT, 1);
  await one.mail(SLOT, [1]);
  await one.write([session(1)]);
  expect(concerns).toEqual([1, 2, 3].map(() => ({ w: 1, j: true })));
  await alone.close();
  await server.stop();
});

it("an upsert that lost the race against another (E11000) is repeated, for pings, mail, numbers and the time", async () => {
  let losses = 0;
  const refusal = { code: 11000, errmsg: "E11000 duplicate key error" };
  const server = await startFakeServer((command) => {
    const name = Object.keys(command)[0] ?? "";
    const isUpsert = name === "findAndModify" || name === "update";
    if (isUpsert && losses-- > 0)
      return name === "update"
        ? { ok: 1, n: 0, writeErrors: [{ index: 0, ...refusal }] }
        : { ok: 0, ...refusal };
    if (isUpsert) return { ok: 1, n: 1, value: { now: new Date(), seq: 7 } };
    if (name === "find")
      return reply([
        { _id: "config", version: 2, period: SCALE.periodMs, offset: 0, retention: 120, base: 0 },
      ]);
    const hello = { ismaster: true, isWritablePrimary: true, setName: "set", localTime: new Date() };
    return { ok: 1, ...hello, maxWireVersion: 21, minWireVersion: 0 };
  });
  const other = new MongoClient(server.uri, { directConnection: true });
  const one = mongoStore(other.db()).namespace("presence", SCALE);
  await one.config();
  const acts = [
    () => one.time(),
    () => one.ping(SLOT, 1),
    () => one.mail(SLOT, [1]),
    () => one.nextSeq(),
    () => one.write([registration(1)]),
  ];
  for (const act of acts) {
    losses = 3;
    await act();
    expect(losses).toBe(-1); // three losses, and one success
  }
  await other.close();
  await server.stop();
});

const reply = (firstBatch: Document[]): Document => ({
  ok: 1,
  cursor: { id: BSON.Long.ZERO, ns: "test.x", firstBatch },
});

describe("behind a router whose clock is another than that of the shard", () => {
  const SHARD_MS = Date.UTC(2027, 0, 1);
  /** Of each command its name, and the filter of a find. */
  let asked: [string, Document | undefined][];

  async function routed(mayWrite: boolean): Promise<{ router: Namespace; end: () => Promise<void> }> {
    asked = [];
    const hello = {
      ismaster: true,
      isWritablePrimary: true,
      msg: "isdbgrid",
      maxWireVersion: 21,
      minWireVersion: 0,
    };
    const server = await startFakeServer((command) => {
      const name = Object.keys(command)[0] ?? "";
      asked.push([name, command["filter"] as Document | undefined]);
      if (name === "find" && command["find"] === "presence.pings")
        return reply([{ _id: `${SLOT}.0`, now: new Date(SHARD_MS), 0: 1 }]);
      if (name === "find" && command["find"] === "presence.meta")
        return reply([
          { _id: "config", version: 2, period: SCALE.periodMs, offset: 0, retention: 120, base: 0 },
        ]);
      if (name === "find") return reply([]);
      if (name !== "findAndModify") return { ok: 1, ...hello, localTime: new Date(SHARD_MS + 3_600_000) };
      return mayWrite
        ? { ok: 1, value: { now: new Date(SHARD_MS) } }
        : { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" };
    });
    const through = new MongoClient(server.uri);
    const end = async (): Promise<void> => {
      await through.close();
      await server.stop();
    };
    const router = mongoStore(through.db()).namespace("presence", SCALE);
    await router.config();
    return { router, end };
  }
  async function sinceOf(router: Namespace): Promise<number> {
    let since: ReadQuery["since"];
    for await (const { cursor } of router.read({ select: EVERYTHING })) since = cursor;
    for await (const _ of router.read({ select: EVERYTHING, since })) void _;
    const filter = asked.findLast(([name]) => name === "find")?.[1];
    const { changed } = filter as { changed: { $gte: Date } };
    return changed.$gte.getTime();
  }

  it("the time is the shard's, and changes are read from it on", async () => {
    const { router, end } = await routed(true);
    expect(await router.time()).toBe(SHARD_MS);
    expect((await router.ping(SLOT, 1)).ms).toBe(SHARD_MS);
    expect(Math.abs((await sinceOf(router)) - (SHARD_MS - 2 * SCALE.periodMs))).toBeLessThan(2000);
    await end();
  });

  it("a user who may not write has the router's time, and reads changes from the stamps of pings on", async () => {
    const { router, end } = await routed(false);
    expect(await router.time()).toBe(SHARD_MS + 3_600_000);
    await router.time();
    expect(asked.filter(([name]) => name === "findAndModify")).toHaveLength(1); // refused once, asked no more
    await router.pings(0);
    expect(Math.abs((await sinceOf(router)) - (SHARD_MS - 2 * SCALE.periodMs))).toBeLessThan(2000);
    await end();
  });

  it("there is no feed: polling reports changes sooner", async () => {
    const { router, end } = await routed(true);
    const feed = router.feed?.(EVERYTHING, { page: () => {}, lost: () => {} });
    await expect(feed?.ready).rejects.toMatchObject({ code: "UNSUPPORTED_SERVER" });
    await end();
  });
});
