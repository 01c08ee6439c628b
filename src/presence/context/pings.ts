/** Reading the pings: how far back, and whether a read can be trusted. */
import { evaluationSlot, latestComplete } from "../../core/alive.ts";
import { hasBit, type PingRecord } from "../../core/bits.ts";
import { GivenUp } from "../../core/errors.ts";
import type { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import type { NamespaceConfig } from "./config.ts";
import { bulk, type Context, sampleTime } from "./context.ts";

/** How many slots a first read goes back: they usually include a complete one. */
const FIRST_READ_SLOTS = 4;

/** A ping more than this many slots ahead of the present means that the store's clock has stepped. */
const SLOTS_AHEAD_MAX = 2;

/** A presence's own latest acknowledged ping. */
export interface OwnPing {
  readonly seq: number;
  readonly slot: Slot;
  /** Its stamp: the store's time in ms. */
  readonly ms: number;
}

export function oldestRetained({ time, retentionSlots }: Context): Slot {
  return time.slot - retentionSlots;
}

/**
 * Reads the pings as far back as the rule needs them, and evaluates what is stored: the state for a reader without
 * history. Returns the evaluation slot. Rejects if the read lacks `own`, if given: without history only a fresh read is
 * of use.
 */
export async function readState(
  context: Context,
  config: NamespaceConfig,
  roster: Roster,
  own?: OwnPing,
): Promise<Slot> {
  const { time } = context;
  const records = await readPings(context, roster, time.slot - FIRST_READ_SLOTS);
  await followAhead(context, config, records);
  if (own !== undefined && !hasOwn(records, own)) throw notFresh("ping");
  const slot = evaluationSlot(time.position);
  const oldest = oldestRetained(context);
  const isEmpty = (at: Slot): boolean => roster.pings.isEmpty(at);
  if (latestComplete(slot, oldest, isEmpty) === oldest) await readPings(context, roster, oldest);
  roster.evaluate(slot, oldest);
  return slot;
}

/** Reads all pings from a slot on into the roster. Reports no deaths, so it may take its time. */
export async function readPings(context: Context, roster: Roster, from: Slot): Promise<PingRecord[]> {
  const records = await bulk(context, "read pings", context.namespace.pings(from));
  for (const record of records) roster.bits(record);
  return records;
}

/** The latest slot with a ping. */
function latestPinged(records: readonly PingRecord[]): Slot {
  return records.reduce((slot, record) => (record.ms > 0 ? Math.max(slot, record.slot) : slot), -Infinity);
}

/**
 * Checks for pings in future slots. If they were stamped in their slots, our view of the store's time is behind: a
 * process that may not write gets it from a router, which has its own clock. Otherwise the store's clock has stepped
 * back since, and the slots are moved on to follow the latest one. Returns whether there were any.
 */
export async function followAhead(
  context: Context,
  config: NamespaceConfig,
  records: readonly PingRecord[],
): Promise<boolean> {
  const { time, health } = context;
  const latest = latestPinged(records);
  if (latest <= time.slot + SLOTS_AHEAD_MAX) return false;
  health.suspect("the store has pings of slots to come: its clock has stepped");
  await sampleTime(context);
  if (latest <= time.slot + SLOTS_AHEAD_MAX) return true;
  const stamped = Math.max(...records.filter(({ slot }) => slot === latest).map(({ ms }) => ms));
  if (time.positionOf(stamped) >= latest - 1) time.notBefore(stamped);
  else await config.catchUp(latest);
  return true;
}

/** The error for a read that lacks our own writes. */
export function notFresh(what: string): GivenUp {
  return new GivenUp(`A read lacks our own ${what}: it is not fresh.`);
}

/**
 * Why a read of the slots from `from` on cannot be trusted; undefined if it can. It must have our own latest
 * acknowledged ping with its stamp or a later one, which a deposed primary or a lagging member does not have. A
 * presence that may not write has no ping, and trusts a read with any ping in the evaluation slot.
 */
export function distrust(
  records: readonly PingRecord[],
  from: Slot,
  evaluated: Slot,
  own: OwnPing | undefined,
): string | undefined {
  if (own === undefined) {
    return latestPinged(records) >= evaluated ? undefined : "nobody has pinged in the latest slot";
  }
  if (own.slot < from || hasOwn(records, own)) return undefined;
  return "a read lacks our own latest ping: it is not fresh";
}

function hasOwn(records: readonly PingRecord[], own: OwnPing): boolean {
  return records.some((record) => record.slot === own.slot && record.ms >= own.ms && hasBit(record, own.seq));
}
