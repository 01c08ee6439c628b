/** The state of keys as one read finds it, by the rule alone, without the history that a watcher has. */
import { deathPosition, KILLED } from "../core/alive.ts";
import { Roster, type Steps } from "../core/roster.ts";
import { compareCodePoints, type Selection } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { Page } from "../core/store.ts";
import { sortInSteps } from "../lib/sort-in-steps.ts";
import { Slices } from "../lib/timers.ts";
import { type Holder, toHolder } from "./change.ts";
import type { NamespaceConfig } from "./context/config.ts";
import { bulk, type Context, readPages, sampleTime } from "./context/context.ts";
import { oldestRetained, readPings, readState } from "./context/pings.ts";

/** A step goes through about this many keys. */
const STEP_KEYS = 100;

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
export async function readListing(
  context: Context,
  config: NamespaceConfig,
  selected: Selection,
): Promise<Listing> {
  const roster = new Roster();
  // A presence that does not ping learns the store's time by asking for it.
  if (context.time.ageMs > context.periodMs) await sampleTime(context);
  const slot = await readState(context, config, roster);
  const slices = new Slices(context.clock);
  for await (const page of readPages(context, { select: selected }, bulk)) {
    await slices.doAll(takeInSteps(roster, page));
  }
  // Older pings say when an expired key was last heard from.
  if (await slices.doAll(hasExpiredInSteps(roster))) {
    await readPings(context, roster, oldestRetained(context));
  }
  const keys = await slices.doAll(statesInSteps(context, roster));
  return { asOf: new Date(context.time.now), confirmed: isConfirmed(roster, slot), keys };
}

function* takeInSteps(roster: Roster, { sessions, registrations }: Page): Steps {
  for (const session of sessions) roster.session(session);
  for (const [index, registration] of registrations.entries()) {
    roster.registration(registration);
    if (index % STEP_KEYS === 0) {
      roster.discardChanges();
      yield;
    }
  }
}

/** By the order of their code points. */
function* statesInSteps(context: Context, roster: Roster): Generator<void, KeyState[], void> {
  const states: KeyState[] = [];
  for (const key of roster.keys()) {
    if (states.push(stateOf(context, roster, key)) % STEP_KEYS === 0) yield;
  }
  return yield* sortInSteps(states, (a, b) => compareCodePoints(a.key, b.key));
}

/**
 * Whether the latest complete slot is recent, or the pings began so recently that there can be none yet. If nobody
 * pinged within the retention: whether no key was found that may still be alive.
 */
function isConfirmed(roster: Roster, slot: Slot): boolean {
  const { earliest } = roster.pings.range();
  if (earliest === Infinity) return roster.size.keys === 0;
  return roster.g >= slot - 1 || earliest >= slot - 2;
}

function* hasExpiredInSteps(roster: Roster): Generator<void, boolean, void> {
  let count = 0;
  for (const key of roster.keys()) {
    if (++count % STEP_KEYS === 0) yield;
    if (roster.isAlive(key)) continue;
    for (const { registration, session } of roster.registrations(key)) {
      if (registration.last === undefined && session.last === undefined) return true;
    }
  }
  return false;
}

function stateOf(context: Context, roster: Roster, key: string): KeyState {
  const holders = roster.holders(key).map(toHolder);
  const [oldest] = holders;
  if (oldest !== undefined) return { key, alive: true, since: oldest.since, holders };
  let sinceMs = -Infinity;
  for (const { registration, session, last } of roster.registrations(key)) {
    const killedMs = registration.last === KILLED ? registration.changed : session.changed;
    sinceMs = Math.max(sinceMs, last === KILLED ? (killedMs ?? 0) : context.time.at(deathPosition(last)));
  }
  return { key, alive: false, since: new Date(sinceMs), holders };
}
