/**
 * What is stored, and how two versions of it merge. Sessions and registrations only move forward: the later `slot`, the
 * earlier `last` and the newer meta win. So records can be read in any order, twice or late, with the same result.
 */
import { HeartbitError } from "./errors.ts";
import type { Slot } from "./slots.ts";

/** @internal The version of the stored format that this library reads and writes. */
export const FORMAT_VERSION = 2;

/** See `Config.base`. */
const BASE_EPOCH_MS = 1_767_225_600_000; // 2026-01-01
const BASES = 2 ** 30;

/** The `last` of a record that was killed: dead now, whatever has pinged. */
export const KILLED = 0;

/** Set by the first presence that opens a namespace; all others must agree. */
export interface Config {
  /** The version of the stored format. */
  readonly version: number;
  /** The length of a slot, in ms. */
  readonly periodMs: number;
  /** See `SlotScale.offset`. */
  readonly offset: number;
  /** The longest retention with which a presence has opened the namespace: only older records are pruned. */
  readonly retentionSlots: number;
  /**
   * Session numbers count from here: the ms since 2026 at which the namespace was set up, modulo 2^30 (twelve days) so
   * that they stay small. A namespace that is set up again after a drop therefore never gives a number under which a
   * process of its earlier life may still write: nobody opens a thousand sessions a second for the namespace's
   * lifetime.
   */
  readonly base: number;
  /** The `beforeSlot` of the latest pruning; absent before the first. Other presences see that they need not prune. */
  readonly prunedBefore?: Slot;
}

/** One open presence of one process. */
export interface SessionRecord {
  /**
   * `Config.base` plus the result of `nextSeq`: never reused. It has bit `seq % 1024` of segment `floor(seq / 1024)`.
   */
  readonly seq: number;
  /** The name of its machine. */
  readonly host: string;
  /** The number of its process on that machine. */
  readonly pid: number;
  /** When it was opened: the store's time in ms. */
  readonly opened: number;
  /** The slot of the latest write of this record; counts as a ping. */
  readonly slot: Slot;
  /** Absent: open. A slot: closed, counts as alive until then. 0: ended at once. */
  readonly last?: Slot | undefined;
  /** When it last changed, stamped by the store: its time in ms. Given by reads, ignored by writes. */
  readonly changed?: number;
}

/** @internal Whether both are of one open presence. Equal numbers do not prove it: a lossy server gives one twice. */
export function isSameSession(a: SessionRecord, b: SessionRecord): boolean {
  return a.seq === b.seq && a.host === b.host && a.pid === b.pid && a.opened === b.opened;
}

/** @internal The latest stamp of the records; -Infinity if they have none. */
export function latestChange(records: readonly { readonly changed?: number }[]): number {
  return records.reduce((latest, { changed = -Infinity }) => Math.max(latest, changed), -Infinity);
}

/**
 * Identifies one start of one pinger. The later one of two starts wins and ends the earlier one, so a late write of the
 * earlier start has no effect.
 */
export interface RegistrationId {
  /** The `seq` of its session. */
  readonly session: number;
  /** The pinger's number in its session. */
  readonly pinger: number;
  /** The number of this start, from 1. A record that is registered again is a new start. */
  readonly start: number;
}

/** A key held by a session. */
export interface RegistrationRecord extends RegistrationId {
  /** The key that is held. */
  readonly key: string;
  /** Since when the key is held: the store's time in ms. */
  readonly since: number;
  /** The slot of the latest write of this record; counts as a ping of this registration. */
  readonly slot: Slot;
  /** The meta as JSON text, so that a user's names never become names of stored fields. */
  readonly meta: string;
  /** Counts the updates of `meta`. */
  readonly revision: number;
  /** Absent: it shares its session's bits. A slot: stopped, counts as alive until then. 0: killed. */
  readonly last?: Slot | undefined;
  /** When it last changed, stamped by the store: its time in ms. Given by reads, ignored by writes. */
  readonly changed?: number;
}

/** @internal The `base` of a namespace that is set up at this time, in ms since 1970. */
export function baseOf(ms: number): number {
  return Math.max(0, Math.floor(ms - BASE_EPOCH_MS)) % BASES;
}

/** @internal The period of a namespace whose first presence was given none. */
export const PERIOD_MS_DEFAULT = 5000;

/** @internal Why a presence that was opened with this period cannot use the namespace; undefined if it can. */
export function mismatch(
  config: Config,
  { name, periodMs }: { readonly name: string; readonly periodMs: number },
): HeartbitError | undefined {
  if (config.version !== FORMAT_VERSION) {
    const message = `The namespace "${name}" has format version ${config.version}, but this heartbit knows version ${FORMAT_VERSION}.`;
    return new HeartbitError("CONFIG_MISMATCH", message);
  }
  if (config.periodMs === periodMs) return undefined;
  // A presence that is given no period has the default one, which its user may never have seen.
  const isDefault = periodMs === PERIOD_MS_DEFAULT;
  const advice = isDefault ? `, which is the default: pass periodMs: ${config.periodMs}` : "";
  const message = `The namespace "${name}" has a period of ${config.periodMs} ms, but was opened with periodMs ${periodMs}${advice}.`;
  return new HeartbitError("CONFIG_MISMATCH", message);
}

/**
 * @internal The config after another presence opens the namespace: the first one's, with the longest retention of all
 * presences that agree with it.
 */
export function mergeConfigs(first: Config, wanted: Config): Config {
  const agree = first.version === wanted.version && first.periodMs === wanted.periodMs;
  if (!agree || wanted.retentionSlots <= first.retentionSlots) return first;
  return { ...first, retentionSlots: wanted.retentionSlots };
}

/** @internal The config after a pruning: unchanged if a later slot was pruned before. */
export function pruned(config: Config, beforeSlot: Slot): Config {
  return beforeSlot <= (config.prunedBefore ?? -Infinity) ? config : { ...config, prunedBefore: beforeSlot };
}

/** @internal The earlier of two `last`s wins; an absent one is later than any. */
export function earlierLast(a: Slot | undefined, b: Slot | undefined): Slot | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return Math.min(a, b);
}

/** The later one of two stamps of the store, either of which may be unknown. */
function laterStamp(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return Math.max(a, b);
}

/** @internal Merges two versions of one session. */
export function mergeSessions(a: SessionRecord, b: SessionRecord): SessionRecord {
  const last = earlierLast(a.last, b.last);
  const changed = laterStamp(a.changed, b.changed);
  return {
    ...a,
    slot: Math.max(a.slot, b.slot),
    ...(last === undefined ? {} : { last }),
    ...(changed === undefined ? {} : { changed }),
  };
}

/** @internal Merges two versions of one registration. */
export function mergeRegistrations(a: RegistrationRecord, b: RegistrationRecord): RegistrationRecord {
  const newer = b.revision > a.revision ? b : a;
  const last = earlierLast(a.last, b.last);
  const changed = laterStamp(a.changed, b.changed);
  return {
    ...a,
    slot: Math.max(a.slot, b.slot),
    meta: newer.meta,
    revision: newer.revision,
    ...(last === undefined ? {} : { last }),
    ...(changed === undefined ? {} : { changed }),
  };
}
