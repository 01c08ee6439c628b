/** The state of keys as one read finds it, by the rule alone, without the history that a watcher has. */
import { deathPosition } from "./alive.ts";
import { KILLED } from "./records.ts";
import type { HolderState } from "./holders.ts";
import type { Roster } from "./roster.ts";
import { compareCodePoints } from "./selection.ts";
import type { Slot } from "./slots.ts";
import { sortInSteps } from "./sort-in-steps.ts";
import { STEP } from "./steps.ts";
import type { StoreTime } from "./store-time.ts";

/** A key that was found. */
export interface FoundKey {
  readonly key: string;
  /** The live holders, oldest first; empty if dead. */
  readonly holders: readonly HolderState[];
  /** If alive, since when its oldest holder holds it; if dead, since when: the store's time in ms. */
  readonly sinceMs: number;
}

/** Whether one of the keys has expired. */
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
 * Whether the dead can be distinguished from the living in slot `j`. Yes, if the latest complete slot is recent. Also
 * yes, if pings began so recently that no slot can be complete yet, and no key has expired: after a long outage the
 * first to ping are not the only ones alive. If nobody pinged within the retention, only an empty result is certain.
 */
export function isConfirmed(roster: Roster, j: Slot, hasExpired: boolean): boolean {
  const { earliest } = roster.pings.range();
  if (earliest === Infinity) return roster.size.keys === 0;
  return roster.g >= j - 1 || (!hasExpired && earliest >= j - 2);
}

/** What `toItem` makes of each key, in the order of their code points. */
export function* listInSteps<Item extends { readonly key: string }>(
  roster: Roster,
  time: StoreTime,
  toItem: (found: FoundKey) => Item,
): Generator<void, Item[], void> {
  const items: Item[] = [];
  for (const key of roster.keys()) {
    if (items.push(toItem(find(roster, time, key))) % STEP === 0) yield;
  }
  return yield* sortInSteps(items, (a, b) => compareCodePoints(a.key, b.key));
}

function find(roster: Roster, time: StoreTime, key: string): FoundKey {
  const holders = roster.holders(key);
  const [oldest] = holders;
  if (oldest !== undefined) return { key, holders, sinceMs: oldest.since };
  let sinceMs = -Infinity;
  for (const { registration, session, lastPing } of roster.registrations(key)) {
    const killedMs = registration.last === KILLED ? registration.changed : session.changed;
    sinceMs = Math.max(sinceMs, lastPing === KILLED ? (killedMs ?? 0) : time.at(deathPosition(lastPing)));
  }
  return { key, holders, sinceMs };
}
