/** Reads sessions, registrations and pings, page by page. Every query uses an index. */
import type { Document } from "mongodb";
import type { PingRecord } from "../../core/bits.ts";
import type { RegistrationRecord, SessionRecord } from "../../core/records.ts";
import {
  includesKey,
  isEmptySelection,
  prefixEnd,
  type Selection,
  withoutOverlap,
} from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Cursor, OpenRecords, Page, ReadQuery } from "../../core/store.ts";
import type { Context } from "./context.ts";
import { dateOf, OPEN, PING_FIELDS, toPing, toRegistration, toSession } from "./documents.ts";
import { find, MANY_PAGES, PAGE_DOCUMENTS } from "./find.ts";
import { reachedMs } from "./time.ts";

/** Keys in one query: 0.5 MB of names at most. */
const KEYS_MAX = 500;
/** Up to this many keys and prefixes the server filters changes; above, it returns all of them and we filter. */
const PICKED_MAX = 50;

/**
 * The server stamps documents when they are written, and they become visible once a majority has them. So a read goes
 * back two periods, at least a second, from the start of the previous one.
 */
const OVERLAP_PERIODS = 2;
const OVERLAP_MS_MIN = 1000;

/** How far back a read of changes goes, in ms. */
export function overlapMs(periodMs: number): number {
  return Math.max(OVERLAP_PERIODS * periodMs, OVERLAP_MS_MIN);
}

/** The `_id`s of sessions, and of registrations: a comparison matches only values of its own type. */
export const SESSION_IDS = { $gte: 0 };
export const REGISTRATION_IDS = { $gte: "" };

/** All ping records from slot `from` on. */
export async function pings(context: Context, from: Slot): Promise<PingRecord[]> {
  const { pings: collection } = context.names;
  const records: PingRecord[] = [];
  const filter = { slot: { $gte: from } };
  for await (const batch of find(context, collection, filter, { projection: PING_FIELDS })) {
    records.push(...understood(context, collection, batch, toPing));
  }
  const latestMs = records.reduce((latest, { ms }) => Math.max(latest, ms), 0);
  if (latestMs > 0) context.clock.overhear(latestMs);
  return records;
}

/**
 * How many records of the session are open, and when it was opened. An aggregation that uses only the fields of one
 * index needs no documents, but goes through an entry for each key. (The command `count` could not return the time, and
 * is not in the Stable API of every release.)
 */
export async function countOpen(context: Context, session: number): Promise<OpenRecords> {
  const { calls, limits, names } = context;
  const { readConcern } = await context.server();
  const pipeline = [
    { $match: { session, last: OPEN } },
    { $group: { _id: null, count: { $sum: 1 }, opened: { $max: "$opened" } } },
  ];
  const command = { aggregate: names.records, pipeline, cursor: {}, readConcern };
  const { cursor } = await calls.command("count", command, limits.bulkMs);
  const [found] = (cursor as { firstBatch: Document[] }).firstBatch;
  const opened: unknown = found?.["opened"];
  return {
    count: Number(found?.["count"] ?? 0),
    opened: opened instanceof Date ? opened.getTime() : undefined,
  };
}

/** The stored sessions with these numbers. */
async function sessionsOf(context: Context, seqs: readonly number[]): Promise<SessionRecord[]> {
  const records: SessionRecord[] = [];
  for (const some of chunks(seqs, PAGE_DOCUMENTS)) {
    for await (const batch of find(context, context.names.records, { _id: { $in: some } })) {
      records.push(...recordsIn(context, batch).sessions);
    }
  }
  return records;
}

/** The start of a read: the server's time then, or a little earlier. */
interface MongoCursor extends Cursor {
  readonly store: { readonly ms: number };
}

export async function* read(context: Context, query: ReadQuery): AsyncGenerator<Page> {
  const cursor: MongoCursor = { store: { ms: await reachedMs(context) } };
  let isEmpty = true;
  for await (const page of pages(context, query)) {
    isEmpty = false;
    yield { ...page, cursor };
  }
  if (isEmpty) yield { sessions: [], registrations: [], cursor };
}

/** Each page is one answer of the server, since the caller waits for a page only so long. */
async function* pages(context: Context, query: ReadQuery): AsyncGenerator<Page> {
  const given = new Set<number>();
  for (const filter of filtersOf(context, query)) {
    for await (const batch of find(context, context.names.records, filter, {}, MANY_PAGES)) {
      const { sessions, registrations } = recordsIn(context, batch);
      for (const { seq } of sessions) given.add(seq);
      const asked = registrations.filter((registration) => isAsked(query, registration));
      const waiting = asked.filter(({ session }) => !given.has(session));
      yield { sessions, registrations: asked.filter(({ session }) => given.has(session)) };
      if (waiting.length > 0) yield await withSessions(context, waiting, given);
    }
  }
}

function isAsked({ select, session, registrations }: ReadQuery, found: RegistrationRecord): boolean {
  if (includesKey(select, found.key)) return true;
  if (found.session !== session) return false;
  return registrations === "all" || (registrations === "ended" && found.last !== undefined);
}

/**
 * The registrations with their sessions, unless these were returned before; without registrations that lack a session.
 */
export async function withSessions(
  context: Context,
  registrations: readonly RegistrationRecord[],
  given: Set<number>,
): Promise<Page> {
  const missing = [...new Set(registrations.map(({ session }) => session))].filter((seq) => !given.has(seq));
  const sessions = await sessionsOf(context, missing);
  for (const { seq } of sessions) given.add(seq);
  return { sessions, registrations: registrations.filter(({ session }) => given.has(session)) };
}

/** Filters that together match everything requested. A comment names the index of each part. */
function filtersOf(context: Context, query: ReadQuery): Document[] {
  const { select, since } = query;
  // In the order of `_id`, a session comes before its registrations, so pages need not ask for sessions.
  if (select.all && since === undefined) return [{}];
  const own = ownFilters(query);
  if (since !== undefined) {
    const parts = isEmptySelection(select) ? own : [changedFilter(context, select, since), ...own];
    return parts.length < 2 ? parts : [{ $or: parts }]; // in one command, one index for each part
  }
  const { keys, prefixes } = partsOf(select);
  return [
    ...(own.length < 2 ? own : [{ $or: own }]),
    ...chunks(keys, KEYS_MAX).map((some) => ({ key: { $in: some } })), // key
    ...prefixes.map(startsWith), // key
  ];
}

/** The filters for the requested session. */
function ownFilters({ session, registrations }: ReadQuery): Document[] {
  if (session === undefined) return [];
  if (registrations === "all") return [{ session }]; // session_last; the session's own record has it too
  const ended = { session, last: { $lt: OPEN } }; // session_last
  return [{ _id: session }, ...(registrations === "ended" ? [ended] : [])];
}

/** The filters for changes of sessions, and of the selected registrations. */
function changedFilter({ periodMs }: Context, select: Selection, since: Cursor): Document {
  const { ms } = (since as MongoCursor).store;
  const changed = { changed: { $gte: dateOf(ms - overlapMs(periodMs)) } };
  const { keys, prefixes } = partsOf(select);
  if (select.all || keys.length + prefixes.length > PICKED_MAX) return changed; // changed
  const picked = [...(keys.length === 0 ? [] : [{ key: { $in: keys } }]), ...prefixes.map(startsWith)];
  return { ...changed, $or: [{ _id: SESSION_IDS }, ...picked] }; // changed, or one index for each part
}

/** Strings are ordered by their UTF-8 bytes, which is by code points, as in `prefixEnd`. */
export function startsWith(prefix: string): Document {
  const end = prefixEnd(prefix);
  return { key: { $gte: prefix, ...(end === undefined ? {} : { $lt: end }) } };
}

/** The keys and prefixes of the selection, without overlaps. */
function partsOf(select: Selection): { keys: string[]; prefixes: string[] } {
  const { keys, prefixes } = withoutOverlap(select);
  return { keys: [...keys], prefixes: [...prefixes] };
}

export function recordsIn(
  context: Context,
  documents: readonly Document[],
): { readonly sessions: SessionRecord[]; readonly registrations: RegistrationRecord[] } {
  const { records } = context.names;
  const others = documents.filter((document) => !isSession(document));
  return {
    sessions: understood(context, records, documents.filter(isSession), toSession),
    registrations: understood(context, records, others, toRegistration),
  };
}

function isSession({ _id: id }: Document): boolean {
  return typeof id === "number";
}

/** The records of the documents, without unrecognized ones. */
function understood<T>(
  context: Context,
  collection: string,
  documents: readonly Document[],
  decode: (document: Document) => T | undefined,
): T[] {
  return documents.flatMap((document) => {
    const record = decode(document);
    if (record === undefined) context.unrecognized(collection, document["_id"]);
    return record ?? [];
  });
}

export function chunks<T>(items: readonly T[], size: number): T[][] {
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += size) result.push(items.slice(at, at + size));
  return result;
}
