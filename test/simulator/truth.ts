/** What truly happened, as no process in the simulated world can know it. All times are true times in ms. */

/** One start of one pinger, or its restart. */
export interface Holding {
  readonly key: string;
  readonly life: Life;
  readonly calledAt: number;
  /** When `start` resolved: others can see it. */
  visibleAt: number;
  session: number;
  /** When the program ended it, or its process; Infinity while it goes on. */
  endedAt: number;
  how: "stopped" | "held" | "killed" | "crashed" | undefined;
  /** Until when a planned absence goes on. */
  heldUntil: number;
  /** When its end was acknowledged, or the process crashed: from then on it must be told in its bound. */
  over: number;
  /** The latest meta that was acknowledged, and since when. */
  meta: number;
  metaAt: number;
  metaWanted: number;
  /** When its pinger emitted `killed`. */
  killedEvents: number[];
}

/** When a life could not write. */
export interface Down {
  readonly from: number;
  to: number;
  /** It could, but late. */
  readonly isLate: boolean;
  /** What it wrote meanwhile is done afterwards: slots in which nobody could write are not empty then. */
  readonly isHeld: boolean;
}

/** What a trouble does to the writes of a life. */
export type Writes = "in time" | "late" | "held" | "never";

/** One life of one process: from its start to its crash or its close. */
export interface Life {
  readonly actor: number;
  readonly number: number;
  readonly bornAt: number;
  endedAt: number;
  /** When it sent the first ping that reached the store: it fills slots since. */
  pingsSince: number;
  /** The pings that prove that it lives, with the times at which they were sent and done. The latest few. */
  readonly proofs: { readonly sentAt: number; readonly doneAt: number }[];
  readonly lapses: number[];
  /** When it could not write, or only late: from, to. */
  readonly downs: Down[];
  /** When it sent the latest ping, while that may have been lost; and since when all that it sent has been. */
  attempt: number | undefined;
  unable: Down | undefined;
  /** When it was in trouble of any kind, and how long it takes to notice that it is over. */
  troubles: number;
  calmFrom: number;
  /** How far its reads lag behind what is acknowledged, for as long as they do. */
  readonly lags: Set<Lag>;
  /** When some of its reads were late. */
  readonly stale: { readonly from: number; to: number }[];
  /** When somebody destroyed what may have been its records, until it has had the time to write them again. */
  loss: Loss | undefined;
}

/** Of reads: how far they lag behind, and since when what they show stands still, if it does. */
export interface Lag {
  readonly ms: number;
  readonly standsSince: number;
}

export interface Loss {
  readonly at: number;
  /** In so many periods without trouble all is there again. */
  readonly restoredWithin: number;
}

export function newLife(actor: number, number: number, now: number): Life {
  const calmFrom = now;
  return {
    actor,
    number,
    bornAt: now,
    endedAt: Infinity,
    pingsSince: Infinity,
    proofs: [],
    lapses: [],
    downs: [],
    attempt: undefined,
    unable: undefined,
    troubles: 0,
    calmFrom,
    lags: new Set(),
    stale: [],
    loss: undefined,
  };
}

/** Begins a trouble of a life; the result ends it. `noticedMs`: how long it takes to notice that it is over. */
export function beginTrouble(
  life: Life,
  now: number,
  writes: Writes,
  lag?: Lag,
): (now: number, noticedMs: number) => void {
  life.troubles++;
  const down = { from: now, to: Infinity, isLate: writes === "late", isHeld: writes === "held" };
  if (writes !== "in time") life.downs.push(down);
  if (lag !== undefined) life.lags.add(lag);
  return (end, noticedMs) => {
    life.troubles--;
    if (lag !== undefined) life.lags.delete(lag);
    down.to = end;
    life.calmFrom = Math.max(life.calmFrom, end + noticedMs);
  };
}

/** It sends a ping. Where the one before was not done it could not write since then. */
export function tried(life: Life, now: number): void {
  if (life.attempt !== undefined && life.unable === undefined) {
    life.unable = { from: life.attempt, to: Infinity, isLate: false, isHeld: false };
    life.downs.push(life.unable);
  }
  life.attempt = now;
}

/** A ping is done that it sent then. One that others were sent after is late, and no sign that it can write. */
export function succeeded(life: Life, sentAt: number): void {
  if (sentAt !== life.attempt) return;
  if (life.unable !== undefined) life.unable.to = sentAt;
  life.attempt = undefined;
  life.unable = undefined;
}

/** How far its reads may lag at most. */
export function lagOf({ lags }: Life, now: number): number {
  return Math.max(0, ...Array.from(lags, ({ ms, standsSince }) => ms + Math.max(0, now - standsSince)));
}

/** How long the life has had no trouble: negative while it has. */
export function calmFor(life: Life, now: number): number {
  return life.troubles > 0 || life.endedAt <= now ? -1 : now - life.calmFrom;
}

/** When its latest ping was sent, of those that a reader could know of. */
export function latestProof(life: Life, doneBefore: number): number {
  let sent = -Infinity;
  for (const { sentAt, doneAt } of life.proofs) if (doneAt <= doneBefore) sent = Math.max(sent, sentAt);
  return sent;
}

/** For how long, from `from` to `to`, this life could not write although another could. */
export function downAlone(life: Life, lives: readonly Life[], from: number, to: number): number {
  let sum = 0;
  for (const { begin, end, middle } of spans(lives, from, to)) {
    if (wasDownAt(life, middle) && lives.some((other) => other !== life && couldWrite(other, middle)))
      sum += end - begin;
  }
  return sum;
}

/**
 * When the latest time was over, from `from` to `to`, in which for `ms` nobody could write without a gap, and nothing was held up to
 * be done later.
 */
export function latestOutage(
  lives: readonly Life[],
  from: number,
  to: number,
  ms: number,
): number | undefined {
  let outage: number | undefined;
  let since = from;
  for (const { end, middle } of spans(lives, from, to)) {
    if (lives.some((life) => couldWrite(life, middle) || isHeldAt(life, middle))) since = end;
    else if (end - since >= ms) outage = end;
  }
  return outage;
}

/** The times from `from` to `to` in each of which nothing changed for anybody. */
function* spans(
  lives: readonly Life[],
  from: number,
  to: number,
): Generator<{ readonly begin: number; readonly end: number; readonly middle: number }> {
  const marks = new Set([from, to]);
  for (const { downs, endedAt, pingsSince } of lives) {
    for (const { from: begin, to: end } of downs) marks.add(begin).add(end);
    marks.add(endedAt).add(pingsSince);
  }
  const times = [...marks].filter((time) => time >= from && time <= to).toSorted((a, b) => a - b);
  for (let i = 1; i < times.length; i++) {
    const [begin = 0, end = 0] = [times[i - 1], times[i]];
    yield { begin, end, middle: (begin + end) / 2 };
  }
}

/** For how long, from `from` to `to`, this life could not write. */
export function downFor({ downs }: Life, from: number, to: number): number {
  let sum = 0;
  let end = from;
  for (const down of downs.toSorted((a, b) => a.from - b.from)) {
    sum += Math.max(0, Math.min(down.to, to) - Math.max(down.from, end));
    end = Math.max(end, down.to);
  }
  return sum;
}

/** Its latest down since some time, if there was one, with those that it followed without a gap. */
export function latestDown({ downs }: Life, since: number): Down | undefined {
  const latest = downs.toSorted((a, b) => b.to - a.to);
  const [last] = latest;
  if (last === undefined || last.to <= since) return undefined;
  let { from, isHeld } = last;
  for (const down of latest) {
    if (down.to < from) break;
    from = Math.min(from, down.from);
    isHeld ||= down.isHeld;
  }
  return { ...last, from, isHeld };
}

/** Whether it could not write at some time since. */
export function wasDown({ downs }: Life, since: number): boolean {
  return downs.some(({ to }) => to > since);
}

export function wasDownAt({ downs }: Life, time: number): boolean {
  return downs.some(({ from, to }) => from <= time && time < to);
}

function isHeldAt({ downs }: Life, time: number): boolean {
  return downs.some(({ from, to, isHeld }) => isHeld && from <= time && time < to);
}

/** What is written late is written: its slot is not empty. */
function couldWrite({ pingsSince, endedAt, downs }: Life, time: number): boolean {
  const wasCut = downs.some(({ from, to, isLate }) => !isLate && from <= time && time < to);
  return pingsSince <= time && time < endedAt && !wasCut;
}
