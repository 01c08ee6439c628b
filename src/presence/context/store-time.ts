/**
 * The store's time, as this process knows it. All slots are in the store's time; a process keeps its distance to it,
 * measured against its own monotonic clock, from the sample with the smallest round trip, and a position in slots
 * that never goes back.
 *
 * A step of the store's clock is detected by anything that tells its time, and corrected by a sample. After a step
 * back the position stays where it is, and the namespace's `offset` is raised so that the next slot follows it.
 */
import type { Clock } from "../../core/clock.ts";
import { GivenUp } from "../../core/errors.ts";
import { positionAt, type Slot, timeAt } from "../../core/slots.ts";
import type { Namespace } from "../../core/store.ts";
import { wallDistanceOf, within } from "../../lib/timers.ts";

/** A position may be this many slots behind the latest before the offset is raised; it waits so many out. */
const SLOTS_BEHIND_MAX = 2;
const SAMPLES_MAX = 8;
const RESAMPLE_MS = 60_000;
/** A sample tells its own error, so it may take longer than a ping or a read. */
const LIMIT_MS_MIN = 1000;
/**
 * Wall clock and monotonic clock are looked at one after the other, and the one may have a resolution of 16 ms. Where they differ by
 * more, one was set, or the machine has slept.
 */
const WALL_STEP_MS = 20;
/** It may sleep, or be set, again while it is looked at. */
const ENSURE_TRIES = 3;
/** How far two clocks drift apart: 200 ppm, more than the crystals of two machines together. */
const DRIFT = 200e-6;
/** What the resolution of the store's clock adds to the error of a sample. */
const RESOLUTION_MS = 1;

interface Sample {
  /** The store's time less the monotonic time, in ms. */
  readonly distance: number;
  /** How far `distance` may be off when it is taken: half of the round trip. */
  readonly errorMs: number;
  readonly taken: number;
}

export interface StoreTimeOptions {
  readonly namespace: Namespace;
  readonly clock: Clock;
  readonly periodMs: number;
  /** Called when the store's clock has stepped, after the correction, by how many ms. */
  readonly stepped: (byMs: number) => void;
  /** Called when our view of the store's time turns out to have been far off, though no further than we knew it might be. */
  readonly moved: () => void;
  /** Called when the offset has been raised, by us or by another: the slots have moved on, and not all know it yet. */
  readonly raised: () => void;
}

export class StoreTime {
  readonly #options: StoreTimeOptions;
  #samples: Sample[] = [];
  #best: Sample = { distance: 0, errorMs: Infinity, taken: 0 };
  #offset = 0;
  #highest = -Infinity;
  #heardAt = -Infinity;
  #sampling: Promise<void> | undefined;
  /** How many samples were begun, and which of them was the latest to be answered. */
  #asked = 0;
  #answered = 0;
  /** The distance of the wall clock to the monotonic one, at the latest sample. */
  #sampledAtWallDistance: number;

  constructor(options: StoreTimeOptions) {
    this.#options = options;
    this.#sampledAtWallDistance = wallDistanceOf(options.clock);
  }

  /** The store's time now, in ms. */
  get now(): number {
    return this.#options.clock.monotonic() + this.#best.distance;
  }

  /** How far `now` may be off, in ms. */
  get errorMs(): number {
    return this.#errorNow(this.#best);
  }

  /** The store's time less this machine's wall time, in ms. */
  get wallDistance(): number {
    return this.now - this.#options.clock.now();
  }

  get offset(): number {
    return this.#offset;
  }

  /** The present, in slots. Never goes back. */
  get position(): number {
    this.#highest = Math.max(this.#highest, this.#rawPosition);
    return this.#highest;
  }

  get slot(): Slot {
    return Math.floor(this.position);
  }

  /** How many slots the store's time lies behind our latest: more than 0 only after its clock has stepped back. */
  get slotsBehind(): number {
    return this.slot - Math.floor(this.#rawPosition);
  }

  /** The ms from now to a position; 0 when it has passed. */
  until(position: number): number {
    return Math.max(0, (position - this.position) * this.#options.periodMs);
  }

  /** The store's time at a position, in ms. */
  at(position: number): number {
    return timeAt({ periodMs: this.#options.periodMs, offset: this.#offset }, position);
  }

  /**
   * Whether our view of it may be far off: since the latest sample the wall clock and the monotonic one have gone different
   * ways. One was set, or the machine has slept, and the monotonic one has stood still.
   */
  get mayBeOff(): boolean {
    const { clock, periodMs } = this.#options;
    const ahead = wallDistanceOf(clock) - this.#sampledAtWallDistance;
    // A sleep moves the wall clock ahead, and our slots are as late as it is long. A clock that was set back says little of them.
    return ahead > WALL_STEP_MS || -ahead > Math.max(WALL_STEP_MS, periodMs / 20);
  }

  /** Measures the distance anew where it may be off. Rejects when the store does not answer: it may still be off then. */
  async ensure(): Promise<void> {
    // Not `sample`: one that is under way may have been lost while the machine slept. Answered later, it is dropped.
    for (let tries = 0; this.mayBeOff && tries < ENSURE_TRIES; tries++) await this.#sample();
  }

  /** Measures the distance anew. Rejects when the store does not answer. */
  sample(): Promise<void> {
    this.#sampling ??= this.#sample().finally(() => {
      this.#sampling = undefined;
    });
    return this.#sampling;
  }

  /** Once a period: samples where it is time to, or where something looks like a step. Never rejects. */
  async check(): Promise<void> {
    const { clock, periodMs } = this.#options;
    const mono = clock.monotonic();
    const isOld = mono - this.#heardAt >= periodMs / 2 || mono - this.#best.taken >= RESAMPLE_MS;
    // One taken while the store was slow may be far off: by more than a ping or a judgement allows for.
    const due = isOld || this.errorMs > periodMs / 10;
    if (this.mayBeOff || due) await this.sample().catch(() => {});
  }

  /** The store said that its time was `ms` at most a moment ago: detects a step. Never rejects. */
  async observe(ms: number): Promise<void> {
    this.#heardAt = this.#options.clock.monotonic();
    const tolerance = this.#options.periodMs / 10 + this.errorMs;
    if (Math.abs(ms - this.now) > tolerance) await this.sample().catch(() => {});
  }

  /**
   * After a step back of the store's clock: reads the offset, and raises it when we are too far behind. `stored` is
   * the latest slot seen in the store. Rejects when the store does not answer.
   */
  async catchUp(stored: Slot = this.slot): Promise<void> {
    const { namespace } = this.#options;
    const config = await this.#bounded("config", namespace.config());
    if (config !== undefined) await this.follow(config.offset);
    const behind = stored - Math.floor(this.#rawPosition);
    if (behind > SLOTS_BEHIND_MAX) {
      const held = await this.#bounded("offset", namespace.raiseOffset(this.#offset, this.#offset + behind));
      this.#raise(held);
    }
  }

  /**
   * Takes over the offset of the namespace, which is only ever raised. A raised one says that the store's clock has
   * stepped back, so the distance is measured anew first: with the old one our slots would run ahead of all others.
   */
  async follow(offset: number): Promise<void> {
    if (offset <= this.#offset) return;
    // Not `sample`: one that is under way may have begun before the step.
    if (this.#isKnown) await this.#sample();
    this.#raise(offset);
  }

  #raise(offset: number): void {
    if (offset <= this.#offset) return;
    this.#offset = offset;
    if (this.#isKnown) this.#options.raised(); // else it is the offset as we find it
  }

  get #isKnown(): boolean {
    return this.#best.errorMs !== Infinity;
  }

  get #rawPosition(): number {
    return positionAt({ periodMs: this.#options.periodMs, offset: this.#offset }, this.now);
  }

  #errorNow({ errorMs, taken }: Sample): number {
    return errorMs + RESOLUTION_MS + (this.#options.clock.monotonic() - taken) * DRIFT;
  }

  async #sample(): Promise<void> {
    const { clock, periodMs, namespace, stepped, moved } = this.#options;
    const wallDistance = wallDistanceOf(clock); // not as it is after: it may sleep before the answer is heard
    const number = ++this.#asked;
    const began = clock.monotonic();
    const ms = await this.#bounded("time", namespace.time());
    if (number < this.#answered) return; // from before a sleep, perhaps
    this.#answered = number;
    const taken = clock.monotonic();
    // A process that was stopped meanwhile, or busy, hears of the answer before it can give it up: it may be off by half as long.
    if (taken - began > this.#limitMs) throw new GivenUp("The store's time came too late to be of use.");
    this.#heardAt = taken;
    // What was measured before a sleep is no measure any more.
    if (Math.abs(wallDistance - this.#sampledAtWallDistance) > WALL_STEP_MS) this.#samples = [];
    this.#sampledAtWallDistance = wallDistance;
    const sample = { distance: ms - (began + taken) / 2, errorMs: (taken - began) / 2, taken };
    const difference = sample.distance - this.#best.distance;
    const agree = Math.abs(difference) <= sample.errorMs + this.errorMs;
    this.#samples = agree ? [...this.#samples, sample].slice(-SAMPLES_MAX) : [sample];
    const known = this.#isKnown;
    const { distance: before } = this.#best;
    this.#best = this.#samples.reduce((a, b) => (this.#errorNow(b) <= this.#errorNow(a) ? b : a));
    if (known && !agree && Math.abs(difference) > periodMs / 10) stepped(difference);
    else if (known && Math.abs(this.#best.distance - before) > periodMs / 10) moved();
  }

  get #limitMs(): number {
    return Math.max(this.#options.periodMs, LIMIT_MS_MIN);
  }

  #bounded<T>(what: string, operation: Promise<T>): Promise<T> {
    return within(this.#options.clock, this.#limitMs, what, operation);
  }
}
