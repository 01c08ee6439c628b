/** Reading the pings: how far back, and what to do about pings in future slots. */
import { evaluationSlot, latestComplete } from "../../core/alive.ts";
import type { PingRecord } from "../../core/bits.ts";
import { hasOwn, lacksOwn, latestPinged, notFresh, type OwnPing } from "../../core/freshness.ts";
import type { Roster } from "../../core/roster.ts";
import { oldestRetained, type Slot } from "../../core/slots.ts";
import { type Context, patiently, sampleTime } from "./context.ts";

/** How many slots a first read goes back: they usually include a complete one. */
const FIRST_READ_SLOTS = 4;

/** A ping more than this many slots ahead of the current one means that the store's clock has stepped. */
const SLOTS_AHEAD_MAX = 2;

/**
 * Reads the pings as far back as the rule needs them, and evaluates what is stored: the state for a reader without
 * history. Returns the evaluation slot. Rejects if the read lacks `own`, if given: without history it must be fresh.
 */
export async function readState(context: Context, roster: Roster, own?: OwnPing): Promise<Slot> {
  const { time } = context;
  const records = await readPings(context, time.slot - FIRST_READ_SLOTS);
  roster.addPings(records);
  await handleFuturePings(context, records);
  if (own !== undefined && !hasOwn(records, own)) throw notFresh("ping");
  const slot = evaluationSlot(time.position);
  const oldest = oldestRetained(context);
  const isEmpty = (at: Slot): boolean => roster.pings.isEmpty(at);
  if (latestComplete(slot, oldest, isEmpty) === oldest) roster.addPings(await readPings(context, oldest));
  roster.evaluate(slot, oldest);
  return slot;
}

/** Reads all pings from a slot on. Rejects if the read should have `own`, if given, and has not. */
export async function readPings(context: Context, from: Slot, own?: OwnPing): Promise<PingRecord[]> {
  const records = await patiently(context, "read pings", context.namespace.pings(from));
  if (own !== undefined && lacksOwn(records, from, own)) throw notFresh("ping");
  return records;
}

/**
 * Checks for pings in future slots. If they were stamped in their slots, our view of the store's time is behind: a
 * process that may not write gets it from a router, which has its own clock. Otherwise the store's clock has stepped
 * back since, and the slots are moved on to follow the latest one. Returns whether there were any.
 */
export async function handleFuturePings(context: Context, records: readonly PingRecord[]): Promise<boolean> {
  const { time, health, config } = context;
  const latest = latestPinged(records);
  if (latest <= time.slot + SLOTS_AHEAD_MAX) return false;
  health.suspect("the store has pings in future slots: its clock has stepped");
  await sampleTime(context);
  if (latest <= time.slot + SLOTS_AHEAD_MAX) return true;
  const stamped = Math.max(...records.filter(({ slot }) => slot === latest).map(({ ms }) => ms));
  if (time.positionOf(stamped) >= latest - 1) {
    time.notBefore(stamped);
    health.holdBack(); // in the slot that it is now
  } else await config.catchUp(latest);
  return true;
}
