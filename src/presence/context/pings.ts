/** Reading the pings: how far back, and whether what was read can be trusted. */
import { evaluationSlot, latestComplete } from "../../core/alive.ts";
import { hasBit, type PingRecord } from "../../core/bits.ts";
import { GivenUp } from "../../core/errors.ts";
import type { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import type { NamespaceConfig } from "./config.ts";
import { bulk, type Context, sampleTime } from "./context.ts";

/** Slots that a first read goes back, in the hope that they hold a complete one. */
const FIRST_READ_SLOTS = 4;

/** A ping so many slots ahead of the present says that the store's clock has stepped. */
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
 * Reads the pings as far back as the rule needs them and evaluates by what is stored alone: the state as it is for a
 * newcomer. Gives the evaluation slot. Rejects if the read lacks `own`, where that is given: a newcomer has nothing
 * better to hold on to than a fresh read.
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

/** Reads all pings from a slot on into the roster. No deaths are reported by it, so it may take its time. */
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
 * Where pings lie in slots to come the store's clock has stepped back while this process did not know of it: the slots
 * are made to follow the latest one. Gives whether there were any.
 */
export async function followAhead(
  context: Context,
  config: NamespaceConfig,
  records: readonly PingRecord[],
): Promise<boolean> {
  const latest = latestPinged(records);
  if (latest <= context.time.slot + SLOTS_AHEAD_MAX) return false;
  context.health.suspect("the store has pings of slots to come: its clock has stepped");
  await sampleTime(context);
  await config.catchUp(latest);
  return true;
}

/** A read that lacks what we have written ourselves. */
export function notFresh(what: string): GivenUp {
  return new GivenUp(`A read lacks our own ${what}: it is not fresh.`);
}

/**
 * Why a read of the slots from `from` on cannot be trusted, if it cannot. It must have our own latest acknowledged ping,
 * as late as that was stamped: a deposed primary or a lagging member has not. A presence that may not write has none,
 * and trusts a read with any ping in the evaluation slot.
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
