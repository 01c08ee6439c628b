/** A clock that stands still until it is told to go on. */
import type { Clock } from "../core/clock.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export interface ManualClockOptions {
  /** The time at which it begins: ms since 1970. Default 2026-01-01T00:00:00Z. */
  readonly start?: number;
  /** Where chance comes from. Default: the same numbers in each run, so that a run can be repeated. */
  readonly random?: () => number;
}

export class ManualClock implements Clock {
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  readonly #start: number;
  #elapsed = 0;
  #steppedBy = 0;
  #order = 0;
  /** A binary heap: the earliest first, of equals the first set. */
  readonly #timers: Timer[] = [];
  #advancing: Promise<void> = Promise.resolve();

  constructor(options: ManualClockOptions = {}) {
    this.#start = options.start ?? Date.UTC(2026, 0, 1);
    this.random = options.random ?? seeded();
  }

  now(): number {
    return this.#start + this.#elapsed + this.#steppedBy;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** Steps the wall time by `ms`, forth or back, as an operator or NTP does. Timers and `monotonic` don't notice. */
  step(ms: number): void {
    this.#steppedBy += ms;
  }

  setTimer(callback: () => void, delayMs: number): () => void {
    const due = this.#elapsed + Math.max(0, delayMs);
    const timer: Timer = { due, order: this.#order++, callback, cancelled: false };
    this.#push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /**
   * Goes on by `ms`: runs what is due, in order, at the time it is due, and lets each settle (promises, and what they
   * lead to) before the next. Resolves when all is settled. Calls queue up.
   */
  advance(ms: number): Promise<void> {
    const run = this.#advancing.then(() => this.#run(ms));
    this.#advancing = run.catch(() => {});
    return run;
  }

  async #run(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#elapsed = timer.due;
      timer.callback();
      await settle();
    }
    this.#elapsed = end;
  }

  #next(end: number): Timer | undefined {
    for (;;) {
      const first = this.#timers[0];
      if (first === undefined || first.due > end) return undefined;
      this.#pop();
      if (!first.cancelled) return first;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent], timer)) break;
      heap[at] = heap[parent] as Timer;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child] as Timer)) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child] as Timer;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer | undefined, b: Timer): boolean {
  return a !== undefined && (a.due < b.due || (a.due === b.due && a.order < b.order));
}

/** A turn of the event loop runs every promise to its end; two, for what itself yields once. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

/** The generator mulberry32 (Tommy Ettinger, public domain), from one seed. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
