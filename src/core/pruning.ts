/**
 * What is old enough to prune. Right after an outage the living look as old as the dead and need some slots to come
 * back, so the retention counts back from the fourth latest slot with pings. If there are no four recent ones, an
 * outage has just ended, or presences only open for a moment. Then only very old records are deleted.
 *
 * Of slots whose pings were stamped at nearly the same time only one counts: pings that were held up in an outage
 * arrive at its end, all at once.
 */
import type { PingRecord } from "./bits.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./records.ts";
import type { Retained, Slot } from "./slots.ts";

/** After an outage others have this many slots to come back, and to touch their sessions. */
export const RETURN_SLOTS = 4;
/** How many slots back pings are read: a shorter outage does not make records look old. */
export const READ_SLOTS = 4 * RETURN_SLOTS;
/** If there are no recent pings to count from, only records this many retentions old are deleted. */
const VERY_OLD = 3;

/** About how often a namespace is pruned in a retention, however many presences it has. */
const ROUNDS = 8;

/**
 * Whether to prune the slots before `beforeSlot`, when those before `prunedBefore` have been pruned. If that is later
 * than `latest`, which no pruning can have reached, the clock has stepped, or somebody has changed it.
 */
export function isPruningDue(
  beforeSlot: Slot,
  latest: Slot,
  retention: number,
  prunedBefore: Slot = -Infinity,
): boolean {
  return prunedBefore > latest || beforeSlot - prunedBefore >= retention / ROUNDS;
}

/** The slot of the next check whether to prune: about once in a retention, at random, so that not all check at once. */
export function nextPruning({ clock, retentionSlots, time }: Retained & { readonly clock: Clock }): Slot {
  return time.slot + 2 * retentionSlots * (clock.random?.() ?? Math.random());
}

/** The longest retention of all presences that opened the namespace. Each goes by the longest that it knows. */
export function longestRetention(own: number, config: Config | undefined): number {
  return Math.max(own, config?.retentionSlots ?? 0);
}

/** Pings of two slots that came in time are stamped this many periods apart at least. */
const APART = 0.6;

/** The slot before which everything dead is deleted, given the pings of the latest `READ_SLOTS` up to slot `j`. */
export function oldestKept(
  pings: readonly PingRecord[],
  j: Slot,
  { periodMs, retention }: { readonly periodMs: number; readonly retention: number },
): Slot {
  let counted: PingRecord | undefined;
  let count = 0;
  for (const ping of pings.toSorted((a, b) => b.slot - a.slot || b.ms - a.ms)) {
    if (ping.slot > j || ping.ms === 0 || ping.slot === counted?.slot) continue;
    if (Math.abs(ping.ms - (counted?.ms ?? -Infinity)) < APART * periodMs) continue;
    counted = ping;
    if (++count === RETURN_SLOTS) return ping.slot - retention;
  }
  return j - VERY_OLD * retention;
}
