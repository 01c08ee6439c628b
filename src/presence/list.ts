/** Reads the state of keys, once: see core/listing.ts. */
import { hasExpiredInSteps, isConfirmed, type Listing, listInSteps } from "../core/listing.ts";
import { Roster } from "../core/roster.ts";
import type { Selection } from "../core/selection.ts";
import { oldestRetained } from "../core/slots.ts";
import { takeInSteps } from "../core/take-in-steps.ts";
import { Slices } from "../lib/timers.ts";
import { type Context, patiently, readPages, sampleTime } from "./context/context.ts";
import { readPings, readState } from "./context/pings.ts";

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
  if (hasExpired) roster.addPings(await readPings(context, oldestRetained(context)));
  const keys = await slices.doAll(listInSteps(roster, context.time));
  return { asOf: new Date(context.time.now), confirmed: isConfirmed(roster, slot, hasExpired), keys };
}
