/**
 * Whether a read of the pings can be trusted. A read that lacks our own latest ping is stale: it comes from a deposed
 * primary, or from a member that lags behind.
 */
import { hasBit, type PingRecord } from "./bits.ts";
import { GivenUp } from "./errors.ts";
import type { Slot } from "./slots.ts";

/** A presence's own latest acknowledged ping. */
export interface OwnPing {
  readonly seq: number;
  readonly slot: Slot;
  /** Its stamp: the store's time in ms. */
  readonly ms: number;
  /** The `revision` of its answer. */
  readonly revision: number;
}

/** Whether the records have our own ping. The bit alone does not show it: an earlier ping has set it, too. */
export function hasOwn(records: readonly PingRecord[], { seq, slot, revision }: OwnPing): boolean {
  return records.some((record) => record.slot === slot && record.revision >= revision && hasBit(record, seq));
}

/** Whether a read of the slots from `from` on should have our own ping, and has not. */
export function lacksOwn(records: readonly PingRecord[], from: Slot, own: OwnPing): boolean {
  return own.slot >= from && !hasOwn(records, own);
}

/** The latest slot with a ping; -Infinity if there is none. */
export function latestPinged(records: readonly PingRecord[]): Slot {
  return records.reduce((slot, record) => (record.ms > 0 ? Math.max(slot, record.slot) : slot), -Infinity);
}

/**
 * Why a read of the slots from `from` on cannot be trusted; undefined if it can. A presence that may not write has no
 * ping of its own, and trusts a read with any ping in the evaluation slot `j`.
 */
export function distrust(
  records: readonly PingRecord[],
  from: Slot,
  j: Slot,
  own: OwnPing | undefined,
): string | undefined {
  if (own === undefined) {
    return latestPinged(records) >= j ? undefined : "nobody has pinged in the latest slot";
  }
  if (!lacksOwn(records, from, own)) return undefined;
  return "a read lacks our own latest ping: it is not fresh";
}

/** The error for a read that lacks our own writes. */
export function notFresh(what: string): GivenUp {
  return new GivenUp(`A read lacks our own ${what}: it is not fresh.`);
}
