/** What the demo expects, and whether what it saw is that. Pure: times come in as numbers, in ms of the wall clock. */

/** A time in which the watcher's view may have been late: a death may be told only when it is over. */
export interface Trouble {
  readonly fromMs: number;
  /** Infinity while it lasts. */
  readonly toMs: number;
  readonly reason: string;
}

/** How long after it happened a thing should be told. */
export interface Bound {
  readonly leastMs: number;
  readonly mostMs: number;
}

export interface Seen {
  readonly happenedMs: number;
  /** Undefined: never. */
  readonly toldMs: number | undefined;
  readonly bound: Bound;
  /** Until when the process had vouched for itself: a telling after that is not early, however late it pinged. */
  readonly vouchedUntilMs?: number;
}

/** A read or a timer may be late by a fifth of the period before that counts as trouble. */
const SLACK_OF_PERIOD = 1 / 5;
/** What the clocks of a process and of the store may differ by on top, in ms. */
const CLOCK_MS = 20;

/** Absence is told 1.1 to 2.5 periods after it began. */
export function absence(periodMs: number): Bound {
  return { leastMs: 1.1 * periodMs, mostMs: 2.5 * periodMs };
}

/** A stop is a last ping: it is told dead 1.5 to 2.5 periods after, when that has run out. */
export function runningOut(periodMs: number): Bound {
  return { leastMs: 1.5 * periodMs, mostMs: 2.5 * periodMs };
}

/** What was written is told at once; by a store without a feed, at its next poll. */
export function atOnce(periodMs: number): Bound {
  return { leastMs: -Infinity, mostMs: Math.min(periodMs / 4, 1000) };
}

/** What is wrong, in a few words; undefined when all is as expected. */
export function faultOf(seen: Seen, periodMs: number, troubles: readonly Trouble[]): string | undefined {
  const { happenedMs, toldMs, bound, vouchedUntilMs = Infinity } = seen;
  if (toldMs === undefined) return "never told";
  const earliest = Math.min(happenedMs + bound.leastMs, vouchedUntilMs) - CLOCK_MS;
  if (toldMs < earliest) return `told ${Math.round(earliest - toldMs)} ms too early`;
  const slackMs = periodMs * SLACK_OF_PERIOD + CLOCK_MS;
  const latest = countedFrom(happenedMs, toldMs, troubles) + bound.mostMs + slackMs;
  return toldMs > latest ? `told ${Math.round(toldMs - latest)} ms too late` : undefined;
}

/** The bound counts time without trouble: from the end of the last one before the telling. */
function countedFrom(happenedMs: number, toldMs: number, troubles: readonly Trouble[]): number {
  const ends = troubles.filter(({ fromMs }) => fromMs <= toldMs).map(({ toMs }) => Math.min(toMs, toldMs));
  return Math.max(happenedMs, ...ends);
}
