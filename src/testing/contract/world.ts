/** The world of each test of the contract: a namespace of its own, and helpers to fill and read it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { isHeartbitError } from "../../core/errors.ts";
import {
  type Config,
  FORMAT_VERSION,
  type RegistrationId,
  type RegistrationRecord,
  type SessionRecord,
} from "../../core/records.ts";
import { NOTHING, select, type Selection, type WatchTarget } from "../../core/selection.ts";
import type { Cursor, Namespace, Page, ReadQuery, Store, Write } from "../../core/store.ts";
import { turn } from "../../lib/turn.ts";
import { randomWords } from "../random.ts";
import type { MakeStore } from "./make-store.ts";

/** Declares its tests with `test`. */
export type Suite = (test: (sentence: string, body: (world: World) => Promise<void>) => void) => void;

/** Long, because a store's time limits may follow the period and are not part of the contract. */
const PERIOD_MS = 60_000;
export const CONFIG: Config = {
  version: FORMAT_VERSION,
  periodMs: PERIOD_MS,
  offset: 0,
  retentionSlots: 120,
  base: 0,
};

export interface World {
  readonly store: Store;
  readonly name: string;
  /** The namespace under test, not yet configured. */
  readonly ns: Namespace;
  /** The slot now. Tests stay close to it, because a store may delete old pings by itself. */
  readonly slot: number;
  /** The same namespace, seen by another client of the store. */
  readonly another: () => Namespace;
  /** Another namespace of the store, dropped at the end as well. */
  readonly other: (name: string) => Namespace;
  /** Another store, which the test closes. */
  readonly makeStore: MakeStore;
}

/** Runs the body in a world of its own, and cleans up after it. */
export async function inWorld(makeStore: MakeStore, body: (world: World) => Promise<void>): Promise<void> {
  const store = await makeStore();
  const name = `contract-${randomBytes(8).toString("hex")}`;
  const opened: Namespace[] = [];
  const other = (of: string): Namespace => {
    const namespace = store.namespace(of, { periodMs: PERIOD_MS, retentionSlots: 120 });
    opened.push(namespace);
    return namespace;
  };
  const ns = other(name);
  try {
    const slot = Math.floor((await repeated(() => ns.time())) / PERIOD_MS);
    await body({ store, name, ns, slot, another: () => other(name), other, makeStore });
  } finally {
    for (const namespace of opened) {
      await repeated(() => namespace.drop());
      await namespace.close();
    }
    await store.close();
  }
}

/**
 * Repeats a call while the store cannot answer now, as a presence does. On a busy machine calls reach their time
 * limits, which does not breach the contract.
 */
async function repeated<T>(call: () => Promise<T>, attempts = 20): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (attempts === 1 || !isHeartbitError(error, "STORE_UNAVAILABLE")) throw error;
    return repeated(call, attempts - 1);
  }
}

/** Like `inWorld`, with the namespace configured. */
export function configured(body: (world: World) => Promise<void>): (world: World) => Promise<void> {
  return async (world) => {
    await repeated(() => world.ns.configure(CONFIG));
    await body(world);
  };
}

// ---- records

export function aSession(seq: number, slot: number, more: Partial<SessionRecord> = {}): SessionRecord {
  return { seq, host: `host-${seq}`, pid: 1000 + seq, opened: slot * PERIOD_MS, slot, ...more };
}

export function aRegistration(
  session: number,
  key: string,
  slot: number,
  more: Partial<RegistrationRecord> = {},
): RegistrationRecord {
  const since = slot * PERIOD_MS + 17;
  return { session, pinger: 1, start: 1, key, since, slot, meta: "{}", revision: 0, ...more };
}

export const put = {
  session: (session: SessionRecord): Write => ({ kind: "session", session }),
  registration: (registration: RegistrationRecord): Write => ({ kind: "registration", registration }),
  newRegistration: (registration: RegistrationRecord): Write => {
    return { kind: "registration", registration, isNew: true };
  },
  end: ({ session, pinger, start }: RegistrationId, last: number): Write => ({
    kind: "end",
    registration: { session, pinger, start },
    last,
  }),
  meta: (registration: RegistrationId, meta: string, revision: number): Write => ({
    kind: "meta",
    registration,
    meta,
    revision,
  }),
  touch: (session: number, slot: number): Write => ({ kind: "touch", session, slot }),
  endSession: (session: number, last: number): Write => ({ kind: "endSession", session, last }),
};

export const idOf = ({ session, pinger, start }: RegistrationId): string => `${session}.${pinger}.${start}`;

/** The record as it was written: without the store's stamp, and with an absent `last` as undefined. */
export function plain(record: SessionRecord | RegistrationRecord): Record<string, unknown> {
  const { changed: _, last, ...rest } = record;
  return { ...rest, last };
}

// ---- reading

/** Everything that a read returned. */
export interface Found {
  readonly pages: readonly Page[];
  readonly sessions: ReadonlyMap<number, SessionRecord>;
  readonly registrations: ReadonlyMap<string, RegistrationRecord>;
  readonly cursor: Cursor;
}

export interface Wanted extends Omit<ReadQuery, "select"> {
  readonly select?: Selection;
}

export const everything = (): Selection => select([{ all: true }]);
export const only = (...targets: WatchTarget[]): Selection => select(targets);

/**
 * Reads to the end, and checks the promises of every read: a cursor on the last page, no registration before its
 * session.
 */
export async function readAll(
  ns: Namespace,
  { select: selection = NOTHING, ...more }: Wanted,
): Promise<Found> {
  const pages: Page[] = [];
  for await (const page of ns.read({ select: selection, registrations: "all", ...more })) pages.push(page);
  const sessions = new Map<number, SessionRecord>();
  const registrations = new Map<string, RegistrationRecord>();
  for (const page of pages) {
    for (const session of page.sessions) sessions.set(session.seq, session);
    for (const registration of page.registrations) {
      assert.ok(sessions.has(registration.session), `${idOf(registration)} came before its session`);
      registrations.set(idOf(registration), registration);
    }
  }
  const cursor = pages.at(-1)?.cursor;
  assert.ok(cursor !== undefined, "a read gives at least one page, and the last one has a cursor");
  return { pages, sessions, registrations, cursor };
}

/** The keys that were found, sorted. */
export function keysOf(found: Found): string[] {
  return [...found.registrations.values()].map(({ key }) => key).toSorted();
}

export async function readSession(ns: Namespace, seq: number): Promise<SessionRecord> {
  const session = (await readAll(ns, { session: seq })).sessions.get(seq);
  assert.ok(session !== undefined, `session ${seq} is stored`);
  return session;
}

export async function readRegistration(ns: Namespace, id: RegistrationId): Promise<RegistrationRecord> {
  const registration = (await readAll(ns, { session: id.session })).registrations.get(idOf(id));
  assert.ok(registration !== undefined, `registration ${idOf(id)} is stored`);
  return registration;
}

/** Resolves with the store's time once it is later than `ms`. */
export async function timeAfter(ns: Namespace, ms: number): Promise<number> {
  for (;;) {
    const now = await ns.time();
    if (now > ms) return now;
    await turn();
  }
}

// ---- random numbers

/** Random numbers below `limit`, the same for the same seed. */
export function randomNumbers(seed: number): (limit: number) => number {
  const next = randomWords(seed);
  return (limit) => next() % limit;
}

/** The items in a random order. */
export function shuffled<T>(items: readonly T[], random: (limit: number) => number): T[] {
  return items
    .map((item) => ({ item, order: random(2 ** 31) }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
