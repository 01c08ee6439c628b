/** Reads the state of keys, once: see core/listing.ts. */
import { type FoundKey, hasExpiredInSteps, isConfirmed, listInSteps } from "../core/listing.ts";
import { Roster } from "../core/roster.ts";
import type { Selection } from "../core/selection.ts";
import { oldestRetained } from "../core/slots.ts";
import { takeInSteps } from "../core/take-in-steps.ts";
import { Slices } from "../lib/timers.ts";
import { type Holder, toHolder } from "../core/change.ts";
import { type Context, patiently, readPages, sampleTime } from "./context/context.ts";
import { readPings, readState } from "./context/pings.ts";

/** The state of one key. */
export interface KeyState<Meta = unknown> {
  /** The key. */
  readonly key: string;
  /** Whether it was alive at the time of the read. */
  readonly alive: boolean;
  /** If alive, since when its oldest holder holds it; if dead, since when. By the store's clock. */
  readonly since: Date;
  /** The live holders, oldest first; empty if dead. */
  readonly holders: Holder<Meta>[];
}

/** What `presence.list` gives. */
export interface Listing<Meta = unknown> {
  /** The time of the read, by the store's clock. */
  readonly asOf: Date;
  /**
   * False if nobody has pinged lately, so that the dead cannot be distinguished from the living. Keys listed as alive
   * were alive when pings were last seen.
   */
  readonly confirmed: boolean;
  /** The live keys and those that died within the retention, in the order of their code points. */
  readonly keys: KeyState<Meta>[];
}

/** @internal */
export async function readListing(context: Context, selected: Selection): Promise<Listing> {
  const roster = new Roster();
  // A presence that does not ping learns the store's time by asking for it.
  if (context.time.ageMs > context.periodMs || context.time.mayHaveSlept) await sampleTime(context);
  const slot = await readState(context, roster);
  const slices = new Slices(context.clock);
  for await (const page of readPages(context, { select: selected }, patiently)) {
    await slices.doAll(takeInSteps(roster, page, () => true));
    roster.discardChanges();
  }
  // Older pings say when an expired key was last heard from.
  const hasExpired = await slices.doAll(hasExpiredInSteps(roster));
  if (hasExpired) await readPings(context, roster, oldestRetained(context));
  const keys = await slices.doAll(listInSteps(roster, context.time, toKeyState));
  return { asOf: new Date(context.time.now), confirmed: isConfirmed(roster, slot, hasExpired), keys };
}

function toKeyState({ key, holders, sinceMs }: FoundKey): KeyState {
  return { key, alive: holders.length > 0, since: new Date(sinceMs), holders: holders.map(toHolder) };
}
