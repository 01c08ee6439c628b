/**
 * Deletes records that have been dead for longer than the retention. Each is found by an index, and deleted on the
 * condition that it is still old, which spares records that were written again in between.
 */
import type { Document } from "mongodb";
import type { Slot } from "../../core/slots.ts";
import type { Pruned, PruneQuery } from "../../core/store.ts";
import type { Context } from "./context.ts";
import { CONFIG_ID, dateOf, IS_REGISTRATION, IS_SESSION, OPEN } from "./documents.ts";
import { find } from "./find.ts";
import { chunks } from "./reading.ts";

/** How many records one command names: so few that a slow server answers in time, and serves others in between. */
const NAMED_MAX = 250;

/** The possible numbers of a session. */
const NUMBERS = { $gte: 0, $lte: Number.MAX_SAFE_INTEGER };

export async function prune(context: Context, query: PruneQuery): Promise<Pruned> {
  const { names } = context;
  const before = { $lt: query.beforeSlot };
  const unchanged = { changed: { $lte: dateOf(query.beforeMs) } };
  const ended = { last: { $gte: 0, ...before }, slot: before, ...unchanged, ...IS_REGISTRATION };
  const unended = { last: OPEN, slot: before, ...unchanged, ...IS_REGISTRATION };
  const gone = { ...oldSessions(query.beforeSlot), ...unchanged };

  const slots = await removeAll(context, names.pings, { slot: before }, query.limit);
  await note(context, query.beforeSlot);
  let registrations = await removeAll(context, names.records, ended, query.limit);

  // All of them, page by page: many may have planned absences left, and must not hide the others.
  let sessions = 0;
  for await (const over of old(context, gone)) {
    const backed = { session: { $in: over }, ...unended };
    registrations += await removeAll(context, names.records, backed, query.limit - registrations);
    // At the limit, dead registrations may be left that keep their session; the caller calls again.
    if (registrations >= query.limit) return { sessions, registrations, slots };
    const remaining = { session: { $in: over }, ...IS_REGISTRATION };
    const held = new Set(await fieldOf(context, names.records, remaining, "session", Infinity));
    const free = over.filter((seq) => !held.has(seq)).slice(0, query.limit - sessions);
    sessions += await remove(context, names.records, free, gone);
    if (sessions >= query.limit) break;
  }
  const orphans = { session: { $in: await missingSessions(context, query.limit) }, ...unended };
  registrations += await removeAll(context, names.records, orphans, query.limit - registrations);
  return { sessions, registrations, slots };
}

/** The `_id`s of the matching records, a few at a time. */
async function* old(context: Context, filter: Document): AsyncGenerator<unknown[]> {
  for await (const batch of find(context, context.names.records, filter, { projection: { _id: 1 } })) {
    yield* chunks(
      batch.map(({ _id: id }) => id),
      NAMED_MAX,
    );
  }
}

/** Sessions that were closed before the slot, or are open without a sign of life since. */
export function oldSessions(beforeSlot: Slot): Document {
  const last = { $not: { $gte: beforeSlot, $lt: OPEN } };
  return { slot: { $lt: beforeSlot }, last, ...IS_SESSION };
}

/**
 * Missing sessions of stored registrations: left over if a write that was given up happens after all, long after its
 * session was pruned. Each call searches a stretch of the registrations from a random place on. So they are found
 * eventually, at the same cost however many registrations there are.
 */
async function missingSessions(context: Context, limit: number): Promise<unknown[]> {
  const { records } = context.names;
  const holders = async (where: Document, most: number, order: 1 | -1 = 1): Promise<unknown[]> => {
    // Numbers only: unrecognized values sort above them, and must not hide them.
    const filter = { session: { ...NUMBERS, ...where }, ...IS_REGISTRATION };
    return fieldOf(context, records, filter, "session", most, order);
  };
  const [newest] = await holders({}, 1, -1);
  if (typeof newest !== "number") return [];
  const from = Math.random() * newest;
  const above = await holders({ $gte: from }, limit);
  const below = await holders({ $lt: from }, limit - above.length);
  const named = [...new Set([...above, ...below])];
  const there = new Set<unknown>();
  for (const some of chunks(named, NAMED_MAX)) {
    for (const seq of await idsOf(context, records, { _id: { $in: some } }, Infinity)) there.add(seq);
  }
  return named.filter((seq) => !there.has(seq));
}

/** Notes that this presence has pruned, for others whose turn comes next. */
async function note({ send, limits, names }: Context, beforeSlot: Slot): Promise<void> {
  const updates = [{ q: { _id: CONFIG_ID }, u: { $max: { pruned: beforeSlot } } }];
  await send("prune", { update: names.meta, updates }, limits.bulkMs);
}

async function removeAll(
  context: Context,
  collection: string,
  filter: Document,
  limit: number,
): Promise<number> {
  return remove(context, collection, await idsOf(context, collection, filter, limit), filter);
}

async function remove(
  { send, limits }: Context,
  collection: string,
  ids: readonly unknown[],
  condition: Document,
): Promise<number> {
  let removed = 0;
  for (const some of chunks(ids, NAMED_MAX)) {
    const deletes = [{ q: { ...condition, _id: { $in: some } }, limit: 0 }];
    const { n }: Document = await send("prune", { delete: collection, deletes }, limits.bulkMs);
    removed += Number(n ?? 0);
  }
  return removed;
}

function idsOf(context: Context, collection: string, filter: Document, limit: number): Promise<unknown[]> {
  return fieldOf(context, collection, filter, "_id", limit);
}

async function fieldOf(
  context: Context,
  collection: string,
  filter: Document,
  field: string,
  limit: number,
  order?: 1 | -1,
): Promise<unknown[]> {
  if (limit <= 0) return [];
  const values: unknown[] = [];
  const options = {
    projection: field === "_id" ? { _id: 1 } : { _id: 0, [field]: 1 },
    ...(limit === Infinity ? {} : { limit }),
    ...(order === undefined ? {} : { sort: { [field]: order } }),
  };
  for await (const batch of find(context, collection, filter, options)) {
    values.push(...batch.map((document) => document[field]));
  }
  return values;
}
