/** The one way in which heartbit repeats what has failed. */
import type { Sleeper } from "./timers.ts";

/** How something is repeated. */
export interface RetryPolicy {
  /** How long to wait before the next try, in ms, after so many failures, the latest of which was this. */
  readonly pauseMs: (failures: number, error: unknown) => number;
  /** Whether to stop trying: because no waiting can heal the error, or because the time is up. */
  readonly givesUp: (error: unknown) => boolean;
  /** Hears of each failure that is followed by another try. */
  readonly failed?: (error: unknown) => void;
}

/**
 * What `act` gives once it succeeds. Rejects with the latest error when the policy gives up, or when the sleeper has
 * ended: waking the sleeper brings the next try forward, ending it ends the trying.
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
