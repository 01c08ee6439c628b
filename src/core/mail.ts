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
 * it knows of an earlier raise. The slot in which it pings now is that of its latest ping plus the slots that have
 * passed since the stamp of that ping.
 */
export function planMail(records: readonly PingRecord[], time: StoreTime, raisedBy: number): MailPlan {
  const current = time.slot;
  const slots = new Set([current - raisedBy]);
  const seqs = new Set<number>();
  for (const record of records) {
    forEachSession(record, (seq) => seqs.add(seq));
    slots.add(Math.min(current, record.slot + current - Math.floor(time.positionOf(record.ms))));
  }
  return { slots: seqs.size === 0 ? new Set() : slots, seqs: [...seqs] };
}
