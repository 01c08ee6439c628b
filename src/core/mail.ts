/** Where to leave mail for processes that may not know of a raised offset. */
import { forEachSession, type PingRecord } from "./bits.ts";
import type { Slot } from "./slots.ts";
import type { StoreTime } from "./store-time.ts";

/** These sessions get mail in these slots, and in the slot after each. */
export interface MailPlan {
  readonly slots: ReadonlySet<Slot>;
  readonly seqs: readonly number[];
}

/**
 * A process that does not know of the raised offset pings in slots that are behind by now: by `raisedBy`, or by less if
 * it knows of an earlier raise. It pings as many slots after its latest ping as have passed since the stamp of that.
 */
export function planMail(records: readonly PingRecord[], time: StoreTime, raisedBy: number): MailPlan {
  const present = time.slot;
  const slots = new Set([present - raisedBy]);
  const seqs = new Set<number>();
  for (const record of records) {
    forEachSession(record, (seq) => seqs.add(seq));
    slots.add(Math.min(present, record.slot + present - Math.floor(time.positionOf(record.ms))));
  }
  return { slots: seqs.size === 0 ? new Set() : slots, seqs: [...seqs] };
}
