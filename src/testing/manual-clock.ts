/** A clock that stands still until it is advanced. */
import { invalid as invalidOption, show } from "../core/checks.ts";
import type { Clock } from "../core/clock.ts";
import { HeartbitError } from "../core/errors.ts";
import { checkNumber, checkOptionsObject } from "../lib/arguments.ts";
import { turn } from "../lib/turn.ts";
import { Agenda } from "./agenda.ts";
import { randomWords } from "./random.ts";

/** Options of a `ManualClock`. */
export interface ManualClockOptions {
  /** The initial time: ms since 1970. Default 2026-01-01T00:00:00Z. */
  readonly start?: number;
  /** The source of random numbers. Default: the same numbers in each run, so that a run can be repeated. */
  readonly random?: () => number;
}

/** The latest time that a Date can hold. */
const DATE_MS_MAX = 8.64e15;
/** So many turns of the event loop without an `advance` are enough for what promises alone can bring about. */
const QUIET_TURNS = 100;

/** A clock that stands still until it is advanced. */
export class ManualClock implements Clock {
  /** A random number from 0 up to, but not including, 1. */
  readonly random: () => number;
  readonly #start: number;
  #elapsed = 0;
  #steppedBy = 0;
  readonly #timers = new Agenda();
  #advancing: Promise<void> = Promise.resolve();
  /** How many calls of `advance` are under way. */
  #advances = 0;

  /** Throws `INVALID_OPTION`. */
  constructor(options: ManualClockOptions = {}) {
    const { start = Date.UTC(2026, 0, 1), random } = checkOptionsObject(options, ["start", "random"]);
    this.#start = checkNumber("start", start, 0, DATE_MS_MAX);
    if (random !== undefined && typeof random !== "function")
      throw invalidOption("random", show(random), "a function");
    this.random = random ?? seeded();
  }

  /** Wall time: ms since 1970. */
  now(): number {
    return this.#start + this.#elapsed + this.#steppedBy;
  }

  /** How many ms it has been advanced. */
  monotonic(): number {
    return this.#elapsed;
  }

  /**
   * Steps the wall time by `ms`, forward or back, as an operator or NTP does. Does not affect timers and `monotonic`.
   * Throws `INVALID_OPTION` if `ms` is not a number.
   */
  step(ms: number): void {
    if (!Number.isFinite(ms)) throw invalid("steps", ms, "a number of ms");
    this.#steppedBy += ms;
  }

  /** Calls `callback` once it has been advanced by `delayMs` from now. Returns a function that cancels it. */
  setTimer(callback: () => void, delayMs: number): () => void {
    return this.#timers.plan(this.#elapsed + Math.max(0, delayMs), callback);
  }

  /**
   * Advances by `ms`: runs each timer at its time, in order, and lets it settle (promises, and what they lead to)
   * before the next one. Resolves when everything has settled. Calls queue up. Rejects with `INVALID_OPTION` if `ms` is
   * negative or not a number: only `step` can set the time back.
   */
  advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0)
      return Promise.reject(invalid("is advanced", ms, "a number of ms, 0 or more"));
    this.#advances++;
    const run = this.#advancing.then(() => this.#run(ms)).finally(() => this.#advances--);
    this.#advancing = run.catch(() => {});
    return run;
  }

  /** Resolves when it is not being advanced, and nothing more happens until it is; or when `signal` is aborted. */
  async settled(signal?: AbortSignal): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await turn();
      if (signal?.aborted === true) return;
      if (this.#advances > 0) quiet = -1;
    }
  }

  async #run(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let timer = this.#timers.take(end); timer !== undefined; timer = this.#timers.take(end)) {
      this.#elapsed = timer.due;
      timer.act();
      await settle();
    }
    this.#elapsed = end;
  }
}

function invalid(does: string, ms: unknown, wanted: string): HeartbitError {
  return new HeartbitError("INVALID_OPTION", `A manual clock ${does} by ${wanted}, not by ${show(ms)}.`);
}

/** One turn of the event loop settles all promises; a second one, for code that yields once. */
async function settle(): Promise<void> {
  await turn();
  await turn();
}

/** Numbers from 0 up to, but not including, 1: the same in each run. */
function seeded(): () => number {
  const next = randomWords(1);
  return () => next() / 2 ** 32;
}
