/**
 * The internals of a presence, for the other entry points of this package only: the dashboard draws the pings, which
 * the public API does not have. Read-only by convention: only the presence writes or closes anything.
 */
import { invalid } from "../core/checks.ts";
import { shared } from "../lib/shared.ts";
import type { WatchingGauges } from "./watching/watching-side.ts";
import type { Context } from "./context/context.ts";

export interface Internals extends Context {
  /** Reads the current gauges. */
  readonly gauges: () => Gauges;
}

export interface Gauges {
  /** How many keys this presence holds. */
  readonly held: number;
  /** Undefined if nothing is watched. */
  readonly watching: WatchingGauges | undefined;
}

/** Of the presences of every copy of the package in this process. */
const all = shared("internals", () => new WeakMap<object, Internals>());

/** Called by the constructor of a presence. */
export function setInternals(presence: object, internals: Internals): void {
  all.set(presence, internals);
}

export function isPresence(value: unknown): boolean {
  return typeof value === "object" && value !== null && all.has(value);
}

/** Throws `INVALID_OPTION` if it is not a presence. */
export function internalsOf(presence: object): Internals {
  const internals = all.get(presence);
  if (internals === undefined) throw invalid("presence", "something else", "a Presence");
  return internals;
}
