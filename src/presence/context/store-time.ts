/**
 * The store's time, as this process knows it from the answers to its pings. A process keeps the distance of the store's
 * clock to its own monotonic clock, and a position in slots that never goes back.
 *
 * An answer carries a stamp that was made between sending and answering. So it gives bounds for the distance that hold
 * whatever delayed the answer. Within them the best guess is near the sending: the stamp is made before the wait for the
 * majority. Of the latest answers the one with the narrowest bounds counts. (This is how NTP picks the sample with the
 * least delay: RFC 5905, section 10.) Bounds that do not meet say that the store's clock has stepped, or that this
 * machine has slept: the monotonic clock stands still then.
 */
import type { Clock } from "../../core/clock.ts";
import { positionAt, type Slot, timeAt } from "../../core/slots.ts";

const ANSWERS_KEPT = 8;
/** How far two clocks drift apart: 200 ppm, more than the crystals of two machines together. */
const DRIFT = 200e-6;
/** The two clocks of a machine are read one after the other, and one may have a resolution of 16 ms. */
const WALL_STEP_MS = 20;
/** A network that has become slower is believed step by step. */
const ROUND_TRIP_GROWTH = 1.25;
/** Stamps are cut to whole milliseconds. */
const RESOLUTION_MS = 1;

interface Answer {
  /** The store's time less the monotonic time, in ms: the best guess, and its bounds. */
  readonly distance: number;
  readonly least: number;
  readonly most: number;
  /** A monotonic time, in ms. */
  readonly sent: number;
}

export class StoreTime {
  readonly #clock: Clock;
  readonly #periodMs: number;
  #answers: Answer[] = [];
  #best: Answer | undefined;
  #roundTripMs = Infinity;
  /** The wall time less the monotonic time, in ms, when the latest answer was asked for. */
  #wallDistance = Infinity;
  #offset = 0;
  #highest = -Infinity;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  /** Whether the store has told its time yet. */
  get isKnown(): boolean {
    return this.#best !== undefined;
  }

  /** The store's time now, in ms. */
  get now(): number {
    return this.#clock.monotonic() + (this.#best?.distance ?? 0);
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
    return this.#best === undefined ? Infinity : this.#widthOf(this.#best) / 2;
  }

  /** How long ago the answer was sent that `now` rests on, in ms. */
  get ageMs(): number {
    return this.#clock.monotonic() - (this.#best?.sent ?? -Infinity);
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
   * Takes in the stamp `ms` of something that was sent and answered at these monotonic times. Gives by how many ms our
   * view of the store's time has changed, and whether that was a step: more than all bounds allow.
   */
  learn(
    sent: number,
    answered: number,
    ms: number,
    sentWallDistance: number,
  ): { readonly byMs: number; readonly isStep: boolean } {
    const latest = this.#answers.at(-1);
    if (latest !== undefined && sent < latest.sent) return { byMs: 0, isStep: false }; // overtaken by a later one
    this.noteRoundTrip(answered - sent);
    this.#wallDistance = sentWallDistance;
    const answer = {
      distance: ms - sent - this.#roundTripMs / 2,
      least: ms - answered,
      most: ms + RESOLUTION_MS - sent,
      sent,
    };
    const before = this.#best;
    const agrees = before !== undefined && this.#meet(before, answer);
    this.#answers = agrees ? [...this.#answers, answer].slice(-ANSWERS_KEPT) : [answer];
    this.#best = this.#answers.reduce((a, b) => (this.#widthOf(b) <= this.#widthOf(a) ? b : a));
    const byMs = before === undefined ? 0 : this.#best.distance - before.distance;
    return { byMs, isStep: before !== undefined && !agrees };
  }

  /** How long a small operation took: the quickest of late say how long a stamp was on its way. */
  noteRoundTrip(tookMs: number): void {
    this.#roundTripMs = Math.min(tookMs, this.#roundTripMs * ROUND_TRIP_GROWTH + RESOLUTION_MS);
  }

  /** Takes over a raised offset. Gives whether it was raised. */
  raise(offset: number): boolean {
    if (offset <= this.#offset) return false;
    this.#offset = offset;
    return true;
  }

  #meet(a: Answer, b: Answer): boolean {
    const drift = Math.abs(b.sent - a.sent) * DRIFT + RESOLUTION_MS;
    return a.least - drift <= b.most && b.least - drift <= a.most;
  }

  #widthOf({ least, most, sent }: Answer): number {
    return most - least + 2 * (this.#clock.monotonic() - sent) * DRIFT;
  }
}
