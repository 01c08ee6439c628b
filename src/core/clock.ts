/**
 * The port through which heartbit knows time. Nothing else in the library reads a clock or sets a timer, so
 * that thousands of simulated hours run in a test without waiting.
 */
export interface Clock {
  /** Wall time: milliseconds since 1970, as the machine believes. It may step. */
  now(): number;
  /** Milliseconds since some fixed moment; never steps and never goes back. */
  monotonic(): number;
  /** Calls `callback` once, no earlier than `delayMs` from now. The result cancels it; cancelling twice is harmless. */
  setTimer(callback: () => void, delayMs: number): () => void;
  /** Where chance comes from: a number from 0 up to, not including, 1. Default `Math.random`. */
  random?(): number;
}
