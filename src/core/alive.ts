/**
 * Who is alive: the whole rule of heartbit. Start reading here.
 *
 * Time is divided into slots of one period. Each process (a session) sets one bit in every slot: its ping. A
 * registration is a key held by a session, and shares the session's bits. These determine who is alive:
 *
 *   1. The last ping of a registration is its `last` if it has one (its own, else its session's): the slot in which it
 *      stopped, a later one for a planned absence, 0 if it was killed. Otherwise it is the latest slot with its
 *      session's bit. Any write proves life: opening a session and registering a key count as pings.
 *   2. Liveness is evaluated once a slot, when half of the slot has passed: the evaluation slot `j` is the latest such
 *      slot.
 *   3. Time in which nobody could write does not count. A slot is *complete* if it is before `j`, is not empty, and has
 *      no empty neighbour (`j` itself counts as not empty). The liveness threshold `g` is the latest complete slot, or
 *      the oldest retained slot if there is none. In quiet times `g = j - 1`.
 *   4. A registration is alive if its last ping is in a slot `>= g`. A key is alive if one of its registrations is.
 *
 * So a process whose last ping is in slot L is reported dead when j = L + 2: 2.5 periods after the start of slot L. One
 * missed slot is forgiven. After an outage everyone has two slots to come back, because no slot next to it is complete.
 *
 * A watcher may report an expiry only if it has had no suspicion since the start of slot `j - 1`. A suspicion is any
 * sign that its view of the store may be out of date. Until then it keeps `g` where it is.
 */
import { KILLED } from "./records.ts";
import type { Slot } from "./slots.ts";

/** A process is reported dead this many periods after the start of the slot of its last ping. */
export const PERIODS_TO_DEATH = 2.5;

/** What the rule reads of a registration's session. */
export interface SessionLife {
  /** The slot of the latest write of the session's record; counts as a ping. */
  readonly slot: Slot;
  /** The latest slot with the session's bit; -Infinity if none is known. */
  readonly bit: Slot;
  /** If the session was closed: the latest slot in which its registrations count as alive. */
  readonly last?: Slot | undefined;
}

/** What the rule reads of a registration. */
export interface RegistrationLife {
  /** The slot of the latest write of the registration's record; counts as a ping of this registration. */
  readonly slot: Slot;
  /** If the registration was stopped or killed: the latest slot in which it counts as alive. */
  readonly last?: Slot | undefined;
}

/** The slot of the registration's last ping (1). */
export function lastPing(registration: RegistrationLife, session: SessionLife): Slot {
  if (registration.last !== undefined) return registration.last;
  if (session.last !== undefined) return session.last;
  return Math.max(registration.slot, session.slot, session.bit);
}

/** Whether a registration whose last ping is in slot `last` is alive, given `g` (4). */
export function isAliveAt(last: Slot, g: Slot): boolean {
  return last !== KILLED && last >= g;
}

/** The evaluation slot at a position: the latest slot of which half has passed (2). */
export function evaluationSlot(position: number): Slot {
  return Math.floor(position - 0.5);
}

/**
 * `g`: the latest complete slot before the evaluation slot `j`, or `oldest` if there is none (3).
 * `isEmpty` is asked about slots from `j - 1` down to `oldest`, and no further than needed.
 */
export function latestComplete(j: Slot, oldest: Slot, isEmpty: (slot: Slot) => boolean): Slot {
  let nonEmptyInRow = 1; // `j` counts as not empty
  for (let slot = j - 1; slot >= oldest; slot--) {
    nonEmptyInRow = isEmpty(slot) ? 0 : nonEmptyInRow + 1;
    if (nonEmptyInRow === 3) return slot + 1;
  }
  return oldest;
}

/** Whether a watcher whose latest suspicion was at position `suspicion` may report expiries in evaluation slot `j`. */
export function mayReportDeaths(j: Slot, suspicion: number): boolean {
  return suspicion < j - 1;
}

/** The earliest position at which a watcher could report a process dead whose last ping is in slot `last`. */
export function deathPosition(last: Slot): number {
  return last + PERIODS_TO_DEATH;
}
