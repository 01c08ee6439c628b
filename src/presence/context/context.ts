/** What the parts of one presence share, and how long they wait for the store. */
import type { Clock } from "../../core/clock.ts";
import { isHeartbitError, PassingRefusal } from "../../core/errors.ts";
import type { Config } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Namespace, Page, ReadQuery } from "../../core/store.ts";
import type { Emitter } from "../../lib/emitter.ts";
import { retry, type RetryPolicy } from "../../lib/retry.ts";
import { eachOf, type Sleeper, within } from "../../lib/timers.ts";
import type { PresenceEvents } from "../events.ts";
import type { HealthMonitor } from "./health.ts";
import type { Instrumentation } from "./instrumentation.ts";
import { describe, type Logger } from "../../lib/log.ts";
import type { Requests } from "./requests.ts";
import type { StoreTime } from "../../core/store-time.ts";

export interface Context {
  readonly name: string;
  readonly namespace: Namespace;
  readonly clock: Clock;
  readonly time: StoreTime;
  readonly health: HealthMonitor;
  readonly requests: Requests;
  readonly events: Emitter<PresenceEvents>;
  readonly log: Logger;
  readonly instrumentation: Emitter<Instrumentation>;
  readonly periodMs: number;
  readonly retentionSlots: number;
}

/** A read for the evaluation is given up and repeated after this part of a period. */
const LIMIT_OF_PERIOD = 1 / 5;
/** A failed operation is tried again this part of a period later. */
export const RETRY_OF_PERIOD = 1 / 20;
/** Operations on many records, and those that a caller waits for, may take a period, within these bounds. */
const PATIENCE_MS_MIN = 2000;
const PATIENCE_MS_MAX = 10_000;
/** If our view of the store's time changes by more than this part of a period, the present may be another slot. */
const STEP_OF_PERIOD = 1 / 10;

/** Gives a small operation up after a fifth of the period, at most ten seconds. */
export function soon<T>({ clock, periodMs }: Context, what: string, operation: Promise<T>): Promise<T> {
  return within(clock, Math.min(periodMs * LIMIT_OF_PERIOD, PATIENCE_MS_MAX), what, operation);
}

/** A period, at least two seconds (or `leastMs`) and at most ten. */
export function patienceMs({ periodMs }: Context, leastMs = PATIENCE_MS_MIN): number {
  return Math.min(Math.max(periodMs, leastMs), PATIENCE_MS_MAX);
}

/** Gives an operation on many records up after a period, at least two seconds and at most ten. */
export function bulk<T>(context: Context, what: string, operation: Promise<T>): Promise<T> {
  return within(context.clock, patienceMs(context), what, operation);
}

/** The pages of a read, each bounded by `bound`. */
export function readPages(
  context: Context,
  query: ReadQuery,
  bound = soon,
  what = "read",
): AsyncGenerator<Page> {
  return eachOf(context.namespace.read(query), (next) => bound(context, what, next));
}

/** Notes how long a read took: over a fifth of the period is a suspicion. `began`: a monotonic time, in ms. */
export function noteRead({ clock, periodMs, health, instrumentation }: Context, began: number): void {
  const tookMs = clock.monotonic() - began;
  instrumentation.emit("answered", "read", tookMs);
  if (tookMs > periodMs * LIMIT_OF_PERIOD) health.suspect(`a read took ${Math.round(tookMs)} ms`);
}

/** Notes a failure as a suspicion. `doing`: what the read was for. */
export function noteFailure(
  context: Context,
  what: "ping" | "read",
  error: unknown,
  doing = `a ${what}`,
): void {
  context.instrumentation.emit("failed", what);
  context.health.suspect(`${doing} failed: ${describe(error)}`);
}

/** Notes a timer that fired late as a suspicion: this process was stopped, or too busy. */
export function noteLateness({ periodMs, health }: Context, lateMs: number): void {
  if (lateMs > periodMs * LIMIT_OF_PERIOD) health.suspect(`a timer fired ${Math.round(lateMs)} ms late`);
}

/**
 * Learns the store's time from a stamp, given the monotonic and wall times of sending: see `StoreTime.learn`. A step is
 * a suspicion, and everything that it may have changed is read again.
 */
export function learnTime(context: Context, sent: number, sentWall: number, ms: number): void {
  const { clock, time, health, requests, periodMs } = context;
  const { byMs, isStep } = time.learn(sent, clock.monotonic(), ms, sentWall - sent);
  // The answer was slow, for example because of a slow majority: ask for the time alone.
  if (time.errorMs > periodMs * STEP_OF_PERIOD) requests.add("time");
  if (Math.abs(byMs) <= periodMs * STEP_OF_PERIOD) return;
  requests.add("ping");
  if (!isStep) return;
  health.suspect(`the store's clock stepped by ${Math.round(byMs)} ms`);
  requests.add("config", "reconcile", "resync"); // after a step back another process may have raised the offset
}

/** The stored config; undefined if the namespace is not set up. */
export function readConfig(context: Context): Promise<Config | undefined> {
  return bulk(context, "config", context.namespace.config());
}

/** Leaves mail for these sessions. They ping once a slot: later in this slot, or in the next one. */
export async function leaveMail(context: Context, slot: Slot, seqs: readonly number[]): Promise<void> {
  for (const at of [slot, slot + 1]) await bulk(context, "mail", context.namespace.mail(at, seqs));
}

/** Asks the store for its time: before the first ping, and in a presence that does not ping. */
export async function sampleTime(context: Context): Promise<void> {
  const { clock, namespace } = context;
  const sent = clock.monotonic();
  const sentWall = clock.now();
  const ms = await bulk(context, "time", namespace.time());
  learnTime(context, sent, sentWall, ms);
}

/** Repeats an operation that was asked for once, such as a listing, for a while. */
export function attempt<T>(context: Context, sleeper: Sleeper, act: () => Promise<T>): Promise<T> {
  const { clock } = context;
  const end = clock.monotonic() + patienceMs(context);
  const policy = {
    pauseMs: (_: number, error: unknown) => Math.min(retryMs(context, error), end - clock.monotonic()),
    givesUp: (error: unknown) => isFinal(error) || clock.monotonic() >= end,
  };
  return retry(sleeper, policy, act);
}

/** Repeats an operation until it succeeds, or never can. */
export function persistently(context: Context, failed: (error: unknown) => void): RetryPolicy {
  return { pauseMs: (_, error) => retryMs(context, error), givesUp: isFinal, failed };
}

/**
 * The pause before the next attempt after this error, in ms: a twentieth of a period, or a whole one after a refusal,
 * because servers log each of those.
 */
export function retryMs({ periodMs }: Context, error: unknown): number {
  return isRefusal(error) ? periodMs : periodMs * RETRY_OF_PERIOD;
}

export function isRefusal(error: unknown): boolean {
  return isHeartbitError(error, "NOT_PERMITTED") || isHeartbitError(error, "UNSUPPORTED_SERVER");
}

/** Whether the fault cannot pass by waiting. A refusal is final unless the operation was permitted before. */
export function isFinal(error: unknown): boolean {
  if (error instanceof PassingRefusal) return false;
  return (
    isRefusal(error) || isHeartbitError(error, "CONFIG_MISMATCH") || isHeartbitError(error, "PRESENCE_CLOSED")
  );
}

/** A random number between two. */
export function between(clock: Clock, low: number, high: number): number {
  return low + (high - low) * (clock.random?.() ?? Math.random());
}
