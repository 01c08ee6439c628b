/** The machine's clock. The only file of the library that reads a clock or sets a timer. */
import type { Clock } from "../core/clock.ts";

/** Node clamps longer timers to 1 ms, so longer waits are cut into pieces. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (callback, delayMs) => startTimer(callback, delayMs, true),
};

/** Like `setTimer`, but does not keep the process alive: for limits on work that keeps it alive itself. */
export function setLimit(callback: () => void, delayMs: number): () => void {
  return startTimer(callback, delayMs, false);
}

function startTimer(callback: () => void, delayMs: number, keepsAlive: boolean): () => void {
  const due = performance.now() + delayMs;
  let timer: NodeJS.Timeout;
  const wait = (leftMs: number): void => {
    timer = setTimeout(fire, Math.min(Math.ceil(Math.max(0, leftMs)), TIMER_MS_MAX));
    if (!keepsAlive) timer.unref();
  };
  // Node counts whole ms from the latest reading of its event loop's clock, so its timers may fire early.
  const fire = (): void => {
    const leftMs = due - performance.now();
    if (leftMs > 0) wait(leftMs);
    else callback();
  };
  wait(delayMs);
  return () => clearTimeout(timer);
}
