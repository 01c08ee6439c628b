/**
 * The store's time, as this process knows it from the answers to its pings. A process keeps the distance between the
 * store's clock and its own monotonic clock, and a position in slots that never goes back.
 *
 * Each answer carries a stamp that was made between sending and answering. This bounds the distance, whatever delayed
 * the answer: the network, or the wait for a majority. Bounds narrow each other, and widen with time by the drift of
 * the two clocks. (Intersecting intervals is how NTP finds the true time: Marzullo's algorithm, RFC 5905, section
 * 11.2.1.) Bounds that do not meet mean that the store's clock has stepped, or that this machine has slept, since the
 * monotonic clock stands still then. The distance changes only as far as the bounds force it to: right after a step, a
 * guess too far ahead would create slots in the future.
 */
import type { Clock } from "./clock.ts";
import { positionAt, type Slot, timeAt } from "./slots.ts";

/** How fast two clocks drift apart: 200 ppm, more than the quartz crystals of two machines together. */
const DRIFT = 200e-6;
/** The two clocks of a machine are read one after the other, and one may have a resolution of only 16 ms. */
const WALL_STEP_MS = 20;
/** Stamps are truncated to whole milliseconds. */
const RESOLUTION_MS = 1;

/** Bounds of the store's time minus the monotonic time, in ms. */
interface Bounds {
  readonly least: number;
  readonly most: number;
  /** When they applied: a monotonic time, in ms. */
  readonly at: number;
}

export class StoreTime {
  readonly #clock: Clock;
  readonly #periodMs: number;
  #bounds: Bounds | undefined;
  /** The store's time minus the monotonic time, in ms. */
  #distance = 0;
  /**
   * When the request of the latest answer was sent: a monotonic time, in ms; and by how much the wall time was ahead of
   * that.
   */
  #sent = -Infinity;
  #wallLeadThen = Infinity;
  #offset = 0;
  #highest = -Infinity;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  /** Whether the store's time is known yet. */
  get isKnown(): boolean {
    return this.#bounds !== undefined;
  }

  /** The store's time now, in ms. */
  get now(): number {
    return this.#clock.monotonic() + this.#distance;
  }

  /**
   * Whether this machine may have slept since the latest answer: its wall clock has moved ahead of its monotonic clock,
   * which stands still during a sleep.
   */
  get mayHaveSlept(): boolean {
    return this.sleptMs > WALL_STEP_MS;
  }

  /** For how long this machine may have slept since the latest answer, in ms. A busy one seems to have slept some. */
  get sleptMs(): number {
    return this.wallLead - this.#wallLeadThen;
  }

  /** By how much this machine's wall time is ahead of its monotonic time, in ms. A sleep adds its length. */
  get wallLead(): number {
    return this.#clock.now() - this.#clock.monotonic();
  }

  /** How far `now` may be off, in ms. */
  get errorMs(): number {
    if (this.#bounds === undefined) return Infinity;
    const { least, most } = aged(this.#bounds, this.#clock.monotonic());
    return Math.max(most - this.#distance, this.#distance - least);
  }

  /** How long ago the request of the latest answer was sent, in ms. */
  get ageMs(): number {
    return this.#clock.monotonic() - this.#sent;
  }

  /** The store's time minus this machine's wall time, in ms. */
  get wallDistance(): number {
    return this.now - this.#clock.now();
  }

  get offset(): number {
    return this.#offset;
  }

  /** The current position. Never goes back. */
  get position(): number {
    this.#highest = Math.max(this.#highest, this.positionOf(this.now));
    return this.#highest;
  }

  get slot(): Slot {
    return Math.floor(this.position);
  }

  /** The position at another monotonic time, in ms. */
  positionWhen(monotonic: number): number {
    return this.position + (monotonic - this.#clock.monotonic()) / this.#periodMs;
  }

  /** How many slots the store's time is behind our latest slot: more than 0 only after its clock has stepped back. */
  get slotsBehind(): number {
    return this.slot - Math.floor(this.positionOf(this.now));
  }

  /** The ms from now to a position; 0 if it has passed. */
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
   * Learns from the stamp `ms` of a request that was sent and answered at these monotonic times, when the wall time was
   * `wallLead` ahead of the monotonic time. Returns by how many ms our view of the store's time has changed, and
   * whether that was a step: more than the bounds allow.
   */
  learn(
    sent: number,
    answered: number,
    ms: number,
    wallLead: number,
  ): { readonly byMs: number; readonly isStep: boolean } {
    if (sent < this.#sent) return { byMs: 0, isStep: false }; // overtaken by a later one
    this.#sent = sent;
    this.#wallLeadThen = wallLead;
    const answer = { least: ms - answered, most: ms + RESOLUTION_MS - sent, at: answered };
    if (this.#bounds === undefined) {
      this.#bounds = answer;
      this.#distance = answer.least; // never ahead, however long the request was on its way to the store
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

  /** Learns that the store's time is at least this, in ms, from a stamp. */
  notBefore(ms: number): void {
    const at = this.#clock.monotonic();
    const least = ms - at;
    if (least <= this.#distance) return;
    this.#distance = least;
    this.#bounds = { least, most: Math.max(least + this.#periodMs, this.#bounds?.most ?? least), at };
  }

  /** Adopts a raised offset. Returns whether it was raised. */
  raise(offset: number): boolean {
    if (offset <= this.#offset) return false;
    this.#offset = offset;
    return true;
  }
}

/** The bounds at a later time: two clocks drift apart. */
function aged({ least, most, at }: Bounds, now: number): Bounds {
  const drift = (now - at) * DRIFT;
  return { least: least - drift, most: most + drift, at: now };
}
