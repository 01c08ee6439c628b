import { BSON, type Db, MongoClient } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PresenceOptions, Presence } from "../../src/index.ts";
import { PING_FIELDS, toPing, toRegistration, toSession } from "../../src/stores/mongo/documents.ts";
import { newDatabase } from "../servers/database.ts";
import { databaseOf } from "../servers/uri.ts";
import { answered, until } from "../support/wait.ts";
import { open } from "./support.ts";

const PERIOD_MS = 600;

type Fields = Readonly<Record<string, unknown>>;
interface Foreign extends Fields {
  readonly _id: unknown;
}

let client: MongoClient;
let db: Db;
let uri: string;
beforeAll(async () => {
  client = await new MongoClient(newDatabase()).connect();
});
afterAll(() => client.close());
beforeEach(() => {
  uri = newDatabase();
  db = client.db(databaseOf(uri));
});

const collection = (part: string) => db.collection<Foreign>(`presence.${part}`);
const meta = () => db.collection<Fields & { _id: string }>("presence.meta");
const setConfig = (fields: Fields) => meta().updateOne({ _id: "config" }, { $set: fields });
const offset = async (): Promise<unknown> => (await meta().findOne({ _id: "config" }))?.["offset"];

async function opened(options: PresenceOptions = {}): Promise<{ presence: Presence; warnings: string[] }> {
  const warnings: string[] = [];
  const warn = (message: string): unknown => /Ignored/.test(message) && warnings.push(message);
  return { presence: await open(uri, { periodMs: PERIOD_MS, logger: { warn }, ...options }), warnings };
}

const OPEN = 2 ** 53 - 1;
/** More than a hundred years ahead, but no more than a number can count. */
const FAR = [1e15, 2e11, OPEN];
/** What no field that heartbit reads can be. */
const ODD: unknown[] = [
  [null, true, -1, 1.5, NaN, Infinity, 1e300, { $gt: 0 }, { $numberInt: "1" }, [1], ["a"], /./],
  [BSON.Long.MAX_VALUE, new BSON.Timestamp({ t: 1, i: 1 }), new BSON.Decimal128("NaN")],
  [new BSON.Binary(Buffer.from("a")), new BSON.Code("1"), new BSON.MinKey(), new BSON.MaxKey()],
].flat();
const HUGE = "x".repeat(1_000_000);
/** What some fields cannot be either. */
const ODD_AS: readonly (readonly [fields: string, values: unknown[]])[] = [
  ["session pinger start revision slot last pid", ["1", new Date()]],
  ["opened since changed", [5, "2026-01-01"]],
  ["key meta host", [5, HUGE]],
  ["key", [""]],
  ["meta", ["", "{", "undefined"]],
  ["slot", FAR],
];
const IDS: unknown[] = [
  ["text", "", "x".repeat(900), -7, 7.5, NaN, null, true, { seq: 1 }],
  [new BSON.Binary(Buffer.from("a")), new BSON.ObjectId(), new Date(0)],
].flat();

function wrongFor(field: string): unknown[] {
  const others = ODD_AS.filter(([fields]) => fields.split(" ").includes(field));
  return [undefined, ...ODD, ...others.flatMap(([, values]) => values)];
}

type Place = (index: number) => Fields;

/** Documents with one field each that is missing, or cannot be. `place` gives each a place of its own. */
function spoilt(proper: Fields, place: Place, idOf: (fields: Fields) => unknown): Foreign[] {
  const names = Object.keys({ ...proper, ...place(0) });
  const wrong = names.flatMap((name) => wrongFor(name).map((value) => ({ [name]: value })));
  return wrong.map((one, index) => {
    const fields = { ...proper, ...place(index), ...one };
    return { ...fields, _id: idOf({ ...fields, index }) };
  });
}

const placeOf = ({ index }: Fields): number => 1000 + Number(index);
const nameOf = ({ session, pinger, start }: Fields): string => [session, pinger, start].map(String).join(".");

function foreignRecords(slot: number): Foreign[] {
  const now = new Date();
  const common = { slot, last: OPEN, changed: now };
  const session = { host: "h", pid: 1, opened: now, ...common };
  const registration = { key: "foreign", session: 1, since: now, meta: "1", revision: 0, ...common };
  return [
    ...spoilt(session, (index) => ({ session: 1000 + index }), placeOf),
    { _id: 2000, session: 2001, ...session },
    ...IDS.map((id) => ({ _id: id, session: id, ...session })),
    // Of session 1, which is there.
    ...spoilt(registration, (index) => ({ pinger: 9 + index, start: 1 + index }), nameOf),
    { _id: "1.9.2", pinger: 9, start: 1, ...registration },
    ...IDS.map((id) => ({ _id: { id }, pinger: 9, start: 1, ...registration })),
  ];
}

function foreignPings(slot: number): Foreign[] {
  const words = ["", " ", "00", "0x1", "1e1", "32", "-1", "a", "__proto__", "0.0"];
  const segments = ["", "a", "-1", "1.5", "1e3", "9007199254740991"];
  const noWords = [...ODD, "1"].filter((value) => value !== -1);
  const slots = [-1, 1.5, NaN, Infinity, 1e300, null, "", "a", ...FAR];
  return [
    ...noWords.map((value, index) => ({ _id: `${slot}.${index + 10}`, slot, 0: value })),
    ...ODD.map((value, index) => ({ _id: `${slot}.${index + 50}`, slot, 0: 2, now: value })),
    ...words.map((name, index) => ({ _id: `${slot}.${index + 100}`, slot, [name]: 2 })),
    ...segments.map((name) => ({ _id: `${slot}.${name}`, slot, 0: 2 })),
    ...slots.map((wrong) => ({ _id: `${wrong}.1`, slot: wrong, 0: 2 })),
    ...IDS.map((id) => ({ _id: id, slot, 0: 2 })),
  ];
}

const slotNow = (): number => Math.floor(Date.now() / PERIOD_MS);

async function insertAll(): Promise<void> {
  const options = { ignoreUndefined: true };
  await collection("records").insertMany(foreignRecords(slotNow()), options);
  await collection("pings").insertMany(foreignPings(slotNow()), options);
}

describe("documents that heartbit did not write", () => {
  it("are not taken for its own, unless nothing but a slot is wrong", async () => {
    await insertAll();
    const records = await collection("records").find().toArray();
    const pings = await collection("pings").find({}, { projection: PING_FIELDS }).toArray();
    const taken = [...records.map(toSession), ...records.map(toRegistration), ...pings.map(toPing)];
    expect(taken.flatMap((one) => one?.slot ?? [])).toEqual([...FAR, ...FAR, ...FAR]);
  });

  it.each(["auto", "poll"] as const)(
    "are passed over with one warning, and break no watcher, list or prune (feed: %s)",
    async (feed) => {
      const { presence, warnings } = await opened({ feed });
      await presence.pinger("mine", { meta: { port: 1 } }).start();
      const other = await opened({ feed });
      const leaver = other.presence.pinger("leaver");
      await leaver.start();
      const heard: string[] = [];
      const watcher = presence.watcher();
      watcher.watch({ all: true }, ({ key, cause }) => heard.push(`${key} ${cause}`));
      await watcher.sync();
      await insertAll();

      await other.presence.pinger("joiner").start();
      await until(() => heard.includes("joiner joined"));
      await leaver.stop();
      await until(() => heard.includes("leaver stopped"));
      await watcher.sync();
      expect(heard).toEqual(["mine initial", "leaver initial", "joiner joined", "leaver stopped"]);
      expect(watcher.state).toBe("running");
      const { keys, confirmed } = await presence.list();
      expect(confirmed).toBe(true);
      const listed = keys.map(({ key, alive }) => `${key} ${alive}`);
      expect(listed).toEqual(["joiner true", "leaver false", "mine true"]);
      await answered(() => presence.prune());
      await until(() => presence.health.state === "healthy");
      expect(warnings.filter((line) => line.includes("unrecognized documents"))).toHaveLength(1);
      expect(warnings.filter((line) => line.includes("100 years"))).toHaveLength(1);
      expect(warnings).toHaveLength(2);
      expect(await offset()).toBe(0);
    },
  );
});

describe("a number that is wrong", () => {
  it("is not a ping that is ahead by 60 years: the store's clock has stepped back, and is followed", async () => {
    const slots = Math.floor((60 * 365.25 * 24 * 3_600_000) / PERIOD_MS);
    await opened();
    const ahead = slotNow() + slots;
    const now = new Date(ahead * PERIOD_MS);
    await collection("pings").insertOne({ _id: `${ahead}.0`, slot: ahead, 0: 2, now });
    const { presence, warnings } = await opened();
    await presence.pinger("mine").start();
    const watcher = presence.watcher();
    await watcher.sync();
    expect(await watcher.alive("mine")).toBe(true);
    expect(Math.abs(Number(await offset()) - slots)).toBeLessThan(30);
    expect(warnings).toEqual([]);
  });

  it("in the config is CONFIG_MISMATCH for a new presence, and does not stop a running one", async () => {
    const { presence } = await opened();
    await presence.pinger("mine").start();
    const watcher = presence.watcher();
    await watcher.sync();
    const wrong = [{ offset: 1e15 }, { offset: NaN }, { offset: "0" }, { period: {} }, { version: [1] }];
    for (const fields of wrong) {
      await setConfig(fields);
      await expect(opened()).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
      await setConfig({ offset: 0, period: PERIOD_MS, version: 2 });
    }
    await setConfig({ offset: { $gt: 0 } });
    await watcher.sync();
    expect(await watcher.alive("mine")).toBe(true);
    await presence.pinger("other").start();
    expect(watcher.state).toBe("running");
  });

  it.each([["text"], [NaN], [-5], [1e300], [{ seq: 1 }], [null]])(
    "as the counter of sessions, %s, is CONFIG_MISMATCH for who would hold a key",
    async (seq) => {
      const { presence } = await opened();
      await meta().insertOne({ _id: "sessions", seq });
      await expect(presence.pinger("mine").start()).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
    },
  );

  it("does not hide from prune what is left of a session that is gone", async () => {
    const { presence } = await opened();
    const stamps = { since: new Date(0), changed: new Date(0) };
    const old = { start: 1, slot: 5, meta: "null", revision: 0, last: OPEN, ...stamps };
    const left = { _id: "77.1.1", key: "left", session: 77, pinger: 1, ...old };
    const sessions = ["z", { a: 1 }, new Date(), NaN, 1e300, /./, new BSON.MaxKey()];
    const foreign = sessions.map((session, index) => ({ ...left, _id: `foreign${index}`, session }));
    await collection("records").insertMany([left, ...foreign]);
    expect(await presence.prune()).toMatchObject({ registrations: 1 });
    expect(await db.collection("presence.records").countDocuments({ session: 77 })).toBe(0);
  });
});
