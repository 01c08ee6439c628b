import { BSON, type Db, type Document, type MongoClientOptions, MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { forEachSession } from "../../src/core/bits.ts";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Namespace, Page, Write } from "../../src/core/store.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { until } from "../support/wait.ts";
import { databaseOf, withOptions } from "../servers/uri.ts";

/** Long: the time limits of calls follow it, and are not what is tested here. */
const PERIOD_MS = 60_000;
const SCALE = { periodMs: PERIOD_MS, retentionSlots: 120 };
const CONFIG = { version: 2, periodMs: PERIOD_MS, offset: 0, retentionSlots: 120, base: 0 };
const SLOT = 360_000_000;
const SESSION: SessionRecord = { seq: 7, host: "here", pid: 42, opened: 1_800_000_000_000, slot: SLOT };
const REGISTRATION: RegistrationRecord = {
  session: 7,
  pinger: 1,
  start: 2,
  key: "$worker.1",
  since: 1_800_000_000_001,
  slot: SLOT,
  meta: '{"$set":{"a.b":1}}',
  revision: 0,
};
const BOTH: Write[] = [
  { kind: "session", session: SESSION },
  { kind: "registration", registration: REGISTRATION },
];

interface AnyDocument {
  readonly _id: string | number;
  readonly [field: string]: unknown;
}

let client: MongoClient;
let db: Db;
beforeAll(async () => {
  client = await new MongoClient(newDatabase()).connect();
});
afterAll(() => client.close());
beforeEach(() => {
  db = client.db(databaseOf(newDatabase()));
});
afterEach(() => db.dropDatabase());

async function configured(name = "presence", database = db): Promise<Namespace> {
  const namespace = mongoStore(database).namespace(name, SCALE);
  await namespace.configure(CONFIG);
  return namespace;
}

/** The documents of a collection, each number as the class that it is stored as. */
async function stored(collection: string): Promise<Document[]> {
  return db.collection(collection, { promoteValues: false }).find().sort({ _id: 1 }).toArray();
}

async function found(namespace: Namespace): Promise<Page> {
  const all = { sessions: [] as SessionRecord[], registrations: [] as RegistrationRecord[] };
  for await (const { sessions, registrations } of namespace.read({ select: EVERYTHING })) {
    all.sessions.push(...sessions);
    all.registrations.push(...registrations);
  }
  return all;
}

async function bits(namespace: Namespace): Promise<number[]> {
  const seqs: number[] = [];
  for (const record of await namespace.pings(0)) forEachSession(record, (seq) => seqs.push(seq));
  return seqs.toSorted((a, b) => a - b);
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
    expect(await stored("presence.meta")).toEqual([
      {
        _id: "config",
        version: int(2),
        period: int(PERIOD_MS),
        offset: int(0),
        retention: int(120),
        base: int(0),
        indexes: int(1),
      },
      { _id: "sessions", seq: int(2) },
    ]);
  });

  it("records: sessions and registrations; names and metas of users are values, never names of fields", async () => {
    const namespace = await configured();
    await namespace.write([
      ...BOTH,
      { kind: "registration", registration: { ...REGISTRATION, start: 3, last: SLOT + 9 } },
    ]);
    await namespace.write([{ kind: "end", registration: REGISTRATION, last: 0 }]);
    const opened = new Date(SESSION.opened);
    const since = new Date(REGISTRATION.since);
    const changed = expect.any(Date) as Date;
    const registration = {
      session: int(7),
      pinger: int(1),
      key: "$worker.1",
      since,
      meta: '{"$set":{"a.b":1}}',
      revision: int(0),
      slot: int(SLOT),
      changed,
    };
    const open = new BSON.Double(2 ** 53 - 1);
    const session = {
      session: int(7),
      host: "here",
      pid: int(42),
      opened,
      slot: int(SLOT),
      last: open,
      changed,
    };
    expect(await stored("presence.records")).toEqual([
      { _id: int(7), ...session },
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
    const { expireAt } = documents[0] ?? {};
    const now = expect.any(Date) as Date;
    const word = { 0: int(1 | (1 << 31)), 31: int(1 << 31) };
    const mail = { 0: int(1 << 31), 2: int(1) };
    expect(documents).toEqual([
      { _id: `${SLOT}.0`, slot: int(SLOT), expireAt, now, count: int(4), ...word, mail },
      {
        _id: `${SLOT}.1`,
        slot: int(SLOT),
        expireAt: now,
        now,
        count: int(1),
        0: int(1),
        mail: { 0: int(2) },
      },
      { _id: `${SLOT + 1}.0`, slot: int(SLOT + 1), expireAt: now, mail: { 0: int(1 << 7) } },
    ]);
    const livesMs = (expireAt as Date).getTime() - before;
    expect(livesMs / (2 * SCALE.retentionSlots * SCALE.periodMs)).toBeCloseTo(1, 1);
  });

  it("indexes: one for every query, and one that expires", async () => {
    await configured();
    const id = '{"_id":1}';
    expect(await indexes("records")).toEqual([
      id,
      '{"changed":1}',
      '{"key":1}',
      '{"last":1}',
      '{"session":1,"last":1,"opened":1}',
      '{"slot":1}',
    ]);
    expect(await indexes("pings")).toEqual([id, '{"expireAt":1,"expireAfterSeconds":0}', '{"slot":1}']);
  });

  it("an index that is missing is made at an opening, once the config does not note that all are there", async () => {
    await configured();
    await db.collection("presence.records").dropIndex("key");
    const meta = db.collection<AnyDocument>("presence.meta");
    await meta.updateOne({ _id: "config" }, { $unset: { indexes: "" } });
    await configured();
    await until(async () => (await meta.findOne({ _id: "config" }))?.["indexes"] === 1);
    expect(await db.collection("presence.records").indexExists("key")).toBe(true);
  });

  it("an index of another name over the same fields will do", async () => {
    await db.collection("presence.records").createIndex({ key: 1 }, { name: "mine" });
    await configured();
    expect(await db.collection("presence.records").indexExists(["mine", "changed", "session_last"])).toBe(
      true,
    );
  });

  it("config writes nothing", async () => {
    expect(await mongoStore(db).namespace("presence", SCALE).config()).toBeUndefined();
    expect(await db.listCollections().toArray()).toEqual([]);
  });

  it("asking for the time sets no namespace up, and leaves nothing", async () => {
    const namespace = mongoStore(db).namespace("presence", SCALE);
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
    const other = new MongoClient(newDatabase(), options);
    const namespace = await configured("presence", other.db(db.databaseName));
    expect(await namespace.nextSeq()).toBe(1);
    expect(await namespace.raiseOffset(0, 2)).toBe(2);
    await namespace.write(BOTH);
    const pinged = [7, 31, 2000, 7];
    for (const seq of pinged) await namespace.ping(SLOT, seq);
    await namespace.mail(SLOT, [7]);
    const before = Date.now() - 60_000;
    const { ms, hasMail } = await namespace.ping(SLOT, 7);
    expect([ms > before, hasMail]).toEqual([true, true]);
    expect(await namespace.countOpen(7)).toEqual({ count: 2, opened: SESSION.opened });
    const { sessions, registrations } = await found(namespace);
    expect(sessions).toEqual([{ ...SESSION, changed: expect.any(Number) as number }]);
    expect(registrations).toEqual([{ ...REGISTRATION, changed: expect.any(Number) as number }]);
    expect(await bits(namespace)).toEqual([7, 31, 2000]);
    expect((await stored("presence.pings"))[0]).toMatchObject({ 0: int((1 << 7) | (1 << 31)) });
    await namespace.kill(REGISTRATION.key);
    expect((await found(namespace)).registrations[0]?.last).toBe(0);
    expect(await namespace.prune({ beforeSlot: SLOT + 1, beforeMs: Date.now() + 60_000, limit: 10 })).toEqual(
      { sessions: 1, registrations: 1, slots: 2 },
    );
    await namespace.close();
    await other.close();
  });
});

it("a connection string may ask for secondaries, and for no acknowledgement: it is not heeded", async () => {
  const asked = "readPreference=secondary&readPreferenceTags=dc:ny&w=0&journal=false&readConcernLevel=local";
  const store = await openMongo(withOptions(newDatabase(), asked));
  const namespace = store.namespace("presence", SCALE);
  await namespace.configure(CONFIG);
  await namespace.write(BOTH);
  expect((await found(namespace)).registrations).toHaveLength(1);
  await store.close();
});

describe("what heartbit did not write", () => {
  it("is ignored, with one warning", async () => {
    const namespace = await configured();
    await namespace.write(BOTH);
    await namespace.ping(SLOT, 7);
    const session = { host: "h", pid: 1, opened: new Date(), slot: 1, changed: new Date() };
    const last = 2 ** 53 - 1;
    await db.collection<AnyDocument>("presence.records").insertMany([
      { _id: "text", session: "text", ...session, last },
      { _id: 8, session: 8, ...session, last, host: 5 },
      { _id: 9, session: 9, ...session, last, slot: "1" },
      { _id: 10, session: 10, ...session, last: -1 },
      { _id: 11 },
      { _id: 12, session: 12, ...session }, // no `last`
      { _id: 13, session: 12, ...session, last },
      { _id: 14, ...session, last },
    ]);
    const registration = { ...REGISTRATION, last, pinger: 2, since: new Date(), changed: new Date() };
    await db.collection<AnyDocument>("presence.records").insertMany([
      { _id: "7.2.1", ...registration }, // not its own name
      { _id: "7.2.2", ...registration, key: { $gt: "" } },
      { _id: "7.3.2", ...registration, pinger: 3, key: "k".repeat(100_000) },
      { _id: "7.4.2", ...registration, pinger: 4, meta: "{not json" },
      { _id: "7.5.2", ...registration, pinger: 5, revision: 1.5 },
      { _id: "7.7.2", ...registration, pinger: 7, last: undefined },
      { _id: "999.6.2", ...registration, session: 999, pinger: 6 }, // of no session
      { _id: "other" },
    ]);
    await db.collection<AnyDocument>("presence.pings").insertMany([
      { _id: `${SLOT}.one`, slot: SLOT, expireAt: new Date(9e12), 0: 1 },
      { _id: `${SLOT}.5`, slot: SLOT, expireAt: new Date(9e12), 0: 1.5 },
      { _id: `${SLOT}.6`, slot: SLOT, expireAt: new Date(9e12), 32: 1 },
      { _id: `${SLOT}.7`, slot: SLOT, expireAt: new Date(9e12), 0: "many" },
      { _id: `${SLOT}.8`, slot: NaN, expireAt: new Date(9e12) },
      { _id: `${SLOT}.9`, slot: SLOT, expireAt: new Date(9e12), 0: 1, now: "noon" },
    ]);
    const warnings: string[] = [];
    const warn = (message: string): unknown => warnings.push(message);
    const reader = mongoStore(db).namespace("presence", { ...SCALE, warn });
    const { sessions, registrations } = await found(reader);
    expect(registrations.map(({ key }) => key)).toEqual([REGISTRATION.key]);
    expect(sessions.map(({ seq }) => seq)).toEqual([7]);
    expect(await bits(reader)).toEqual([7]);
    await reader.prune({ beforeSlot: SLOT, beforeMs: Date.now() + 1000, limit: 100 });
    expect(warnings).toHaveLength(1);
  });

  it("in place of the config is CONFIG_MISMATCH", async () => {
    await db.collection<AnyDocument>("presence.meta").insertOne({ _id: "config", period: "often" });
    const namespace = mongoStore(db).namespace("presence", SCALE);
    await expect(namespace.config()).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
    await expect(namespace.configure(CONFIG)).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
  });
});

/** What each of four clients gives for a hundred numbers and more. */
async function fromFourClients<T>(
  count: number,
  call: (namespace: Namespace, index: number) => Promise<T>,
): Promise<T[]> {
  const clients = Array.from({ length: 4 }, () => new MongoClient(newDatabase()));
  const namespaces = clients.map((one) => mongoStore(one.db(db.databaseName)).namespace("presence", SCALE));
  const calls = Array.from({ length: count / 4 }, (_, round) =>
    namespaces.map((one, nth) => call(one, 4 * round + nth)),
  );
  const results = await Promise.all(calls.flat());
  await Promise.all(clients.map((one) => one.close()));
  return results;
}

describe("many at once", () => {
  it("first pings of a new slot, from several clients: none is lost", async () => {
    const namespace = await configured();
    await fromFourClients(200, (one, seq) => one.ping(SLOT, seq));
    expect(await bits(namespace)).toEqual(Array.from({ length: 200 }, (_, seq) => seq));
    expect(await namespace.pings(SLOT)).toHaveLength(1);
  });

  it("numbers of sessions, from several clients, on a new namespace: none is given twice", async () => {
    const numbers = await fromFourClients(100, (one) => one.nextSeq());
    expect(new Set(numbers).size).toBe(100);
  });
});

it("the driver is the one that was asked for", async () => {
  const store = await openMongo(newDatabase());
  const metadata = (await Reflect.get(store.db.client.options, "metadata")) as Document;
  const major = process.env["HEARTBIT_DRIVER"] ?? "7";
  expect((metadata["driver"] as Document)["version"]).toMatch(new RegExp(`^${major}\\.`));
  await store.close();
});
