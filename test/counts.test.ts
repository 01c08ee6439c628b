/**
 * What heartbit asks of its store, in counts that do not vary: calls, commands, documents, bytes. Who changes one of
 * these numbers changes what heartbit costs. Where that is meant, change the number with it.
 */
import {
  BSON,
  type CommandStartedEvent,
  type CommandSucceededEvent,
  type Document,
  MongoClient,
} from "mongodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SEGMENT_WORDS } from "../src/core/bits.ts";
import { EVERYTHING, NOTHING } from "../src/core/selection.ts";
import { FORMAT_VERSION } from "../src/core/records.ts";
import type { Namespace, ReadQuery, Store, Write } from "../src/core/store.ts";
import { Presence, type PresenceOptions } from "../src/index.ts";
import { mongoStore } from "../src/stores/mongo/index.ts";
import { ManualClock, MemoryStore } from "../src/testing/index.ts";
import { wrap } from "./presence/support.ts";
import { newDatabase } from "./servers/database.ts";

const KEYS = 1000;
/** Of a word. */
const BITS = 32;

type Counts = Record<string, number>;

/**
 * A process that holds keys pings, counts its records now and then, and reads the config more rarely: at most 1.3
 * commands a ping.
 */
describe("calls of the store in 32 slots", () => {
  const PERIOD_MS = 5000;
  let clock: ManualClock;
  let store: Store;
  let calls: Counts;
  beforeEach(() => {
    clock = new ManualClock();
    calls = {};
    store = counting(new MemoryStore({ clock }), (call) => (calls[call] = (calls[call] ?? 0) + 1));
  });

  /** Pruning is by chance, in one slot of so many: not in these slots. */
  const retentionSlots = 100_000;

  const holds = { ping: 32, countOpen: 8, config: 1 };
  const watches = { ...holds, pings: 32, read: 16 };
  it.each<{ what: string; options?: PresenceOptions; keys: number; isWatching: boolean; expected: Counts }>([
    { what: "opened, and nothing else", keys: 0, isWatching: false, expected: {} },
    { what: "holds a key", keys: 1, isWatching: false, expected: holds },
    { what: "holds 1,000 keys", keys: KEYS, isWatching: false, expected: holds },
    { what: "watches, and holds nothing", keys: 0, isWatching: true, expected: watches },
    { what: "holds 1,000 keys, and watches them", keys: KEYS, isWatching: true, expected: watches },
    {
      what: "watches, where there is no feed",
      options: { feed: "poll" },
      keys: 0,
      isWatching: true,
      expected: { ...watches, read: 192 },
    },
  ])("$what", async ({ options, keys, isWatching, expected }) => {
    const presence = await Presence.open(store, { clock, periodMs: PERIOD_MS, retentionSlots, ...options });
    const starting = all(keys).map((key) => presence.pinger(`key-${key}`).start());
    if (isWatching) presence.watcher().watch({ all: true }, () => {});
    await clock.advance(32 * PERIOD_MS);
    await Promise.all(starting);
    calls = {};
    await clock.advance(32 * PERIOD_MS);
    expect(calls).toEqual(expected);
  });
});

describe("commands of a call, with their bytes and those of the documents found", () => {
  /** Long: the time limits of calls follow it, and are not what is counted here. */
  const SCALE = { periodMs: 60_000, retentionSlots: 120 };
  const SLOT = 360_000_000;
  let client: MongoClient;
  let namespace: Namespace;
  let counts: Counts;
  beforeEach(async () => {
    client = new MongoClient(newDatabase(), { monitorCommands: true });
    namespace = mongoStore(client.db()).namespace("presence", SCALE);
    await namespace.configure({ version: FORMAT_VERSION, ...SCALE, offset: 0, base: 0 });
    await namespace.write([sessionOf(1), registrationOf(0)]);
    // A session of each word: so the documents are as long as those of 1,024 sessions.
    for (const slot of [SLOT - 1, SLOT])
      for (const word of all(SEGMENT_WORDS)) await namespace.ping(slot, word * BITS);
    counts = {};
    const count = (what: string, by: number): void => void (counts[what] = (counts[what] ?? 0) + by);
    client.on("commandStarted", ({ commandName, command }: CommandStartedEvent) => {
      // What the driver adds to each command depends on its version.
      const { lsid: _, $clusterTime: __, $db: ___, ...own } = command;
      count(commandName, 1);
      count("sent", BSON.serialize(own).length);
    });
    client.on("commandSucceeded", ({ reply }: CommandSucceededEvent) => {
      const { cursor }: Document = reply as Document;
      const found: Document[] = cursor?.firstBatch ?? [];
      for (const document of found) {
        count("documents", 1);
        count("bytes", BSON.serialize(document).length);
      }
    });
  });
  afterEach(async () => {
    await namespace.close();
    await client.close();
  });

  const sessionOf = (seq: number): Write => ({
    kind: "session",
    session: { seq, host: "here", pid: 1, opened: Date.now(), slot: SLOT },
  });
  const registrationOf = (pinger: number): Write => {
    const id = { session: 1, pinger, start: 1 };
    const key = `key-${String(pinger).padStart(4, "0")}`;
    return {
      kind: "registration",
      registration: { ...id, key, since: Date.now(), slot: SLOT, meta: "null", revision: 0 },
    };
  };

  async function read(query: ReadQuery): Promise<void> {
    for await (const page of namespace.read(query)) void page;
  }

  /** A place in the stream of changes after which nothing has changed. */
  const QUIET = { store: { ms: Date.now() + 3_600_000 } };

  it.each<{ what: string; expected: Counts; call: () => Promise<unknown> }>([
    { what: "a ping", expected: { findAndModify: 1, sent: 339 }, call: () => namespace.ping(SLOT, 1) },
    {
      what: "mail for a session",
      expected: { update: 1, sent: 253 },
      call: () => namespace.mail(SLOT, [1]),
    },
    {
      what: "mail for 1,024 sessions",
      expected: { update: 1, sent: 926 },
      call: () => namespace.mail(SLOT, all(1024)),
    },
    {
      what: "counting what is open of a session",
      expected: { aggregate: 1, sent: 230, documents: 1, bytes: 37 },
      call: () => namespace.countOpen(1),
    },
    {
      what: "reading all records of a session",
      expected: { find: 1, sent: 126, documents: 2, bytes: 267 },
      call: () => read({ select: NOTHING, session: 1, registrations: "all" }),
    },
    {
      what: "reading what of a session has been ended",
      expected: { find: 1, sent: 185, documents: 1, bytes: 108 },
      call: () => read({ select: NOTHING, session: 1, registrations: "ended" }),
    },
    {
      what: "reading the pings of two slots",
      expected: { find: 1, sent: 183, documents: 2, bytes: 592 },
      call: () => namespace.pings(SLOT - 1),
    },
    {
      what: "reading what has changed of all, where nothing has",
      expected: { find: 1, sent: 141 },
      call: () => read({ select: EVERYTHING, since: QUIET }),
    },
    {
      what: "reading the config",
      expected: { find: 1, sent: 130, documents: 1, bytes: 96 },
      call: () => namespace.config(),
    },
    {
      what: "starting a key",
      expected: { update: 1, sent: 362 },
      call: () => namespace.write([registrationOf(1)]),
    },
    {
      what: "starting 1,000 keys",
      expected: { update: 4, sent: 243_938 },
      call: () => namespace.write(all(KEYS).map(registrationOf)),
    },
    { what: "ending a key", expected: { update: 1, sent: 231 }, call: () => namespace.write([endOf(0)]) },
    {
      what: "ending a session",
      expected: { update: 1, sent: 225 },
      call: () => namespace.write([{ kind: "endSession", session: 1, last: 0 }]),
    },
    { what: "killing a key", expected: { update: 1, sent: 252 }, call: () => namespace.kill("key-0000") },
  ])("$what", async ({ call, expected }) => {
    await call();
    expect(counts).toEqual(expected);
  });
});

function all(count: number): number[] {
  return Array.from({ length: count }, (_, seq) => seq);
}

function endOf(pinger: number): Write {
  return { kind: "end", registration: { session: 1, pinger, start: 1 }, last: 0 };
}

/** The store, which notes each call of its namespaces. */
function counting(store: Store, note: (call: string) => void): Store {
  return wrap(
    store,
    (namespace) =>
      new Proxy(namespace, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function") return member;
          return (...given: unknown[]): unknown => {
            note(String(name));
            return member.apply(target, given) as unknown;
          };
        },
      }),
  );
}
