/** The state of keys as one read finds it, by the rule alone, without the history that a watcher has. */
// oxlint-disable eslint/no-restricted-globals -- a Date only holds a given time here
import { deathPosition } from "./alive.ts";
import { type Holder, toHolder } from "./change.ts";
import { KILLED } from "./records.ts";
import type { Roster } from "./roster.ts";
import { compareCodePoints } from "./selection.ts";
import type { Slot } from "./slots.ts";
import { sortInSteps } from "./sort-in-steps.ts";
import { STEP } from "./steps.ts";
import type { StoreTime } from "./store-time.ts";

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

/** @internal Whether one of the keys has expired. */
export function* hasExpiredInSteps(roster: Roster): Generator<void, boolean, void> {
  let count = 0;
  for (const key of roster.keys()) {
    if (++count % STEP === 0) yield;
    if (roster.isAlive(key)) continue;
    for (const { registration, session } of roster.registrations(key)) {
      if (registration.last === undefined && session.last === undefined) return true;
    }
  }
  return false;
}

/**
 * @internal Whether the dead can be distinguished from the living in slot `j`. Yes, if the latest complete slot is
 * recent. Also yes, if pings began so recently that no slot can be complete yet, and no key has expired: after a long
 * outage the first to ping are not the only ones alive. If nobody pinged within the retention, only an empty result is
 * certain.
 */
export function isConfirmed(roster: Roster, j: Slot, hasExpired: boolean): boolean {
  const { earliest } = roster.pings.range();
  if (earliest === Infinity) return roster.size.keys === 0;
  return roster.g >= j - 1 || (!hasExpired && earliest >= j - 2);
}

/** @internal The state of each key, in the order of their code points. */
export function* listInSteps(roster: Roster, time: StoreTime): Generator<void, KeyState[], void> {
  const states: KeyState[] = [];
  for (const key of roster.keys()) {
    if (states.push(stateOf(roster, time, key)) % STEP === 0) yield;
  }
  return yield* sortInSteps(states, (a, b) => compareCodePoints(a.key, b.key));
}

function stateOf(roster: Roster, time: StoreTime, key: string): KeyState {
  const holders = roster.holders(key).map(toHolder);
  const [oldest] = holders;
  if (oldest !== undefined) return { key, alive: true, since: new Date(oldest.since), holders };
  let sinceMs = -Infinity;
  for (const { registration, session, lastPing } of roster.registrations(key)) {
    const killedMs = registration.last === KILLED ? registration.changed : session.changed;
    sinceMs = Math.max(sinceMs, lastPing === KILLED ? (killedMs ?? 0) : time.at(deathPosition(lastPing)));
  }
  return { key, alive: false, since: new Date(sinceMs), holders };
}
