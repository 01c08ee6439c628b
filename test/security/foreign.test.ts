import { BSON, type Db, MongoClient } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PresenceOptions, Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { databaseOf } from "../servers/uri.ts";
import { until } from "../support/wait.ts";
import { open } from "./support.ts";

const PERIOD_MS = 600;

interface Foreign {
  readonly _id: unknown;
  readonly [field: string]: unknown;
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

const insert = (part: string, documents: Foreign[]): Promise<unknown> =>
  db.collection<Foreign>(`presence.${part}`).insertMany(documents);

async function offset(): Promise<unknown> {
  const config = await db
    .collection<{ _id: string; offset: unknown }>("presence.meta")
    .findOne({ _id: "config" });
  return config?.offset;
}

interface Opened {
  readonly presence: Presence;
  readonly warnings: string[];
}

async function opened(options: PresenceOptions = {}): Promise<Opened> {
  const warnings: string[] = [];
  const warn = (message: string): unknown => /Passed over|Ignored/.test(message) && warnings.push(message);
  return { presence: await open(uri, { periodMs: PERIOD_MS, logger: { warn }, ...options }), warnings };
}

const HUGE = "x".repeat(1_000_000);
/** In place of a number. */
const NO_COUNTS: unknown[] = [
  "1",
  null,
  true,
  -1,
  1.5,
  NaN,
  Infinity,
  1e300,
  1e15,
  BSON.Long.MAX_VALUE,
  new Date(),
  { $gt: 0 },
  { $numberInt: "1" },
  [1],
  /./,
  new BSON.Decimal128("NaN"),
  new BSON.Timestamp({ t: 1, i: 1 }),
  new BSON.Code("1"),
  new BSON.MinKey(),
  new BSON.MaxKey(),
];
/** Large numbers are no slots, but may be counts. */
const isNotLarge = (value: unknown): boolean => value !== 1e15;
const NO_TEXTS: unknown[] = [null, 5, { $ne: "" }, ["a"], /./, HUGE, new BSON.Binary(Buffer.from("a"))];
const NO_DATES: unknown[] = [null, 5, "2026-01-01", new BSON.Timestamp({ t: 1, i: 1 }), { $date: 1 }];
const IDS: unknown[] = [
  "text",
  "",
  -7,
  7.5,
  NaN,
  new BSON.ObjectId(),
  { seq: 1 },
  new Date(0),
  null,
  true,
  new BSON.Binary(Buffer.from("a")),
  HUGE.slice(0, 900),
];

/** Documents with one field each that cannot be; `fields` have their proper values. */
function spoilt(
  fields: Readonly<Record<string, unknown>>,
  wrong: Readonly<Record<string, unknown[]>>,
): Record<string, unknown>[] {
  const missing = Object.keys(fields).map((name) => {
    const { [name]: _, ...rest } = fields;
    return rest;
  });
  const changed = Object.entries(wrong).flatMap(([name, values]) =>
    values.map((value) => ({ ...fields, [name]: value })),
  );
  return [...missing, ...changed];
}

const OPEN = 2 ** 53 - 1;

function foreignSessions(slot: number): Foreign[] {
  const fields = { host: "h", pid: 1, opened: new Date(), slot, last: OPEN, changed: new Date() };
  const wrong = { host: NO_TEXTS, pid: NO_COUNTS, opened: NO_DATES, slot: NO_COUNTS, last: NO_COUNTS };
  const documents = spoilt(fields, wrong).map((document, index) => {
    return { _id: 1000 + index, session: 1000 + index, ...document };
  });
  const unlike = [null, "2000", 2001, {}].map((session, index) => ({
    _id: 2000 + 2 * index,
    session,
    ...fields,
  }));
  return [...documents, ...unlike, ...IDS.map((id) => ({ _id: id, session: id, ...fields }))];
}

/** Of session 1, which is there. */
function foreignRegistrations(slot: number): Foreign[] {
  const since = new Date();
  const fields = {
    key: "foreign",
    session: 1,
    pinger: 9,
    start: 1,
    since,
    slot,
    meta: "1",
    revision: 0,
    last: OPEN,
  };
  const wrong = {
    key: [...NO_TEXTS, ""],
    session: NO_COUNTS,
    pinger: NO_COUNTS.filter(isNotLarge),
    start: NO_COUNTS.filter(isNotLarge),
    since: NO_DATES,
    slot: NO_COUNTS,
    meta: [...NO_TEXTS, "{", "", "undefined"],
    revision: NO_COUNTS.filter(isNotLarge),
    last: NO_COUNTS,
    changed: NO_DATES,
  };
  const documents = spoilt({ ...fields, changed: since }, wrong).map((document, index) => {
    const { session, start } = document;
    // A pinger of its own, and the name that goes with it, so that nothing but the field is wrong.
    const own = document["pinger"] === 9 ? { ...document, pinger: 9 + index } : document;
    return { _id: `${String(session)}.${String(own["pinger"])}.${String(start)}`, ...own };
  });
  const ids = new Set<string>();
  const unique = documents.filter(({ _id: id }) => !ids.has(id) && ids.add(id));
  const named = IDS.map((id) => ({
    ...fields,
    _id: typeof id === "string" ? `${id}-` : { id },
    changed: since,
  }));
  return [...unique, ...named];
}

function foreignPings(slot: number): Foreign[] {
  const words = NO_COUNTS.filter((value) => value !== -1).map((value, index) => ({
    _id: `${slot}.${index + 10}`,
    slot,
    0: value,
  }));
  const slots = NO_COUNTS.map((value, index) => ({ _id: `${String(value)}.${index}`, slot: value, 0: 2 }));
  const names = ["", " ", "00", "0x1", "1e1", "32", "-1", "a", "__proto__", "0.0"].map((name, index) => ({
    _id: `${slot}.${index + 100}`,
    slot,
    [name]: 2,
  }));
  const segments = ["", "a", "-1", "1.5", "1e3", "9007199254740991"].map((name) => ({
    _id: `${slot}.${name}`,
    slot,
    0: 2,
  }));
  return [...words, ...slots, ...names, ...segments, ...IDS.map((id) => ({ _id: id, slot, 0: 2 }))];
}

const slotNow = (): number => Math.floor(Date.now() / PERIOD_MS);

describe("documents that heartbit did not write", () => {
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
      await insert("records", [...foreignSessions(slotNow()), ...foreignRegistrations(slotNow())]);
      await insert("pings", foreignPings(slotNow()));

      await other.presence.pinger("joiner").start();
      await until(() => heard.includes("joiner joined"));
      await leaver.stop();
      await until(() => heard.includes("leaver stopped"));
      await watcher.sync();
      expect(heard).toEqual(["mine initial", "leaver initial", "joiner joined", "leaver stopped"]);
      expect(watcher.state).toBe("running");
      const { keys, confirmed } = await presence.list();
      expect(confirmed).toBe(true);
      expect(keys.map(({ key, alive }) => `${key} ${alive}`)).toEqual([
        "joiner true",
        "leaver false",
        "mine true",
      ]);
      await presence.prune();
      await until(() => presence.health.state === "healthy");
      expect(warnings.filter((line) => line.includes("unrecognized documents"))).toHaveLength(1);
      expect(warnings.filter((line) => line.includes("100 years"))).toHaveLength(1);
      expect(warnings).toHaveLength(2);
      expect(await offset()).toBe(0);
    },
  );
});

describe("a number that is wrong", () => {
  it("in a ping ahead of the present by more than 100 years moves nothing", async () => {
    const { presence, warnings } = await opened();
    await presence.pinger("mine").start();
    const watcher = presence.watcher();
    await watcher.sync();
    for (const slot of [1e15, Number.MAX_SAFE_INTEGER, 2e10 * 10]) {
      await insert("pings", [{ _id: `${slot}.0`, slot, 0: 2, now: new Date() }]);
    }
    await watcher.sync();
    const late = await opened();
    expect((await late.presence.list()).keys).toMatchObject([{ key: "mine", alive: true }]);
    expect(await offset()).toBe(0);
    expect(warnings).toHaveLength(1);
    expect(watcher.state).toBe("running");
  });

  it.each([
    ["a day", 24 * 3_600_000],
    ["sixty years", 60 * 365.25 * 24 * 3_600_000],
  ])(
    "is not a ping that is ahead by %s: the store's clock has stepped back, and is followed",
    async (_, ms) => {
      const slots = Math.floor(ms / PERIOD_MS);
      await opened();
      const ahead = slotNow() + slots;
      await insert("pings", [{ _id: `${ahead}.0`, slot: ahead, 0: 2, now: new Date(ahead * PERIOD_MS) }]);
      const { presence, warnings } = await opened();
      await presence.pinger("mine").start();
      const watcher = presence.watcher();
      const heard: string[] = [];
      watcher.watch({ all: true }, ({ key, cause }) => heard.push(`${key} ${cause}`));
      await watcher.sync();
      expect(heard).toEqual(["mine initial"]);
      expect(Math.abs(Number(await offset()) - slots)).toBeLessThan(30);
      expect(warnings).toEqual([]);
    },
  );

  it("in the config is CONFIG_MISMATCH for a new presence, and does not stop a running one", async () => {
    const { presence } = await opened();
    await presence.pinger("mine").start();
    const watcher = presence.watcher();
    await watcher.sync();
    const meta = db.collection<{ _id: string }>("presence.meta");
    for (const wrong of [
      { offset: 1e15 },
      { offset: NaN },
      { offset: "0" },
      { period: {} },
      { version: [1] },
    ]) {
      await meta.updateOne({ _id: "config" }, { $set: wrong });
      await expect(opened()).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
      await meta.updateOne({ _id: "config" }, { $set: { offset: 0, period: PERIOD_MS, version: 2 } });
    }
    await meta.updateOne({ _id: "config" }, { $set: { offset: { $gt: 0 } } });
    await watcher.sync();
    expect(await watcher.alive("mine")).toBe(true);
    await presence.pinger("other").start();
    expect(watcher.state).toBe("running");
  });

  it.each([["text"], [NaN], [-5], [1e300], [{ seq: 1 }], [null]])(
    "as the counter of sessions, %s, is CONFIG_MISMATCH for who would hold a key",
    async (seq) => {
      const { presence } = await opened();
      await insert("meta", [{ _id: "sessions", seq }]);
      await expect(presence.pinger("mine").start()).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
    },
  );

  it("does not hide from prune what is left of a session that is gone", async () => {
    const { presence } = await opened();
    const stamps = { since: new Date(0), changed: new Date(0) };
    const old = { start: 1, slot: 5, meta: "null", revision: 0, last: OPEN, ...stamps };
    const left = { _id: "77.1.1", key: "left", session: 77, pinger: 1, ...old };
    const foreign = ["z", { a: 1 }, new Date(), NaN, 1e300, /./, new BSON.MaxKey()].map((session, index) => ({
      ...left,
      _id: `foreign${index}`,
      session,
    }));
    await insert("records", [left, ...foreign]);
    expect(await presence.prune()).toMatchObject({ registrations: 1 });
    expect(await db.collection("presence.records").countDocuments({ session: 77 })).toBe(0);
  });
});
