/** The machine's clock. The only file of the library that reads a clock or sets a timer. */
import type { Clock } from "./core/clock.ts";

/** Node clamps longer timers to 1 ms, so longer waits are cut into pieces. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, delayMs) {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      timer =
        leftMs > TIMER_MS_MAX
          ? setTimeout(() => wait(leftMs - TIMER_MS_MAX), TIMER_MS_MAX)
          : setTimeout(callback, leftMs);
    };
    wait(Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
};
