/** Whether an observation is as expected. Pure: times come in as numbers, in ms of the wall clock. */

/** A time in which the watcher's view may have been out of date: an expiry may be reported only after it. */
export interface Suspicion {
  readonly fromMs: number;
  /** Infinity while it lasts. */
  readonly toMs: number;
  readonly reason: string;
}

/** How long after an event it should be reported. */
export interface Bound {
  readonly leastMs: number;
  readonly mostMs: number;
}

export interface Seen {
  readonly happenedMs: number;
  /** Undefined if it was never reported. */
  readonly toldMs: number | undefined;
  readonly bound: Bound;
  /** The process's `vouchedUntil`: a report after that is not too early, however late it pinged. */
  readonly vouchedUntilMs?: number;
}

/** A read or a timer may be late by a fifth of the period before that counts as a suspicion. */
const SLACK_OF_PERIOD = 1 / 5;
/** By how much the clocks of a process and of the store may differ in addition, in ms. */
const CLOCK_MS = 20;

/** An expiry is reported 1.1 to 2.5 periods after a crash. */
export function absence(periodMs: number): Bound {
  return { leastMs: 1.1 * periodMs, mostMs: 2.5 * periodMs };
}

/** A stop counts as a last ping: it is reported 1.5 to 2.5 periods later. */
export function runningOut(periodMs: number): Bound {
  return { leastMs: 1.5 * periodMs, mostMs: 2.5 * periodMs };
}

/** A join or a kill is reported at once, or without a feed at the next poll. */
export function atOnce(periodMs: number): Bound {
  return { leastMs: -Infinity, mostMs: Math.min(periodMs / 4, 1000) };
}

/** What is wrong, in a few words; undefined if the observation is as expected. */
export function faultOf(seen: Seen, periodMs: number, suspicions: readonly Suspicion[]): string | undefined {
  const { happenedMs, toldMs, bound, vouchedUntilMs = Infinity } = seen;
  if (toldMs === undefined) return "never reported";
  const earliest = Math.min(happenedMs + bound.leastMs, vouchedUntilMs) - CLOCK_MS;
  if (toldMs < earliest) return `reported ${Math.round(earliest - toldMs)} ms too early`;
  const slackMs = periodMs * SLACK_OF_PERIOD + CLOCK_MS;
  const latest = countedFrom(happenedMs, toldMs, suspicions) + bound.mostMs + slackMs;
  return toldMs > latest ? `reported ${Math.round(toldMs - latest)} ms too late` : undefined;
}

/** The bound counts time without suspicion: from the end of the last one before the report. */
function countedFrom(happenedMs: number, toldMs: number, suspicions: readonly Suspicion[]): number {
  const ends = suspicions.filter(({ fromMs }) => fromMs <= toldMs).map(({ toMs }) => Math.min(toMs, toldMs));
  return Math.max(happenedMs, ...ends);
}
