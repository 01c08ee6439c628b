/**
 * What is stored, and the law by which two versions of it merge. A session and a registration only move forward: of two
 * `slot`s the later holds, of two `last`s the earlier, of two metas the newer revision. So records may be heard in
 * any order, twice or late, and give the same state.
 */
import type { Slot } from "./slots.ts";

/** What the first to open a namespace sets, and what all must agree on. */
export interface Config {
  /** Of the stored format. */
  readonly version: number;
  /** The length of a slot, in ms. */
  readonly periodMs: number;
  /** See `SlotScale.offset`. */
  readonly offset: number;
  /** The longest retention with which anybody has opened the namespace: only what is older is pruned. */
  readonly retentionSlots: number;
  /**
   * Session numbers count from here: the ms since 2026 by the clock of who set it up, but for whole multiples of 2^30 (twelve
   * days), so that they stay small. So a namespace that is set up anew after a drop gives no number under which a process
   * of its earlier life may still write: nobody opens a thousand sessions a second for as long as it lives.
   */
  readonly base: number;
  /** The `beforeSlot` of the latest pruning; absent before the first. So of many only one prunes at a time. */
  readonly prunedBefore?: Slot;
}

/** One open presence of one process. */
export interface SessionRecord {
  /** `Config.base` and what `nextSeq` gave: never reused. Its bit is bit `seq % 1024` of segment `floor(seq / 1024)`. */
  readonly seq: number;
  /** The name of its machine. */
  readonly host: string;
  /** The number of its process on that machine. */
  readonly pid: number;
  /** When it was opened: the store's time in ms. */
  readonly opened: number;
  /** The slot of the latest write of this record; counts as a ping. */
  readonly slot: Slot;
  /** Absent: open. A slot: closed, vouched for until then. 0: ended at once. */
  readonly last?: Slot | undefined;
  /** When it last changed, stamped by the store: its time in ms. Given by reads, ignored by writes. */
  readonly changed?: number;
}

/**
 * Names one start of one pinger. A late write of an earlier start touches nothing, and of two starts of one pinger
 * the later holds: the earlier is ended by it.
 */
export interface RegistrationId {
  /** The `seq` of its session. */
  readonly session: number;
  /** The pinger's number in its session. */
  readonly pinger: number;
  /** How many times the pinger had been started. */
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
  /** The meta as JSON text. Text, because a user's names must never become names of stored fields. */
  readonly meta: string;
  /** Counts the updates of `meta`. */
  readonly revision: number;
  /** Absent: it rides on its session's bits. A slot: vouched for until then. 0: killed. */
  readonly last?: Slot | undefined;
  /** When it last changed, stamped by the store: its time in ms. Given by reads, ignored by writes. */
  readonly changed?: number;
}

/**
 * @internal The config that holds when one more opens the namespace: the first one's, with the longest retention of all
 * that agree with it.
 */
export function mergeConfigs(first: Config, wanted: Config): Config {
  const agree = first.version === wanted.version && first.periodMs === wanted.periodMs;
  if (!agree || wanted.retentionSlots <= first.retentionSlots) return first;
  return { ...first, retentionSlots: wanted.retentionSlots };
}

/** @internal The config after a pruning: the same one where a later slot was pruned before. */
export function pruned(config: Config, beforeSlot: Slot): Config {
  return beforeSlot <= (config.prunedBefore ?? -Infinity) ? config : { ...config, prunedBefore: beforeSlot };
}

/** @internal Of two `last`s the earlier holds; absent is later than any. */
export function earlierLast(a: Slot | undefined, b: Slot | undefined): Slot | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return Math.min(a, b);
}

/** The later of two stamps of the store, either of which may be unknown. */
function laterStamp(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return Math.max(a, b);
}

/** @internal What holds of two versions of one session. */
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

/** @internal What holds of two versions of one registration. */
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
