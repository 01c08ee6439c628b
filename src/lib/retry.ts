/** The only way in which heartbit repeats failed operations. */
import { isFinal } from "../core/errors.ts";
import { retryMs } from "../core/limits.ts";
import type { Sleeper } from "./timers.ts";

export interface RetryPolicy {
  /** The pause before the next attempt, in ms, after this many failures, of which `error` is the latest. */
  readonly pauseMs: (failures: number, error: unknown) => number;
  /** Whether to stop trying, because the fault cannot pass by waiting, or because time is up. */
  readonly givesUp: (error: unknown) => boolean;
  /** Called for each failure that is followed by another attempt. */
  readonly failed?: (error: unknown) => void;
}

/**
 * Returns the result of `act` once it succeeds. Rejects with the latest error if the policy gives up or the sleeper has
 * ended. Waking the sleeper brings the next attempt forward.
 */
export async function retry<T>(sleeper: Sleeper, policy: RetryPolicy, act: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await act();
    } catch (error) {
      if (sleeper.ended || policy.givesUp(error)) throw error;
      policy.failed?.(error);
      await sleeper.sleep(policy.pauseMs(failures, error));
      if (sleeper.ended) throw error;
    }
  }
}

/** Repeats an operation until it succeeds, or never can. */
export function persistently(periodMs: number, failed: (error: unknown) => void): RetryPolicy {
  return { pauseMs: (_, error) => retryMs(periodMs, error), givesUp: isFinal, failed };
}
