import type { Clock } from "../core/clock.ts";
import { isHeartbitError } from "../core/errors.ts";
import type { Namespace } from "../core/store.ts";
import type { HealthKeeper } from "./health.ts";
import type { Logger } from "./log.ts";
import type { StoreTime } from "./time.ts";
import { type Sleeper, within } from "./timing.ts";

/** What the parts of one presence share. */
export interface Shared {
  readonly name: string;
  readonly namespace: Namespace;
  readonly clock: Clock;
  readonly time: StoreTime;
  readonly health: HealthKeeper;
  readonly log: Logger;
  readonly periodMs: number;
  readonly retentionSlots: number;
}

/** A ping or read unanswered for this part of a period is given up and repeated. */
export const LIMIT_OF_PERIOD = 1 / 5;
/** After a failure it is tried again this part of a period later. */
export const RETRY_OF_PERIOD = 1 / 20;
/** Many records at once may take longer than a ping. */
const BULK_LIMIT_MS_MIN = 2000;

/** A small operation, given up after a fifth of the period. */
export function soon<T>({ clock, periodMs }: Shared, what: string, operation: Promise<T>): Promise<T> {
  return within(clock, periodMs * LIMIT_OF_PERIOD, what, operation);
}

/** An operation on many records, given up after a period, at least two seconds. */
export function bulk<T>({ clock, periodMs }: Shared, what: string, operation: Promise<T>): Promise<T> {
  return within(clock, Math.max(periodMs, BULK_LIMIT_MS_MIN), what, operation);
}

/** What is asked for once, like a listing, is tried for this many periods, and at least this long, in ms. */
const ATTEMPT_PERIODS = 1;
const ATTEMPT_MS_MIN = 2000;

/** Tries for a while what is asked for once; rejects with the last error, or at once with what can never heal. */
export async function attempt<T>(shared: Shared, sleeper: Sleeper, act: () => Promise<T>): Promise<T> {
  const { clock, periodMs } = shared;
  const end = clock.monotonic() + Math.max(periodMs * ATTEMPT_PERIODS, ATTEMPT_MS_MIN);
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (isFinal(error) || sleeper.ended || clock.monotonic() >= end) throw error;
      await sleeper.sleep(periodMs * RETRY_OF_PERIOD);
    }
  }
}

/** Whether no waiting can heal the error. */
export function isFinal(error: unknown): boolean {
  return (
    isHeartbitError(error, "NOT_PERMITTED") ||
    isHeartbitError(error, "UNSUPPORTED_SERVER") ||
    isHeartbitError(error, "CONFIG_MISMATCH") ||
    isHeartbitError(error, "PRESENCE_CLOSED")
  );
}

/** A random number between two. */
export function between(clock: Clock, low: number, high: number): number {
  return low + (high - low) * (clock.random?.() ?? Math.random());
}
