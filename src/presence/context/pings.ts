/** Reading the pings: how far back, and whether what was read can be trusted. */
import { judgedSlot, latestComplete } from "../../core/alive.ts";
import { hasBit, type PingRecord } from "../../core/bits.ts";
import { GivenUp } from "../../core/errors.ts";
import type { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import { bulk, knowsTime, type Shared } from "./context.ts";

/** Slots that a first read goes back, in the hope that they hold a complete one. */
const FIRST_LOOK_SLOTS = 4;
/** A slot so far ahead of the present says that the store's clock has stepped. */
const SLOTS_AHEAD_MAX = 2;

export function oldestRetained({ time, retentionSlots }: Shared): Slot {
  return time.slot - retentionSlots;
}

/**
 * Reads the pings as far back as the rule needs them, and judges by what is stored alone: the state as it is for one
 * who has just come. Gives the judged slot. Rejects when it lacks our own ping, where one is
 * given: who has just come has nothing better to hold on to than a read that is fresh.
 */
export async function readPulse(shared: Shared, roster: Roster, own?: OwnPing): Promise<Slot> {
  const { time } = shared;
  await knowsTime(shared);
  await lookBack(shared, roster, time.slot - FIRST_LOOK_SLOTS);
  const judged = judgedSlot(time.position);
  if (own !== undefined && !(own.slot >= judged && roster.pings.latest(own.seq) >= own.slot)) {
    throw notFresh("ping");
  }
  const oldest = oldestRetained(shared);
  const isEmpty = (slot: Slot): boolean => roster.pings.isEmpty(slot);
  if (latestComplete(judged, oldest, isEmpty) === oldest) await lookBack(shared, roster, oldest);
  roster.judge(judged, oldest);
  return judged;
}

/** Reads all pings from a slot on: no deaths are told by it, so it may take its time. */
export async function lookBack(shared: Shared, roster: Roster, from: Slot): Promise<void> {
  const records = await bulk(shared, "read pings", shared.namespace.pings(from));
  await ensurePresent(shared, records);
  for (const record of records) roster.bits(record);
}

/**
 * Where a stored slot lies ahead of the present, the store's clock has stepped: our view of it is corrected, and if
 * it has stepped back, the slots are made to follow the latest stored one. Gives whether anything was ahead.
 */
export async function ensurePresent(
  { time, health }: Shared,
  records: readonly PingRecord[],
): Promise<boolean> {
  const latest = (): Slot => records.reduce((slot, record) => Math.max(slot, record.slot), -Infinity);
  if (latest() <= time.slot + SLOTS_AHEAD_MAX) return false;
  health.trouble("the store has pings of slots to come: its clock has stepped");
  await time.sample();
  await time.catchUp(latest());
  return true;
}

/** A read that lacks what we have written ourselves. */
export function notFresh(what: string): GivenUp {
  return new GivenUp(`A read lacks our own ${what}: it is not fresh.`);
}

/** Our own latest acknowledged ping. */
export interface OwnPing {
  readonly seq: number;
  readonly slot: Slot;
}

/**
 * Why a read of the slots from `from` on cannot be trusted, if it cannot. It must have our own latest acknowledged
 * ping: a deposed primary or a lagging member has not. Who may not write has none, and trusts a read with any ping
 * in the judged slot.
 */
export function distrust(
  records: readonly PingRecord[],
  from: Slot,
  judged: Slot,
  own: OwnPing | undefined,
): string | undefined {
  if (own === undefined) {
    const recent = records.some(({ slot }) => slot >= judged);
    return recent ? undefined : "nobody has pinged in the latest slot";
  }
  if (own.slot < from) return undefined;
  const found = records.some((record) => record.slot === own.slot && hasBit(record, own.seq));
  return found ? undefined : "a read lacks our own latest ping: it is not fresh";
}
