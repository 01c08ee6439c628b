/**
 * What is inside of a presence, for the other entry points of this package alone: the dashboard draws the pings, which
 * the public API does not give. It is read only by convention: nobody but the presence writes or closes anything there.
 */
import { invalid } from "./options.ts";
import type { Shared } from "./shared.ts";

const insides = new WeakMap<object, Shared>();

/** Called by a presence as it is made. */
export function setInside(presence: object, shared: Shared): void {
  insides.set(presence, shared);
}

/** Throws `INVALID_OPTION` for what is no presence of this copy of the package. */
export function insideOf(presence: object): Shared {
  const shared = insides.get(presence);
  if (shared === undefined)
    throw invalid("presence", "something else", "a Presence of this copy of heartbit");
  return shared;
}
