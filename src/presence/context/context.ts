import type { Clock } from "../../core/clock.ts";
import { isHeartbitError } from "../../core/errors.ts";
import type { Namespace, Page, ReadQuery } from "../../core/store.ts";
import type { Emitter } from "../../lib/emitter.ts";
import type { Happenings } from "./instrumentation.ts";
import type { HealthKeeper } from "./health.ts";
import { describe, type Logger } from "./log.ts";
import type { StoreTime } from "./store-time.ts";
import { eachOf, type Sleeper, within } from "../../lib/timers.ts";

/** What the parts of one presence share. */
export interface Shared {
  readonly name: string;
  readonly namespace: Namespace;
  readonly clock: Clock;
  readonly time: StoreTime;
  readonly health: HealthKeeper;
  readonly log: Logger;
  readonly happenings: Emitter<Happenings>;
  readonly periodMs: number;
  readonly retentionSlots: number;
}

/** A ping or read unanswered for this part of a period is given up and repeated. */
const LIMIT_OF_PERIOD = 1 / 5;
/** After a failure it is tried again this part of a period later. */
export const RETRY_OF_PERIOD = 1 / 20;
/** Many records at once, and what a caller waits for, may take longer than a ping: a period, but not an hour. */
const PATIENCE_MS_MIN = 2000;
const PATIENCE_MS_MAX = 10_000;

/** A small operation, given up after a fifth of the period, at most ten seconds. */
export function soon<T>({ clock, periodMs }: Shared, what: string, operation: Promise<T>): Promise<T> {
  return within(clock, Math.min(periodMs * LIMIT_OF_PERIOD, PATIENCE_MS_MAX), what, operation);
}

/** A period, at least two seconds (or `leastMs`) and at most ten. */
export function patienceMs({ periodMs }: Shared, leastMs = PATIENCE_MS_MIN): number {
  return Math.min(Math.max(periodMs, leastMs), PATIENCE_MS_MAX);
}

/** An operation on many records, given up after a period, at least two seconds and at most ten. */
export function bulk<T>(shared: Shared, what: string, operation: Promise<T>): Promise<T> {
  return within(shared.clock, patienceMs(shared), what, operation);
}

/** The pages of a read, each bounded by `bound`. */
export function readPages(
  shared: Shared,
  query: ReadQuery,
  bound = soon,
  what = "read",
): AsyncGenerator<Page> {
  return eachOf(shared.namespace.read(query), (next) => bound(shared, what, next));
}

/** So long the store's time is waited for, where a fifth of the period is longer: closing has not much more. */
const TIME_LIMIT_MS = 2000;

/**
 * Whether the slots are known: where the machine may have slept the store's time is looked at. That is trouble where it fails; and
 * where it turns out to be a sleep, since then the store's time has stepped.
 */
export async function knowsTime(shared: Shared): Promise<boolean> {
  const { time, health } = shared;
  if (!time.mayBeOff) return true;
  const limitMs = Math.min(shared.periodMs * LIMIT_OF_PERIOD, TIME_LIMIT_MS);
  await within(shared.clock, limitMs, "look at the time", time.ensure()).catch(() => {});
  if (time.mayBeOff)
    health.trouble("this machine may have slept, or its clock was set, and the store does not tell its time");
  return !time.mayBeOff;
}

/** Notes how long it took; as trouble, where that is over a fifth of the period. `began`: a monotonic time, in ms. */
export function noteAnswer(shared: Shared, what: "ping" | "read", began: number): void {
  const { clock, periodMs, health, happenings } = shared;
  const tookMs = clock.monotonic() - began;
  happenings.emit("answered", what, tookMs);
  if (tookMs > periodMs * LIMIT_OF_PERIOD) health.trouble(`a ${what} took ${Math.round(tookMs)} ms`);
}

/** Notes as trouble that it failed. `doing`: what the read was for. */
export function noteFailure(
  shared: Shared,
  what: "ping" | "read",
  error: unknown,
  doing: string = what,
): void {
  shared.happenings.emit("failed", what);
  shared.health.trouble(`a ${doing} failed: ${describe(error)}`);
}

/** Waits for a position, or until woken; notes as trouble when the timer fired late. */
export async function sleepUntil(shared: Shared, sleeper: Sleeper, position: number): Promise<void> {
  const { time, periodMs, health } = shared;
  const lateMs = await sleeper.sleep(time.until(position));
  if (lateMs > periodMs * LIMIT_OF_PERIOD) health.trouble(`a timer fired ${Math.round(lateMs)} ms late`);
}

/** Tries for as long what is asked for once, like a listing; rejects with the last error, or at once with what can never heal. */
export async function attempt<T>(shared: Shared, sleeper: Sleeper, act: () => Promise<T>): Promise<T> {
  const { clock, periodMs } = shared;
  const end = clock.monotonic() + patienceMs(shared);
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const leftMs = end - clock.monotonic();
      if (isFinal(error) || sleeper.ended || leftMs <= 0) throw error;
      await sleeper.sleep(Math.min(periodMs * RETRY_OF_PERIOD, leftMs));
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
