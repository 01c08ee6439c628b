/** A simulated process: its clock, and when it runs. */
import type { Clock } from "../../src/index.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** A wall clock begins here: ms since 1970. */
export const EPOCH = Date.UTC(2026, 0, 1);

export interface MachineOptions {
  /** How much faster its clocks run than true time: 1e-4 is 100 ppm. */
  readonly drift: number;
  /** How far its wall clock is ahead at first, in ms. */
  readonly wallAheadMs: number;
}

/**
 * It can be paused, as SIGSTOP does: its timers fire, and what comes from outside reaches it, only when it goes on.
 * What it has sent is under way meanwhile. And it can crash: then nothing reaches it any more.
 */
export class Machine implements Clock {
  readonly #world: World;
  readonly #random: Random;
  readonly #born: number;
  readonly #drift: number;
  #wallAheadMs: number;
  #pauses = 0;
  #isCrashed = false;
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
    return (this.#world.now - this.#born) * (1 + this.#drift);
  }

  random(): number {
    return this.#random.next();
  }

  setTimer(callback: () => void, delayMs: number): () => void {
    let cancelled = false;
    const fire = (): void => {
      if (!cancelled) callback();
    };
    const lateMs = this.#random.between(0, 2);
    const forget = this.#world.after(Math.max(0, delayMs) / (1 + this.#drift) + lateMs, () => {
      if (this.isPaused) this.#dueTimers.push(fire);
      else if (!this.#isCrashed) fire();
    });
    return () => {
      cancelled = true;
      forget();
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
  }

  pause(): void {
    this.#pauses++;
  }

  /** Goes on: whether timers or input come first depends on where the event loop was stopped. */
  resume(): void {
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
