/**
 * How long a presence waits for the store, and how soon it tries again: functions of the period. ARCHITECTURE.md lists
 * most of them with their reasons. All are in ms.
 */
import { isRefusal } from "./errors.ts";

/** A read for the evaluation is given up and repeated after this part of a period. */
const QUICK_OF_PERIOD = 1 / 5;
/** A failed operation is tried again this part of a period later. */
const RETRY_OF_PERIOD = 1 / 20;
/** A failed load and a refused ping are tried again after this part of a period at most. */
const DOUBLED_OF_PERIOD_MAX = 1 / 4;
/** This many refused pings in a row, a quarter of a period apart at most, take longer than the lease. */
const REFUSALS_OF_LEASE = 12;
/** If our view of the store's time changes by more than this part of a period, another slot may be current. */
const STEP_OF_PERIOD = 1 / 10;
/** Operations on many records, and those that a caller waits for, may take a period, within these bounds. */
const PATIENCE_MS_MIN = 2000;
const PATIENCE_MS_MAX = 10_000;
const SYNC_MS_MIN = 5000;
const HEDGE_MS_MIN = 200;
const HEDGE_TIMES = 4;
const CATCH_UP_OF_PERIOD = 1 / 4;
/** The longest pause between two attempts to open a feed is the longer one of these two. */
const FEED_PAUSE_MS_MAX = 30_000;
/** Each loss of a feed is a suspicion, and an expiry needs two and a half periods without one. */
const FEED_PAUSE_PERIODS_MAX = 6;

/** The time limit of a small operation: a fifth of the period, at most ten seconds. */
export function quickMs(periodMs: number): number {
  return Math.min(periodMs * QUICK_OF_PERIOD, PATIENCE_MS_MAX);
}

/** The time limit of a large operation: a period, at least two seconds (or `leastMs`) and at most ten. */
export function patienceMs(periodMs: number, leastMs = PATIENCE_MS_MIN): number {
  return Math.min(Math.max(periodMs, leastMs), PATIENCE_MS_MAX);
}

/** How long opening a presence waits for each answer of the store. */
export const OPEN_LIMIT_MS = 5000;

/** The time limit of a call that a presence also makes while it opens. */
export function answerMs(periodMs: number, isOpening: boolean): number {
  return isOpening ? OPEN_LIMIT_MS : patienceMs(periodMs);
}

/** How long closing a presence waits for the store: a period, at most ten seconds. */
export function closeLimitMs(periodMs: number): number {
  return patienceMs(periodMs, 0);
}

/** How long a `sync` waits while nothing comes from the store: a period, at least five seconds and at most ten. */
export function syncLimitMs(periodMs: number): number {
  return patienceMs(periodMs, SYNC_MS_MIN);
}

/** How often the offset is read while the store's time is behind our slots: four times a period. */
export function catchUpMs(periodMs: number): number {
  return periodMs * CATCH_UP_OF_PERIOD;
}

/**
 * When a small question is asked again, how often it is asked, and when it is given up. First it is asked again after a
 * fifth of the period, at least 200 ms: a store that is only slow has answered by then.
 */
export function hedging(
  periodMs: number,
  isOpening: boolean,
): { againMs: number; times: number; limitMs: number } {
  const againMs = Math.max(quickMs(periodMs), HEDGE_MS_MIN);
  return { againMs, times: HEDGE_TIMES, limitMs: answerMs(periodMs, isOpening) };
}

/** A successful read that took longer, and a timer that fired later than this, is a suspicion. */
export function suspiciousMs(periodMs: number): number {
  return periodMs * QUICK_OF_PERIOD;
}

/** A larger change of our view of the store's time may have moved us into another slot. */
export function stepMs(periodMs: number): number {
  return periodMs * STEP_OF_PERIOD;
}

/**
 * The pause before the next attempt: a twentieth of a period, or a whole one after a refusal, because servers log each
 * of those.
 */
export function retryMs(periodMs: number, error?: unknown): number {
  return isRefusal(error) ? periodMs : periodMs * RETRY_OF_PERIOD;
}

/** The pause after this many failures in a row: twice as long each time, at most `mostMs`. */
function doubledMs(periodMs: number, failures: number, mostMs: number): number {
  return Math.min(retryMs(periodMs) * 2 ** (failures - 1), mostMs);
}

/**
 * The pause before a ping that was refused this many times in a row is sent again: at first short, so that a refusal
 * that passes costs no slot, and twice as long each time, up to a quarter of a period. Once the lease has run out it is
 * a period, because servers log each refusal.
 */
export function refusedPingMs(periodMs: number, refusals: number): number {
  if (refusals > REFUSALS_OF_LEASE) return periodMs;
  return doubledMs(periodMs, refusals, periodMs * DOUBLED_OF_PERIOD_MAX);
}

/** The pause before the next attempt to load, after this many failures: each is twice the one before. */
export function loadRetryMs(periodMs: number, failures: number, error: unknown): number {
  return Math.max(doubledMs(periodMs, failures, periodMs * DOUBLED_OF_PERIOD_MAX), retryMs(periodMs, error));
}

/** The pause before the next attempt to open a feed, after this many failures: each is twice the one before. */
export function feedRetryMs(periodMs: number, failures: number): number {
  return doubledMs(periodMs, failures, Math.max(FEED_PAUSE_MS_MAX, periodMs * FEED_PAUSE_PERIODS_MAX));
}
