/**
 * The store's time, as this process knows it from the answers to its pings. A process keeps the distance of the store's
 * clock to its own monotonic clock, and a position in slots that never goes back.
 *
 * An answer carries a stamp that was made between sending and answering: so it gives bounds for the distance, which hold
 * whatever delayed the answer, the way there or the wait for a majority. Bounds narrow each other, and widen with time by
 * the drift of the clocks. (Intersecting intervals is how NTP finds the true time: Marzullo's algorithm, RFC 5905, section
 * 11.2.1.) Bounds that do not meet say that the store's clock has stepped, or that this machine has slept: the monotonic
 * clock stands still then. The distance changes no further than the bounds force it to: right after a step a guess too
 * far ahead would make slots of the future.
 */
import type { Clock } from "./clock.ts";
import { positionAt, type Slot, timeAt } from "./slots.ts";

/** How far two clocks drift apart: 200 ppm, more than the crystals of two machines together. */
const DRIFT = 200e-6;
/** The two clocks of a machine are read one after the other, and one may have a resolution of 16 ms. */
const WALL_STEP_MS = 20;
/** Stamps are cut to whole milliseconds. */
const RESOLUTION_MS = 1;

/** Between which the store's time less the monotonic time lies, in ms. */
interface Bounds {
  readonly least: number;
  readonly most: number;
  /** As of when: a monotonic time, in ms. */
  readonly at: number;
}

export class StoreTime {
  readonly #clock: Clock;
  readonly #periodMs: number;
  #bounds: Bounds | undefined;
  /** The store's time less the monotonic time, in ms. */
  #distance = 0;
  /** When the latest answer was asked for: a monotonic time, in ms; and the wall time less that, in ms. */
  #sent = -Infinity;
  #wallDistance = Infinity;
  #offset = 0;
  #highest = -Infinity;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  /** Whether the store has told its time yet. */
  get isKnown(): boolean {
    return this.#bounds !== undefined;
  }

  /** The store's time now, in ms. */
  get now(): number {
    return this.#clock.monotonic() + this.#distance;
  }

  /**
   * Whether this machine may have slept since the latest answer: its wall clock has gone ahead of its monotonic one, which
   * stands still then.
   */
  get mayHaveSlept(): boolean {
    return this.#clock.now() - this.#clock.monotonic() - this.#wallDistance > WALL_STEP_MS;
  }

  /** How far `now` may be off, in ms. */
  get errorMs(): number {
    if (this.#bounds === undefined) return Infinity;
    const { least, most } = aged(this.#bounds, this.#clock.monotonic());
    return Math.max(most - this.#distance, this.#distance - least);
  }

  /** How long ago the latest answer was asked for, in ms. */
  get ageMs(): number {
    return this.#clock.monotonic() - this.#sent;
  }

  /** The store's time less this machine's wall time, in ms. */
  get wallDistance(): number {
    return this.now - this.#clock.now();
  }

  get offset(): number {
    return this.#offset;
  }

  /** The present, in slots. Never goes back. */
  get position(): number {
    this.#highest = Math.max(this.#highest, this.positionOf(this.now));
    return this.#highest;
  }

  get slot(): Slot {
    return Math.floor(this.position);
  }

  /** How many slots the store's time lies behind our latest: more than 0 only after its clock has stepped back. */
  get slotsBehind(): number {
    return this.slot - Math.floor(this.positionOf(this.now));
  }

  /** The ms from now to a position; 0 when it has passed. */
  until(position: number): number {
    return Math.max(0, (position - this.position) * this.#periodMs);
  }

  /** The store's time at a position, in ms. */
  at(position: number): number {
    return timeAt({ periodMs: this.#periodMs, offset: this.#offset }, position);
  }

  /** The position of a time of the store, in ms. */
  positionOf(ms: number): number {
    return positionAt({ periodMs: this.#periodMs, offset: this.#offset }, ms);
  }

  /**
   * Takes in the stamp `ms` of what was sent and answered at these monotonic times, when the wall time was `wallDistance`
   * ahead of the monotonic one. Gives by how many ms our view of the store's time has changed, and whether that was a
   * step: more than the bounds allow.
   */
  learn(
    sent: number,
    answered: number,
    ms: number,
    wallDistance: number,
  ): { readonly byMs: number; readonly isStep: boolean } {
    if (sent < this.#sent) return { byMs: 0, isStep: false }; // overtaken by a later one
    this.#sent = sent;
    this.#wallDistance = wallDistance;
    const answer = { least: ms - answered, most: ms + RESOLUTION_MS - sent, at: answered };
    if (this.#bounds === undefined) {
      this.#bounds = answer;
      this.#distance = (answer.least + answer.most - RESOLUTION_MS) / 2;
      return { byMs: 0, isStep: false };
    }
    const before = aged(this.#bounds, answered);
    const least = Math.max(before.least, answer.least);
    const most = Math.min(before.most, answer.most);
    const isStep = least > most;
    this.#bounds = isStep ? answer : { least, most, at: answered };
    const distance = Math.min(Math.max(this.#distance, this.#bounds.least), this.#bounds.most);
    const byMs = distance - this.#distance;
    this.#distance = distance;
    return { byMs, isStep };
  }

  /** The store's time is this, in ms, or later: something was stamped so. */
  notBefore(ms: number): void {
    const at = this.#clock.monotonic();
    const least = ms - at;
    if (least <= this.#distance) return;
    this.#distance = least;
    this.#bounds = { least, most: Math.max(least + this.#periodMs, this.#bounds?.most ?? least), at };
  }

  /** Takes over a raised offset. Gives whether it was raised. */
  raise(offset: number): boolean {
    if (offset <= this.#offset) return false;
    this.#offset = offset;
    return true;
  }
}

/** The bounds as they are later: two clocks drift apart. */
function aged({ least, most, at }: Bounds, now: number): Bounds {
  const drift = (now - at) * DRIFT;
  return { least: least - drift, most: most + drift, at: now };
}
