/** Reading sessions, registrations and pings, page by page. Every query goes by an index. */
import type { Collection, Document, Filter, FindOptions } from "mongodb";
import type { PingRecord } from "../../core/bits.ts";
import { type RegistrationRecord, isSameRegistration, type SessionRecord } from "../../core/records.ts";
import { includesKey, isEmptySelection, prefixEnd, type Selection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Cursor, Page, ReadQuery } from "../../core/store.ts";
import { PLAIN } from "./calls.ts";
import type { Context } from "./context.ts";
import { registrationId, dateOf, PING_FIELDS, toRegistration, toPing, toSession } from "./documents.ts";

const PAGE_DOCUMENTS = 1000;
/** Keys in one query: 0.5 MB of names at most. */
const KEYS_MAX = 500;
/** Up to so many keys and prefixes the server picks their changes; above, it is asked for all and we pick. */
const PICKED_MAX = 50;
/** `maxTimeMS` counts the server's work on a whole cursor, ours on each page. */
const PAGES_IN_TIME = 10;

/**
 * The documents of a session and a registration are stamped by the server as they are written, and are seen once a majority
 * has them; and behind a router they are stamped by the clock of their shard, while ours is the router's. So a read goes
 * back by two periods from where the last one began, at least by a second.
 */
const OVERLAP_PERIODS = 2;
const OVERLAP_MS_MIN = 1000;

type Doc = Document & { _id: unknown };

/** Documents in batches, each within the limit. Ending the iteration early kills the cursor on the server. */
export async function* find(
  context: Context,
  collection: string,
  filter: Document,
  options: Pick<FindOptions, "limit" | "projection" | "sort"> = {},
): AsyncGenerator<Doc[]> {
  const { calls, limits } = context;
  const { readConcern } = await context.server();
  const abort = new AbortController();
  const documents: Collection<Doc> = calls.db.collection<Doc>(collection, { readConcern, ...PLAIN });
  const cursor = documents.find(filter as Filter<Doc>, {
    ...options,
    ...PLAIN,
    readConcern,
    readPreference: "primary",
    batchSize: PAGE_DOCUMENTS,
    maxTimeMS: PAGES_IN_TIME * limits.bulkMs,
    signal: abort.signal,
  });
  const next = async (signal: AbortSignal): Promise<Doc[]> => {
    signal.addEventListener("abort", () => abort.abort(), { once: true });
    return (await cursor.hasNext()) ? cursor.readBufferedDocuments() : [];
  };
  try {
    for (;;) {
      const batch = await calls.bounded("read", limits.bulkMs, next);
      if (batch.length === 0) return;
      yield batch;
    }
  } finally {
    await calls.bounded("end a read", limits.closingMs, () => cursor.close()).catch(() => undefined);
  }
}

/** All ping records of the slots from `from` on. */
export async function pings(context: Context, from: Slot): Promise<PingRecord[]> {
  const { pings: collection } = context.names;
  const records: PingRecord[] = [];
  const filter = { slot: { $gte: from } };
  for await (const batch of find(context, collection, filter, { projection: PING_FIELDS })) {
    records.push(...understood(context, collection, batch, toPing));
  }
  return records;
}

/** The sessions with these numbers, as far as they are there. */
async function sessionsOf(context: Context, seqs: readonly number[]): Promise<SessionRecord[]> {
  const records: SessionRecord[] = [];
  for (const some of chunks(seqs, PAGE_DOCUMENTS)) {
    const filter = { _id: { $in: some } };
    for await (const batch of find(context, context.names.sessions, filter)) {
      records.push(...understood(context, context.names.sessions, batch, toSession));
    }
  }
  return records;
}

/** Where a read began: the server's time then, or a little earlier. */
interface MongoCursor extends Cursor {
  readonly store: { readonly ms: number };
}

export async function* read(context: Context, query: ReadQuery): AsyncGenerator<Page> {
  const cursor: MongoCursor = { store: { ms: await context.serverMs() } };
  const told = new Set<number>();
  let page: Page | undefined;
  for await (const next of pages(context, query, told)) {
    if (page !== undefined) yield page;
    page = next;
  }
  yield { sessions: [], registrations: [], ...page, cursor };
}

async function* pages(context: Context, query: ReadQuery, told: Set<number>): AsyncGenerator<Page> {
  const since = sinceOf(context, query);
  for (const filter of sessionFilters(query, since)) {
    for await (const batch of find(context, context.names.sessions, filter)) {
      const sessions = understood(context, context.names.sessions, batch, toSession);
      for (const { seq } of sessions) told.add(seq);
      yield { sessions, registrations: [] };
    }
  }
  for (const filter of registrationFilters(query, since)) {
    for await (const batch of find(context, context.names.registrations, filter)) {
      const all = understood(context, context.names.registrations, batch, toRegistration);
      const registrations = all.filter((registration) => isAsked(query, registration));
      yield await withSessions(context, registrations, told);
    }
  }
}

function isAsked({ select, session, registration }: ReadQuery, found: RegistrationRecord): boolean {
  if (found.session === session || includesKey(select, found.key)) return true;
  return registration !== undefined && isSameRegistration(found, registration);
}

/** The registrations, with those of their sessions that were not told before, and without those that have none. */
export async function withSessions(
  context: Context,
  registrations: readonly RegistrationRecord[],
  told: Set<number>,
): Promise<Page> {
  const untold = [...new Set(registrations.map(({ session }) => session))].filter((seq) => !told.has(seq));
  const sessions = await sessionsOf(context, untold);
  for (const { seq } of sessions) told.add(seq);
  return { sessions, registrations: registrations.filter(({ session }) => told.has(session)) };
}

function sinceOf({ periodMs }: Context, { since }: ReadQuery): Document {
  if (since === undefined) return {};
  const { ms } = (since as MongoCursor).store;
  const overlapMs = Math.max(OVERLAP_PERIODS * periodMs, OVERLAP_MS_MIN);
  return { changed: { $gte: dateOf(ms - overlapMs) } };
}

/** The sessions that are told whether or not a selected registration is theirs. */
function sessionFilters(query: ReadQuery, changed: Document): Document[] {
  const { select, session, withRecord = false, since } = query;
  if (select.all && since === undefined) return [{}]; // the collection: else each page of registrations would ask for its own
  const picks = [
    ...(since === undefined || isEmptySelection(select) ? [] : [changed]), // changed
    ...(withRecord && session !== undefined ? [{ _id: session }] : []), // _id
  ];
  return picks.length < 2 ? picks : [{ $or: picks }]; // one index for each pick
}

/** Together they match all that is asked for; by which index each goes is said beside it. */
function registrationFilters(query: ReadQuery, changed: Document): Document[] {
  const { select, registration, since } = query;
  const filters = selectedFilters(query, changed);
  if (registration === undefined || (select.all && since === undefined)) return filters;
  const [first, ...others] = filters;
  const id = { _id: registrationId(registration) }; // _id
  return [first === undefined ? id : { $or: [first, id] }, ...others]; // in one command
}

function selectedFilters({ select, session, since }: ReadQuery, changed: Document): Document[] {
  const { keys, prefixes } = withoutOverlap(select);
  const own = session === undefined ? [] : [{ session }];
  if (since !== undefined) {
    const picks = [
      ...(keys.length === 0 ? [] : [{ key: { $in: keys } }]),
      ...prefixes.map(startsWith),
      ...own,
    ];
    if (select.all || keys.length + prefixes.length > PICKED_MAX) return [changed]; // changed
    if (picks.length <= 1) return picks.map((pick) => ({ ...changed, ...pick })); // its own
    return [{ ...changed, $or: picks }]; // changed, or one index for each pick
  }
  if (select.all) return [{}]; // the collection, as it lies
  return [
    ...own, // session
    ...chunks(keys, KEYS_MAX).map((some) => ({ key: { $in: some } })), // key
    ...prefixes.map(startsWith), // key
  ];
}

/** Strings are ordered by their UTF-8 bytes, which is by code points, as in `prefixEnd`. */
export function startsWith(prefix: string): Document {
  const end = prefixEnd(prefix);
  return { key: { $gte: prefix, ...(end === undefined ? {} : { $lt: end }) } };
}

/** The selection with nothing in it twice. */
function withoutOverlap({ keys, prefixes }: Selection): { keys: string[]; prefixes: string[] } {
  const widest = [...prefixes].filter((prefix) => {
    return ![...prefixes].some((other) => other !== prefix && prefix.startsWith(other));
  });
  const outside = [...keys].filter((key) => !widest.some((prefix) => key.startsWith(prefix)));
  return { keys: outside, prefixes: widest };
}

/** The records of those documents that heartbit can have written. */
export function understood<T>(
  context: Context,
  collection: string,
  documents: readonly Document[],
  decode: (document: Document) => T | undefined,
): T[] {
  return documents.flatMap((document) => {
    const record = decode(document);
    if (record === undefined) context.foreign(collection, document["_id"]);
    return record ?? [];
  });
}

export function chunks<T>(items: readonly T[], size: number): T[][] {
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += size) result.push(items.slice(at, at + size));
  return result;
}
