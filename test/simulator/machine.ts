/** A simulated process: its clock, and when it runs. */
import type { Clock } from "../../src/index.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** A wall clock begins here: ms since 1970. */
export const EPOCH = Date.UTC(2026, 0, 1);

/** What a clock may be wrong by for its numbers' sake alone. */
const CLOCK_MS = 1e-3;

export interface MachineOptions {
  /** How much faster its clocks run than true time: 1e-4 is 100 ppm. */
  readonly drift: number;
  /** How far its wall clock is ahead at first, in ms. */
  readonly wallAheadMs: number;
}

/**
 * It can be paused, as SIGSTOP does: its timers fire, and what comes from outside reaches it, only when it goes on.
 * What it has sent is under way meanwhile. Or it sleeps, as a laptop does: then its monotonic clock stands still besides.
 * And it can crash: then nothing reaches it any more.
 */
export class Machine implements Clock {
  readonly #world: World;
  readonly #random: Random;
  readonly #born: number;
  readonly #drift: number;
  #wallAheadMs: number;
  #pauses = 0;
  #sleeps = 0;
  #asleepSince = 0;
  /** For how long it has slept in all, up to its latest waking: true ms. */
  #slept = 0;
  #isCrashed = false;
  /** When it woke from its latest sleep: a true time. */
  wokenAt = -Infinity;
  /** When its wall clock was set back while it slept, the last time: no clock shows how long that was. A true time. */
  setBackAsleepAt = -Infinity;
  #dueTimers: (() => void)[] = [];
  #arrived: (() => void)[] = [];

  constructor(world: World, random: Random, { drift, wallAheadMs }: MachineOptions) {
    this.#world = world;
    this.#random = random;
    this.#born = world.now;
    this.#drift = drift;
    this.#wallAheadMs = wallAheadMs;
  }

  get isPaused(): boolean {
    return this.#pauses > 0;
  }

  get isCrashed(): boolean {
    return this.#isCrashed;
  }

  now(): number {
    return Math.floor(EPOCH + this.#world.now * (1 + this.#drift) + this.#wallAheadMs);
  }

  monotonic(): number {
    const asleep = this.#sleeps > 0 ? this.#world.now - this.#asleepSince : 0;
    return (this.#world.now - this.#born - this.#slept - asleep) * (1 + this.#drift);
  }

  random(): number {
    return this.#random.next();
  }

  setTimer(callback: () => void, delayMs: number): () => void {
    let cancelled = false;
    let forget: (() => void) | undefined;
    const due = this.monotonic() + Math.max(0, delayMs);
    const fire = (): void => {
      if (cancelled) return;
      const leftMs = due - this.monotonic();
      if (leftMs > CLOCK_MS) wait(leftMs);
      else callback();
    };
    const wait = (ms: number): void => {
      const lateMs = this.#random.between(0, 2);
      forget = this.#world.after(ms / (1 + this.#drift) + lateMs, () => {
        if (this.isPaused) this.#dueTimers.push(fire);
        else if (!this.#isCrashed) fire();
      });
    };
    wait(Math.max(0, delayMs));
    return () => {
      cancelled = true;
      forget?.();
    };
  }

  /** Something reaches the process from outside: it is done when the process runs. */
  deliver(act: () => void): void {
    if (this.#isCrashed) return;
    if (this.isPaused) this.#arrived.push(act);
    else act();
  }

  /** Steps the wall clock. */
  step(ms: number): void {
    this.#wallAheadMs += ms;
    if (ms < 0 && this.#sleeps > 0) this.setBackAsleepAt = this.#world.now;
  }

  pause(sleeps = false): void {
    this.#pauses++;
    if (sleeps && this.#sleeps++ === 0) this.#asleepSince = this.#world.now;
  }

  /** Goes on: whether timers or input come first depends on where the event loop was stopped. */
  resume(sleeps = false): void {
    if (sleeps && --this.#sleeps === 0) {
      this.wokenAt = this.#world.now;
      this.#slept += this.wokenAt - this.#asleepSince;
    }
    if (--this.#pauses > 0) return;
    const timers = this.#dueTimers.splice(0);
    const arrived = this.#arrived.splice(0);
    const backlog = this.#random.chance(0.5) ? [...timers, ...arrived] : [...arrived, ...timers];
    // Each in an event of its own, so that it settles before the next.
    for (const act of backlog) this.#world.after(0, () => this.deliver(act));
  }

  crash(): void {
    this.#isCrashed = true;
    this.#dueTimers = [];
    this.#arrived = [];
  }
}
