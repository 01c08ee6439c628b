/**
 * Many new registrations are inserted together: for the server an insert is a third of the work of an upsert. But it
 * cannot have the server stamp the document. So each has the time that the server's clock had reached when it was sent,
 * and must be visible within a period, because readers of changes go back two periods (reading.ts). The time is read
 * again afterwards. Where the answer took longer, or the clock has stepped forward, the server stamps the documents
 * after all.
 */
import type { Document } from "mongodb";
import type { RegistrationRecord } from "../../core/records.ts";
import type { Write } from "../../core/store.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { Context } from "./context.ts";
import { dateOf, OPEN, registrationConstants, registrationId } from "./documents.ts";
import { DUPLICATE_KEY, toHeartbitError } from "./failures.ts";
import {
  BYTES_MAX,
  putRegistration,
  refusalsOf,
  run,
  sizeOf,
  STATEMENT_BYTES,
  STATEMENTS_MAX,
  TOGETHER_MAX,
} from "./statements.ts";
import { chunks, overlapMs } from "./reading.ts";
import { askTime, reachedMs } from "./time.ts";

/** With fewer, reading the time afterwards costs more than it saves. */
const INSERTED_MIN = 50;

/** A store at which inserts were late is likely to be slow for so long. */
const SLOW_MS = 60_000;

/** What one command has inserted. */
interface Inserted {
  readonly ids: readonly string[];
  readonly stampMs: number;
  /** When it was sent, and how long the answer took: monotonic, in ms. */
  readonly sentAt: number;
  readonly tookMs: number;
}

/** The registrations to insert: none if there are few, or if the latest were late. */
export function insertable(context: Context, writes: readonly Write[]): Set<RegistrationRecord> {
  const registrations = new Set<RegistrationRecord>();
  const { clock, pace } = context;
  if (clock.mayStamp === false || systemClock.monotonic() < pace.slowUntil) return registrations;
  for (const one of writes)
    if (one.kind === "registration" && one.isNew === true) registrations.add(one.registration);
  if (registrations.size < INSERTED_MIN) registrations.clear();
  return registrations;
}

/** Inserts the registrations. Those that are stored after all are put (statements.ts). */
export async function insert(
  context: Context,
  registrations: Iterable<RegistrationRecord>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const inserted: Inserted[] = [];
  const left = split(registrations);
  const take = (most: number): Promise<Inserted>[] =>
    left.splice(0, most).map((records) => insertSome(context, records, signal));
  while (left.length > 0) inserted.push(...(await context.monitor.together(TOGETHER_MAX, take)));
  const late = await lateOnes(context, inserted);
  if (late.length > 0) context.pace.slowUntil = systemClock.monotonic() + SLOW_MS;
  for (const ids of chunks(late, STATEMENTS_MAX)) {
    const stamp = { q: { _id: { $in: ids } }, u: { $currentDate: { changed: true } }, multi: true };
    await run(context, "write", context.names.records, { ordered: true, statements: [stamp] }, signal);
  }
}

async function insertSome(
  context: Context,
  registrations: readonly RegistrationRecord[],
  signal: AbortSignal | undefined,
): Promise<Inserted> {
  const stampMs = await reachedMs(context);
  const sentAt = systemClock.monotonic();
  const documents = registrations.map((registration) => documentOf(registration, stampMs));
  const command = { insert: context.names.records, documents, ordered: false };
  const refused = await refusalsOf(context, "write", command, signal);
  const tookMs = systemClock.monotonic() - sentAt;
  const refusal = refused.find(({ code }) => code !== DUPLICATE_KEY);
  if (refusal !== undefined) throw toHeartbitError(refusal, "write");
  const stored = refused.flatMap(({ index }) => registrations[index] ?? []);
  const statements = stored.flatMap(putRegistration);
  await run(context, "write", context.names.records, { ordered: true, statements }, signal);
  return { ids: registrations.map(registrationId), stampMs, sentAt, tookMs };
}

/** The documents that may have become visible too long after their stamps. If the time cannot be read, it is all. */
async function lateOnes(context: Context, inserted: readonly Inserted[]): Promise<string[]> {
  if (inserted.length === 0) return [];
  const now = systemClock.monotonic();
  const ms = await askTime(context).catch(() => Infinity);
  // How far each stamp was behind when it was made. Two may differ: the latest sample of the clock may have come late.
  const behindMs = ({ stampMs, sentAt }: Inserted): number => Math.max(0, ms - stampMs - (now - sentAt));
  const late = inserted.filter((some) => some.tookMs + behindMs(some) > lagMs(context));
  return late.flatMap(({ ids }) => ids);
}

/** Within how long after its stamp a document must be visible. The other half of the overlap is for the server. */
function lagMs({ periodMs }: Context): number {
  return overlapMs(periodMs) / 2;
}

function documentOf(registration: RegistrationRecord, changedMs: number): Document {
  const { slot, meta, revision, last } = registration;
  return {
    _id: registrationId(registration),
    ...registrationConstants(registration),
    slot,
    meta,
    revision,
    last: last ?? OPEN,
    changed: dateOf(changedMs),
  };
}

/** Splits them into as many as go into one command. */
function split(registrations: Iterable<RegistrationRecord>): RegistrationRecord[][] {
  const commands: RegistrationRecord[][] = [];
  let bytes = Infinity;
  for (const registration of registrations) {
    const size = STATEMENT_BYTES + sizeOf(registration);
    if (bytes + size > BYTES_MAX || commands.at(-1)?.length === STATEMENTS_MAX) {
      commands.push([]);
      bytes = 0;
    }
    commands.at(-1)?.push(registration);
    bytes += size;
  }
  return commands;
}
