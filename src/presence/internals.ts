/**
 * The inside of a presence, for the other entry points of this package alone: the dashboard draws the pings, which the
 * public API does not give. It is read-only by convention: only the presence writes or closes anything there.
 */
import { invalid } from "../lib/arguments.ts";
import type { WatchingGauges } from "./watching/watching.ts";
import type { Context } from "./context/context.ts";

export interface Internals extends Context {
  /** How things stand at present. */
  readonly gauges: () => Gauges;
}

export interface Gauges {
  /** Keys that this presence holds. */
  readonly held: number;
  /** Undefined while nothing is watched. */
  readonly watching: WatchingGauges | undefined;
}

const all = new WeakMap<object, Internals>();

/** Called by a presence as it is made. */
export function setInternals(presence: object, internals: Internals): void {
  all.set(presence, internals);
}

/** Throws `INVALID_OPTION` for what is no presence of this copy of the package. */
export function internalsOf(presence: object): Internals {
  const internals = all.get(presence);
  if (internals === undefined)
    throw invalid("presence", "something else", "a Presence of this copy of heartbit");
  return internals;
}
