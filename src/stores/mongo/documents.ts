/**
 * The documents, to and from the records of the core. What is read is checked field by field: anybody may write into
 * these collections, and what heartbit did not write is passed over.
 *
 * Numbers (seqs, slots, revisions, the counter) are plain JavaScript numbers: every driver writes one that fits as a
 * 32-bit integer and any other as a double, by no setting, and MongoDB compares and orders the two by value. Only the
 * words of the pings are `Int32` by name: the bitwise update refuses doubles.
 */
import type { Document } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import { type PingRecord, SEGMENT_SESSIONS, SEGMENT_WORDS } from "../../core/bits.ts";
import type { RegistrationId, RegistrationRecord, Config, SessionRecord } from "../../core/records.ts";

/** No key is longer than 1,024 bytes, and no meta than 16 KiB; what is a good deal longer is not heartbit's. */
const KEY_LENGTH_MAX = 1024;
const META_LENGTH_MAX = 32 * 1024;
/** Names of hosts are far shorter. */
const HOST_LENGTH_MAX = 1024;
/** Hundreds of steps of a hundred years at the shortest period. Above it slots would have no fractions to speak of. */
const OFFSET_MAX = 2 ** 43;

export const CONFIG_ID = "config";
export const COUNTER_ID = "sessions";
/** The document that the server stamps when it is asked for its time. */
export const CLOCK_ID = "clock";

/**
 * The `last` of what is open: later than any slot. It is stored, and not left out, so that `$min` alone ends a record,
 * and an index has the open records of a session side by side.
 */
export const OPEN = Number.MAX_SAFE_INTEGER;

/** Of the two kinds of records: which field only the one has, and only the other. */
export const IS_SESSION = { opened: { $exists: true } };
export const IS_REGISTRATION = { pinger: { $exists: true } };

/** The sub-document with the words of mail. */
export const MAIL = "mail";

export const registrationId = ({ session, pinger, start }: RegistrationId): string =>
  `${session}.${pinger}.${start}`;
export const pingId = (slot: number, segment: number): string => `${slot}.${segment}`;

/** What a read of pings leaves out: `slot` is in the `_id`. Of all else it asks for whole documents. */
export const PING_FIELDS = { expireAt: 0, slot: 0, count: 0, [MAIL]: 0 } as const;

/** The last moment of the year 9999: the last that the shell, and most other clients, can show. */
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

/** Undefined where the document is not one of heartbit's. So in all that follow. */
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

export function toPing({ _id: id, now, ...fields }: Document): PingRecord | undefined {
  if (typeof id !== "string" || (now !== undefined && !isDate(now))) return undefined;
  const [slot = NaN, segment = NaN] = id.split(".").map(Number);
  if (!isCount(slot) || !isCount(segment * SEGMENT_SESSIONS) || id !== pingId(slot, segment))
    return undefined;
  const words = new Int32Array(SEGMENT_WORDS);
  for (const [name, value] of Object.entries(fields)) {
    const word = Number(name);
    if (String(word) !== name || !isCount(word) || word >= SEGMENT_WORDS || !isInt32(value)) return undefined;
    words[word] = value;
  }
  return { slot, segment, words, ms: now === undefined ? 0 : now.getTime() };
}

/** The stamp in what the server has just stamped. */
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

/** The latest meta: many in a row are often the same, and then one text serves them all. */
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
