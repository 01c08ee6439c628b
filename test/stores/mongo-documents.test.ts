import { BSON, type Db, type Document, type MongoClientOptions } from "mongodb";
import { beforeEach, describe, expect, it } from "vitest";
import type { Namespace } from "../../src/core/store.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  plain,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";
import { withOptions } from "../servers/uri.ts";
import { newClient, pinged, SLOT } from "./support.ts";

const SESSION = aSession(7, SLOT, { host: "here", pid: 42, opened: 1_800_000_000_000 });
const REGISTRATION = aRegistration(7, "$worker.1", SLOT, {
  start: 2,
  since: 1_800_000_000_001,
  meta: '{"$set":{"a.b":1}}',
});
const BOTH = [put.session(SESSION), put.registration(REGISTRATION)];

interface AnyDocument {
  readonly _id: string | number;
  readonly [field: string]: unknown;
}

let db: Db;
beforeEach(() => void (db = newClient().db()));

async function configured(database = db): Promise<Namespace> {
  const namespace = mongoStore(database).namespace("presence", CONFIG);
  await namespace.configure(CONFIG);
  return namespace;
}

/** The documents of a collection, each number as the class that it is stored as. */
async function stored(collection: string): Promise<Document[]> {
  return db.collection(collection, { promoteValues: false }).find().sort({ _id: 1 }).toArray();
}

/** The fields of each index, and after how long it deletes. */
async function indexes(collection: string): Promise<string[]> {
  const all = await db.collection(`presence.${collection}`).indexes();
  return all.map(({ key, expireAfterSeconds }) => JSON.stringify({ ...key, expireAfterSeconds })).toSorted();
}

const int = (value: number): BSON.Int32 => new BSON.Int32(value);

describe("what is stored", () => {
  it("meta: the config and the counter", async () => {
    const namespace = await configured();
    await namespace.nextSeq();
    await namespace.nextSeq();
    const numbers = { period: CONFIG.periodMs, offset: 0, retention: 120, base: 0, indexes: 1 };
    const ints = Object.entries(numbers).map(([name, value]) => [name, int(value)]);
    expect(await stored("presence.meta")).toEqual([
      { _id: "config", version: int(2), ...Object.fromEntries(ints) },
      { _id: "sessions", seq: int(2) },
    ]);
  });

  it("records: sessions and registrations; names and metas of users are values, never names of fields", async () => {
    const namespace = await configured();
    const ended = { ...REGISTRATION, start: 3, last: SLOT + 9 };
    await namespace.write([...BOTH, put.registration(ended), put.end(REGISTRATION, 0)]);
    const both = { session: int(7), slot: int(SLOT), changed: expect.any(Date) as Date };
    const { key, meta } = REGISTRATION;
    const since = new Date(REGISTRATION.since);
    const registration = { ...both, pinger: int(1), key, since, meta, revision: int(0) };
    const session = { ...both, host: "here", pid: int(42), opened: new Date(SESSION.opened) };
    expect(await stored("presence.records")).toEqual([
      { _id: int(7), ...session, last: new BSON.Double(2 ** 53 - 1) },
      { _id: "7.1.2", ...registration, start: int(2), last: int(0) },
      { _id: "7.1.3", ...registration, start: int(3), last: int(SLOT + 9) },
    ]);
  });

  it("pings: a document for a slot and 1,024 sessions, its words 32-bit integers, which expires by itself", async () => {
    const namespace = await configured();
    const before = await namespace.time();
    for (const seq of [0, 31, 1023, 31, 1024]) await namespace.ping(SLOT, seq);
    await namespace.mail(SLOT, [31, 64, 1025]);
    await namespace.mail(SLOT + 1, [7]);
    const documents = await stored("presence.pings");
    const [now, expireAt] = [expect.any(Date) as Date, expect.any(Date) as Date];
    const first = { count: int(4), 0: int(1 | (1 << 31)), 31: int(1 << 31) };
    const second = { count: int(1), 0: int(1) };
    const mail = { 0: int(1 << 31), 2: int(1) };
    expect(documents).toEqual([
      { _id: `${SLOT}.0`, slot: int(SLOT), expireAt, now, ...first, mail },
      { _id: `${SLOT}.1`, slot: int(SLOT), expireAt, now, ...second, mail: { 0: int(2) } },
      { _id: `${SLOT + 1}.0`, slot: int(SLOT + 1), expireAt, mail: { 0: int(1 << 7) } },
    ]);
    const livesMs = (documents[0]!["expireAt"] as Date).getTime() - before;
    expect(livesMs / (2 * CONFIG.retentionSlots * CONFIG.periodMs)).toBeCloseTo(1, 1);
  });

  it("indexes: one for every query, and one that expires", async () => {
    await configured();
    expect(await indexes("records")).toEqual([
      '{"_id":1}',
      '{"changed":1}',
      '{"key":1}',
      '{"last":1}',
      '{"session":1,"last":1,"opened":1}',
      '{"slot":1}',
    ]);
    expect(await indexes("pings")).toEqual([
      '{"_id":1}',
      '{"expireAt":1,"expireAfterSeconds":0}',
      '{"slot":1}',
    ]);
  });

  it("an index of another name over the same fields will do", async () => {
    const records = db.collection("presence.records");
    await records.createIndex({ key: 1 }, { name: "mine" });
    await configured();
    expect(await records.indexExists(["mine", "changed", "session_last"])).toBe(true);
  });

  it("asking for the config and the time writes nothing, and sets no namespace up", async () => {
    const namespace = mongoStore(db).namespace("presence", CONFIG);
    await namespace.time();
    expect(await namespace.config()).toBeUndefined();
    expect(await db.listCollections().toArray()).toEqual([]);
  });
});

describe("whatever the client's options,", () => {
  const settings: [string, MongoClientOptions][] = [
    ["useBigInt64", { useBigInt64: true }],
    ["promoteValues: false", { promoteValues: false }],
    ["promoteLongs: false", { promoteLongs: false }],
    ["raw", { raw: true }],
    ["ignoreUndefined", { ignoreUndefined: true }],
    ["enableUtf8Validation: false, promoteBuffers", { enableUtf8Validation: false, promoteBuffers: true }],
    ["reading from secondaries", { readPreference: "secondaryPreferred" }],
    ["w: 0", { writeConcern: { w: 0 } }],
    ["w: 1 and readConcern local", { w: 1, readConcernLevel: "local" }],
    ["retryWrites: false, retryReads: false", { retryWrites: false, retryReads: false }],
    ["a strict Stable API", { serverApi: { version: "1", strict: true, deprecationErrors: true } }],
    ["short socket time-outs", { socketTimeoutMS: 2000 }],
    ["compression", { compressors: ["zlib"] }],
    ["one connection at a time", { maxPoolSize: 1 }],
  ];

  it.each(settings)("%s: what is written and read is the same", async (_, options) => {
    const namespace = await configured(newClient(options).db(db.databaseName));
    expect([await namespace.nextSeq(), await namespace.raiseOffset(0, 2)]).toEqual([1, 2]);
    await namespace.write(BOTH);
    for (const seq of [7, 31, 2000, 7]) await namespace.ping(SLOT, seq);
    await namespace.mail(SLOT, [7]);
    const { ms, hasMail } = await namespace.ping(SLOT, 7);
    expect([ms > Date.now() - 60_000, hasMail]).toEqual([true, true]);
    expect(await namespace.countOpen(7)).toEqual({ count: 2, opened: SESSION.opened });
    const { sessions, registrations } = await readAll(namespace, { select: everything() });
    expect([...sessions.values(), ...registrations.values()].map(plain)).toEqual([SESSION, REGISTRATION]);
    expect(await pinged(namespace)).toEqual([7, 31, 2000]);
    expect((await stored("presence.pings"))[0]).toMatchObject({ 0: int((1 << 7) | (1 << 31)) });
    await namespace.kill(REGISTRATION.key);
    const killed = await readAll(namespace, { select: everything() });
    expect(killed.registrations.get("7.1.2")?.last).toBe(0);
    const query = { beforeSlot: SLOT + 1, beforeMs: Date.now() + 60_000, limit: 10 };
    expect(await namespace.prune(query)).toEqual({ sessions: 1, registrations: 1, slots: 2 });
    await namespace.close();
  });
});

it("a connection string may ask for secondaries, and for no acknowledgement: it is not heeded", async () => {
  const asked = "readPreference=secondary&readPreferenceTags=dc:ny&w=0&journal=false&readConcernLevel=local";
  const store = await openMongo(withOptions(newDatabase(), asked));
  const namespace = store.namespace("presence", CONFIG);
  await namespace.configure(CONFIG);
  await namespace.write(BOTH);
  expect((await readAll(namespace, { select: everything() })).registrations.size).toBe(1);
  await store.close();
});

it("documents that are not heartbit's, and records of no session, are ignored, with one warning", async () => {
  const namespace = await configured();
  await namespace.write(BOTH);
  await namespace.ping(SLOT, 7);
  const records = db.collection<AnyDocument>("presence.records");
  const [session, registration] = await records.find().sort({ _id: 1 }).toArray();
  await records.insertMany([
    { ...session, _id: 8, session: 8, host: 5 },
    { ...session, _id: 9, session: 9, last: -1 },
    { ...session, _id: 10 }, // not its own number
    { ...registration, _id: "7.2.1" }, // not its own name
    { ...registration, _id: "7.3.2", pinger: 3, last: undefined },
    { ...registration, _id: "999.1.2", session: 999 },
  ]);
  await db.collection<AnyDocument>("presence.pings").insertMany([
    { _id: `${SLOT}.one`, slot: SLOT, 0: 1 },
    { _id: `${SLOT}.5`, slot: SLOT, 0: 1.5 },
    { _id: `${SLOT}.6`, slot: SLOT, 0: 1, 32: 1 },
    { _id: `${SLOT}.7`, slot: SLOT, 0: 1, now: "noon" },
  ]);
  const warnings: string[] = [];
  const warn = (message: string): unknown => warnings.push(message);
  const reader = mongoStore(db).namespace("presence", { ...CONFIG, warn });
  const found = await readAll(reader, { select: everything() });
  expect([[...found.sessions.keys()], [...found.registrations.keys()]]).toEqual([[7], ["7.1.2"]]);
  expect(await pinged(reader)).toEqual([7]);
  await reader.prune({ beforeSlot: SLOT, beforeMs: Date.now() + 1000, limit: 100 });
  expect(warnings).toHaveLength(1);
});

it("the driver is the one that was asked for", async () => {
  const store = await openMongo(newDatabase());
  const metadata = (await Reflect.get(store.db.client.options, "metadata")) as Document;
  const major = process.env["HEARTBIT_DRIVER"] ?? "7";
  expect((metadata["driver"] as Document)["version"]).toMatch(new RegExp(`^${major}\\.`));
  await store.close();
});
