/**
 * What is inside of a presence, for the other entry points of this package alone: the dashboard draws the pings, which
 * the public API does not give. It is read only by convention: nobody but the presence writes or closes anything there.
 */
import type { ObserverGauges } from "../watching/observer.ts";
import { invalid } from "../options.ts";
import type { Shared } from "./context.ts";

export interface Inside extends Shared {
  /** How things stand at present. */
  readonly gauges: () => Gauges;
}

export interface Gauges {
  /** Keys that this presence holds. */
  readonly held: number;
  /** Undefined while nothing is watched. */
  readonly observer: ObserverGauges | undefined;
}

const insides = new WeakMap<object, Inside>();

/** Called by a presence as it is made. */
export function setInside(presence: object, inside: Inside): void {
  insides.set(presence, inside);
}

/** Throws `INVALID_OPTION` for what is no presence of this copy of the package. */
export function insideOf(presence: object): Inside {
  const inside = insides.get(presence);
  if (inside === undefined)
    throw invalid("presence", "something else", "a Presence of this copy of heartbit");
  return inside;
}
