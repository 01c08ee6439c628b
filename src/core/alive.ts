/**
 * Who is alive: the rule of heartbit, whole. Start reading here.
 *
 * Time is cut into slots of one period. Each process (a session) sets one bit in every slot: its ping. A registration is
 * a key held by a session; it rides on the session's bits. From this, and from nothing else, follows who is alive:
 *
 *   1. A registration's last ping is its `last` where it has one (its own, else its session's): the slot in which it
 *      stopped, a later one for a planned absence, 0 when it was killed. Else it is the latest slot with its
 *      session's bit. Any write proves life: opening a session and registering a registration count as pings.
 *   2. It is judged once a slot, when half of the slot has passed: the judged slot `j` is the latest such slot.
 *   3. Time in which nobody could write does not count. A slot is *complete* when it lies before `j`, is not empty,
 *      and has no empty neighbour (`j` itself counts as not empty). `g` is the latest complete slot, or the oldest
 *      retained slot where there is none. In quiet times `g = j - 1`.
 *   4. A registration is alive when its last ping is in a slot `>= g`. A key is alive when some registration of it is.
 *
 * So a process last vouched for in slot L is told dead when j = L + 2, which is at position L + 2.5; missing one
 * slot whole is forgiven; and after an outage everybody has two slots to come back, because no slot next to the
 * outage is complete.
 *
 * A watcher may tell a death by absence only when it has had no trouble since the start of slot `j - 1`: trouble is
 * any sign that its view of the store may be late. Until then it holds `g` where it is.
 */
import type { Slot } from "./slots.ts";

/** The `last` of what was killed: dead now, whatever it has pinged. */
export const KILLED = 0;

/** A process is told dead this many periods after the start of the slot in which it was last vouched for. */
export const PERIODS_TO_DEATH = 2.5;

/** What the rule reads of a registration's session. */
export interface SessionLife {
  /** The slot of the latest write of the session's document; counts as a ping. */
  readonly slot: Slot;
  /** The latest slot with the session's bit; -Infinity where none is known. */
  readonly bit: Slot;
  /** Until when the whole session is vouched for, if it has been closed. */
  readonly last?: Slot | undefined;
}

/** What the rule reads of a registration. */
export interface RegistrationLife {
  /** The slot of the latest write of the registration's document; counts as a ping of this registration. */
  readonly slot: Slot;
  /** Until when the registration is vouched for, if it has been stopped or killed. */
  readonly last?: Slot | undefined;
}

/** The slot in which the registration pinged for the last time (1). */
export function lastPing(registration: RegistrationLife, session: SessionLife): Slot {
  if (registration.last !== undefined) return registration.last;
  if (session.last !== undefined) return session.last;
  return Math.max(registration.slot, session.slot, session.bit);
}

/** Whether what pinged last in `last` is alive, given `g` (4). */
export function isAliveAt(last: Slot, g: Slot): boolean {
  return last !== KILLED && last >= g;
}

/** The judged slot at a position: the latest slot whose half has passed (2). */
export function evaluationSlot(position: number): Slot {
  return Math.floor(position - 0.5);
}

/**
 * `g`: the latest complete slot before `judged`, or `oldest` where none is (3).
 * `isEmpty` is asked for slots from `judged - 1` down to `oldest`, and no further than needed.
 */
export function latestComplete(judged: Slot, oldest: Slot, isEmpty: (slot: Slot) => boolean): Slot {
  let nonEmptyInRow = 1; // `judged` counts as not empty
  for (let slot = judged - 1; slot >= oldest; slot--) {
    nonEmptyInRow = isEmpty(slot) ? 0 : nonEmptyInRow + 1;
    if (nonEmptyInRow === 3) return slot + 1;
  }
  return oldest;
}

/** Whether a watcher whose latest trouble was at position `trouble` may tell deaths by absence at `judged`. */
export function mayReportDeaths(judged: Slot, trouble: number): boolean {
  return trouble < judged - 1;
}

/** The earliest position at which a watcher could tell dead what was last vouched for in slot `last`. */
export function deathPosition(last: Slot): number {
  return last + PERIODS_TO_DEATH;
}
