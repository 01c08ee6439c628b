/** What the parts of one presence share, and how they call the store: for how long, and how often. */
import type { Clock } from "../../core/clock.ts";
import { isFinal } from "../../core/errors.ts";
import { hedging, patienceMs, quickMs, retryMs, stepMs, suspiciousMs } from "../../core/limits.ts";
import type { Patience } from "../../core/patience.ts";
import type { Config } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Namespace, Page, ReadQuery } from "../../core/store.ts";
import type { Emitter } from "../../lib/emitter.ts";
import { retry } from "../../lib/retry.ts";
import { eachOf, hedged, within } from "../../lib/timers.ts";
import type { PresenceEvents } from "../events.ts";
import type { NamespaceConfig } from "./config.ts";
import type { HealthMonitor } from "./health.ts";
import type { Instrumentation } from "./instrumentation.ts";
import { describe, type Logger } from "../../lib/log.ts";
import type { Requests } from "../../lib/requests.ts";
import type { Request } from "./requests.ts";
import type { StoreTime } from "../../core/store-time.ts";

export interface Context {
  readonly name: string;
  readonly namespace: Namespace;
  readonly config: NamespaceConfig;
  readonly clock: Clock;
  readonly time: StoreTime;
  readonly patience: Patience;
  readonly health: HealthMonitor;
  readonly requests: Requests<Request>;
  readonly events: Emitter<PresenceEvents>;
  readonly log: Logger;
  readonly instrumentation: Emitter<Instrumentation>;
  readonly periodMs: number;
  /** The longest of the presences of the namespace, as the config has it. */
  retentionSlots: number;
  /** How often changes are read without a feed, in ms. */
  readonly pollMs: number;
}

/** Gives up a small read after a fifth of the period, ten seconds at most. */
export function quickly<T>(context: Context, what: string, read: Promise<T>): Promise<T> {
  return timed(context, within(context.clock, quickMs(context.periodMs), what, read));
}

/** Gives up a large operation, or one that a caller waits for, after a period, 2 s at least and 10 s at most. */
export function patiently<T>(context: Context, what: string, operation: Promise<T>): Promise<T> {
  return within(context.clock, patienceMs(context.periodMs), what, operation);
}

/** Like `patiently`, for a write, which may wait for a majority that lags: see core/patience.ts. */
export function patientlyWritten<T>(context: Context, what: string, write: Promise<T>): Promise<T> {
  const { clock, patience, periodMs } = context;
  return within(clock, patienceMs(periodMs), what, write, patience.begin());
}

/** The pages of a read, each bounded by `bound`. */
export function readPages(context: Context, query: ReadQuery, bound = quickly): AsyncGenerator<Page> {
  return eachOf(context.namespace.read(query), (next) => bound(context, "read", next));
}

/** The result of a read. If it took longer than a fifth of the period, that is a suspicion. */
export async function timed<T>(context: Context, read: Promise<T>): Promise<T> {
  const { clock, periodMs, health, instrumentation } = context;
  const began = clock.monotonic();
  const result = await read;
  const tookMs = clock.monotonic() - began;
  instrumentation.emit("answered", "read", tookMs);
  if (tookMs > suspiciousMs(periodMs)) health.suspect(`a read took ${Math.round(tookMs)} ms`);
  return result;
}

/** Notes a failure as a suspicion. `doing`: what it was for. */
export function noteFailure(context: Context, what: "ping" | "read", error: unknown, doing: string): void {
  context.instrumentation.emit("failed", what);
  context.health.suspect(`${doing} failed: ${describe(error)}`);
}

/** Notes a timer that fired late as a suspicion: this process was stopped, or too busy. */
export function noteLateness({ periodMs, health }: Context, lateMs: number): void {
  if (lateMs > suspiciousMs(periodMs)) health.suspect(`a timer fired ${Math.round(lateMs)} ms late`);
}

/**
 * Learns the store's time from a stamp, given the monotonic and wall times of sending: see `StoreTime.learn`. A step is
 * a suspicion, and everything that it may have changed is read again.
 */
export function learnTime(context: Context, sent: number, sentWall: number, ms: number): void {
  const { clock, time, health, requests, periodMs } = context;
  if (time.sleptMs > periodMs) requests.add("config"); // the offset may have been raised meanwhile
  const { byMs, isStep } = time.learn(sent, clock.monotonic(), ms, sentWall - sent);
  // The answer was slow, for example because of a slow majority: ask for the time alone.
  if (time.errorMs > stepMs(periodMs)) requests.add("time");
  if (Math.abs(byMs) <= stepMs(periodMs)) return;
  requests.add("ping");
  if (!isStep) return;
  health.suspect(`the store's clock stepped by ${Math.round(byMs)} ms`);
  requests.add("announceOffset", "reconcile", "resync"); // the loop reads the config while our slots are ahead
}

/** Does something small that cannot wait for a dead connection, and that does no harm when it is done twice. */
export function ask<T>(context: Context, what: string, begin: () => Promise<T>): Promise<T> {
  const { clock, periodMs, time } = context;
  return hedged(clock, hedging(periodMs, !time.isKnown), what, begin);
}

/** The stored config; undefined if the namespace is not set up. */
export function readConfig(context: Context): Promise<Config | undefined> {
  return ask(context, "config", () => context.namespace.config());
}

/** Leaves mail for these sessions. They ping once a slot: later in this slot, or in the next one. */
export async function leaveMail(context: Context, slot: Slot, seqs: readonly number[]): Promise<void> {
  const { namespace } = context;
  await Promise.all([slot, slot + 1].map((at) => ask(context, "mail", () => namespace.mail(at, seqs))));
}

/** Asks the store for its time: before the first ping, and in a presence that does not ping. */
export async function sampleTime(context: Context): Promise<void> {
  const { clock, namespace } = context;
  const sample = await ask(context, "time", async () => {
    const sent = clock.monotonic();
    const sentWall = clock.now();
    return { sent, sentWall, ms: await namespace.time() };
  });
  learnTime(context, sample.sent, sample.sentWall, sample.ms);
}

/** Repeats an operation that was asked for once, such as a listing, for a while. */
export function forAWhile<T>(context: Context, act: () => Promise<T>): Promise<T> {
  const { clock, requests, periodMs } = context;
  const end = clock.monotonic() + patienceMs(periodMs);
  const policy = {
    pauseMs: (_: number, error: unknown) => Math.min(retryMs(periodMs, error), end - clock.monotonic()),
    givesUp: (error: unknown) => isFinal(error) || clock.monotonic() >= end,
  };
  return retry(requests.sleeper, policy, act);
}
