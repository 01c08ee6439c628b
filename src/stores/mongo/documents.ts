/**
 * Converts documents to and from the records of the core. Each field that is read is checked: anybody may write into
 * these collections, and unrecognized documents are ignored.
 *
 * Numbers (seqs, slots, revisions, the counter) are plain JavaScript numbers. Every driver writes those that fit as
 * 32-bit integers and the others as doubles, whatever its settings, and MongoDB compares and orders the two by value.
 * Only the words of the pings are explicit `Int32`s, because the bitwise update refuses doubles.
 */
import type { Document } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import { type PingRecord, SEGMENT_SESSIONS, SEGMENT_WORDS } from "../../core/bits.ts";
import type { RegistrationId, RegistrationRecord, Config, SessionRecord } from "../../core/records.ts";

/** Keys have at most 1,024 bytes, metas 16 KiB. Much longer texts are not heartbit's. */
const KEY_LENGTH_MAX = 1024;
const META_LENGTH_MAX = 32 * 1024;
/** Names of hosts are far shorter. */
const HOST_LENGTH_MAX = 1024;
/** Hundreds of steps of a hundred years at the shortest period. Above this, positions would lose their fractions. */
const OFFSET_MAX = 2 ** 43;

export const CONFIG_ID = "config";
export const COUNTER_ID = "sessions";
/** The document that the server stamps to report its time. */
export const CLOCK_ID = "clock";

/**
 * The `last` of an open record: later than any slot. It is stored rather than omitted, so that `$min` alone ends a
 * record, and the open records of a session are adjacent in an index.
 */
export const OPEN = Number.MAX_SAFE_INTEGER;

/** Distinguishes the two kinds of records: a field that only sessions have, and one that only registrations have. */
export const IS_SESSION = { opened: { $exists: true } };
export const IS_REGISTRATION = { pinger: { $exists: true } };

/** The sub-document with the words of mail. */
export const MAIL = "mail";

export const registrationId = ({ session, pinger, start }: RegistrationId): string =>
  `${session}.${pinger}.${start}`;
export const pingId = (slot: number, segment: number): string => `${slot}.${segment}`;

/** The fields that a read of pings omits: `slot` is in the `_id`. Other reads return whole documents. */
export const PING_FIELDS = { expireAt: 0, slot: 0, [MAIL]: 0 } as const;

/** The end of the year 9999: the last date that the shell and most other clients can show. */
const DATE_MS_MAX = 253_402_300_799_999;

export function dateOf(ms: number): Date {
  return new Date(Math.min(ms, DATE_MS_MAX));
}

/** The fields of a session that are set once. */
export function sessionConstants({ seq, host, pid, opened }: SessionRecord): Document {
  return { session: seq, host, pid, opened: dateOf(opened) };
}

/** The fields of a registration that are set once. */
export function registrationConstants({ key, session, pinger, start, since }: RegistrationRecord): Document {
  return { key, session, pinger, start, since: dateOf(since) };
}

/** Undefined if the document is not heartbit's. This holds for all functions below. */
export function toConfig(document: Document): Config | undefined {
  const { version, period, offset, retention, base, pruned }: Document = document;
  if (!isCount(version) || !isCount(offset) || offset > OFFSET_MAX) return undefined;
  if (typeof period !== "number" || !(period > 0) || !isCount(retention) || !isCount(base)) return undefined;
  const config = { version, periodMs: period, offset, retentionSlots: retention, base };
  return isCount(pruned) ? { ...config, prunedBefore: pruned } : config;
}

/** The number in the counter. */
export function toSeq({ seq }: Document): number | undefined {
  return isCount(seq) && seq > 0 ? seq : undefined;
}

export function toSession(document: Document): SessionRecord | undefined {
  const { _id: seq, session: own, host, pid, opened, slot, last, changed }: Document = document;
  if (!isCount(seq) || own !== seq || !isCount(slot) || !isCount(last)) return undefined;
  if (
    typeof host !== "string" ||
    host.length > HOST_LENGTH_MAX ||
    !isCount(pid) ||
    !isDate(opened) ||
    !isDate(changed)
  )
    return undefined;
  const session = { seq, host, pid, opened: opened.getTime(), slot, changed: changed.getTime() };
  return last === OPEN ? session : { ...session, last };
}

export function toRegistration(document: Document): RegistrationRecord | undefined {
  const { key, session, pinger, start, since, slot, meta, revision, last, changed }: Document = document;
  if (typeof key !== "string" || key === "" || key.length > KEY_LENGTH_MAX) return undefined;
  if (!isCount(session) || !isCount(pinger) || !isCount(start) || !isCount(slot)) return undefined;
  const metaText = toMeta(meta);
  if (!isCount(revision) || metaText === undefined) return undefined;
  if (!isDate(since) || !isDate(changed) || !isCount(last)) return undefined;
  if (document["_id"] !== registrationId({ session, pinger, start })) return undefined;
  const registration = {
    key,
    session,
    pinger,
    start,
    since: since.getTime(),
    slot,
    meta: metaText,
    revision,
    changed: changed.getTime(),
  };
  return last === OPEN ? registration : { ...registration, last };
}

export function toPing({ _id: id, now, count = 0, ...fields }: Document): PingRecord | undefined {
  if (typeof id !== "string" || (now !== undefined && !isDate(now)) || !isCount(count)) return undefined;
  const [slot = NaN, segment = NaN] = id.split(".").map(Number);
  if (!isCount(slot) || !isCount(segment * SEGMENT_SESSIONS) || id !== pingId(slot, segment))
    return undefined;
  const words = new Int32Array(SEGMENT_WORDS);
  for (const [name, value] of Object.entries(fields)) {
    const word = Number(name);
    if (String(word) !== name || !isCount(word) || word >= SEGMENT_WORDS || !isInt32(value)) return undefined;
    words[word] = value;
  }
  return { slot, segment, words, ms: now === undefined ? 0 : now.getTime(), revision: count };
}

/** The stamp of a document that the server has just stamped. */
export function stampOf({ now }: Document): number {
  if (isDate(now)) return now.getTime();
  throw new HeartbitError("UNSUPPORTED_SERVER", "The server does not stamp documents with its time.");
}

/** Whether the words of mail have the bit. */
export function hasMail({ [MAIL]: words }: Document, word: number, mask: number): boolean {
  const bits: unknown = typeof words === "object" && words !== null ? Reflect.get(words, word) : 0;
  return isInt32(bits) && (bits & mask) !== 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isInt32(value: unknown): value is number {
  return typeof value === "number" && (value | 0) === value;
}

function isDate(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}

/** The latest meta: many in a row are often equal, and then share one string. */
let latestMeta = "null";

function toMeta(value: unknown): string | undefined {
  if (value === latestMeta) return latestMeta;
  if (typeof value !== "string" || value.length > META_LENGTH_MAX) return undefined;
  try {
    JSON.parse(value);
  } catch {
    return undefined;
  }
  latestMeta = value;
  return value;
}
