/**
 * The port through which heartbit knows time. Nothing else in the library reads a clock or sets a timer, so a test can
 * run thousands of simulated hours without waiting.
 */
export interface Clock {
  /** Wall time: milliseconds since 1970, according to this machine. It may step. */
  now(): number;
  /** Milliseconds since some fixed moment. Never steps and never goes back. */
  monotonic(): number;
  /**
   * Calls `callback` once, no earlier than `delayMs` from now. Returns a function that cancels it, twice if need be.
   */
  setTimer(callback: () => void, delayMs: number): () => void;
  /**
   * Only for a clock that stands still until it is advanced: resolves when nothing more happens before that. Closing a
   * presence then waits no longer, because its time-out would never come.
   */
  settled?(signal: AbortSignal): Promise<void>;
  /** A random number from 0 up to, but not including, 1. Default `Math.random`. */
  random?(): number;
}

/** @internal Whether it has the functions of a clock. */
export function isClock(value: Partial<Clock> | null): value is Clock {
  return [value?.now, value?.monotonic, value?.setTimer].every((part) => typeof part === "function");
}
