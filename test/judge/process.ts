/** One life of one process, as its log shows it. */
import type { Life, Line, Reported, Target } from "./log.ts";
import type { Span } from "./spans.ts";

export type Update = Extract<Line, { readonly e: "updating" | "updated" }>;

/** From a start of a pinger to its end. */
export interface Holding {
  readonly key: string;
  /** When `start` was called, and resolved: Infinity if it did not. */
  readonly calledAt: number;
  readonly from: number;
  /** When its end was begun, and when that was acknowledged or its process was gone: Infinity while it goes on. */
  readonly endingAt: number;
  readonly overAt: number;
  /** `crashed`: it was not ended, or its process was gone before the end was acknowledged. */
  readonly how: "killed" | "stopped" | "crashed" | "lives";
  /** Until when a planned absence lasts. */
  readonly heldUntil: number;
  /** How its process ended it, even if it crashed while it did. */
  readonly meant?: "killed" | "stopped";
}

/** What a subscription was told. */
export interface View extends Reported {
  readonly t: number;
}

export interface Subscription {
  readonly id: string;
  readonly target: Target;
  readonly from: number;
  readonly to: number;
  readonly views: ReadonlyMap<string, readonly View[]>;
}

export class Process {
  readonly life: Life;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly closingAt: number;
  /** How its close ends what it holds. */
  readonly closesAs: "killed" | "stopped" | undefined;
  readonly lines: readonly Line[];
  readonly holdings: readonly Holding[];
  readonly subscriptions: readonly Subscription[];
  /** When it stopped to watch. */
  readonly leftAt: readonly number[];
  /** When it said that its view is stale. */
  readonly stale: readonly Span[];
  readonly sessions: ReadonlySet<number>;
  /** When it pinged first. */
  readonly pingsFrom: number;
  readonly lapses: readonly number[];
  /** When its wall clock was set. */
  readonly clockSetAt: readonly number[];
  /** Calls of `update`, and their ends, by key. */
  readonly updates: ReadonlyMap<string, readonly Update[]>;
  /** When its pings were acknowledged. */
  readonly acknowledgedAt: readonly number[];
  readonly #leases: readonly { readonly t: number; readonly until: number }[];

  constructor(life: Life) {
    const { lines, from, to } = life;
    this.life = life;
    this.name = `${life.name}.${life.life}`;
    this.from = from;
    this.to = to;
    this.lines = lines;
    const closing = lines.find((line) => line.e === "closing");
    this.closingAt = timeOf(closing);
    this.closesAs = closing && (closing.linger ? "stopped" : "killed");
    this.holdings = holdingsOf(life, this.closingAt, this.closesAs);
    this.subscriptions = subscriptionsOf(lines, Math.min(to, this.closingAt));
    this.leftAt = [...this.subscriptions.map((one) => one.to), ...timesOf(lines, "stops watching")];
    this.stale = staleSpans(lines);
    const sessions = lines.filter((line) => line.e === "session");
    this.sessions = new Set(sessions.flatMap(({ session }) => session ?? []));
    this.pingsFrom = timeOf(sessions.find(({ session }) => session !== null));
    this.lapses = timesOf(lines, "lapse");
    this.clockSetAt = timesOf(lines, "clock set");
    const updates = new Map<string, Update[]>();
    for (const line of lines) {
      if (line.e !== "updating" && line.e !== "updated") continue;
      const own = updates.get(line.key);
      if (own === undefined) updates.set(line.key, [line]);
      else own.push(line);
    }
    this.updates = updates;
    this.#leases = lines.filter((line) => line.e === "lease");
    this.acknowledgedAt = this.#leases.map(({ t }) => t);
  }

  /** Its `vouchedUntil` at a time. */
  vouchedAt(time: number): number {
    return this.#leases.findLast(({ t }) => t <= time)?.until ?? -Infinity;
  }

  /** Since when the watcher that it has at a time is there. */
  watchesSince(time: number): number {
    const latest = timesOf(this.lines, "stops watching").findLast((t) => t <= time) ?? -Infinity;
    return Math.min(...this.subscriptions.map(({ from }) => (from >= latest ? from : Infinity)));
  }

  /** Whether it runs and has not begun to close. */
  isThere(time: number): boolean {
    return this.from <= time && time < Math.min(this.to, this.closingAt);
  }

  /** Whether a change shows it as a holder. */
  isIn(view: Reported | undefined): boolean {
    return view?.holders.some(({ session }) => this.sessions.has(session)) === true;
  }
}

/** What a subscription knew of a key at a time. */
export function viewAt({ views }: Subscription, key: string, time: number): View | undefined {
  const told = views.get(key) ?? [];
  let [low, high] = [0, told.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((told[middle]?.t ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return told[low - 1];
}

export function matches(target: Target, key: string): boolean {
  if (typeof target === "string") return target === key;
  return "prefix" in target ? key.startsWith(target.prefix) : true;
}

function timesOf(lines: readonly Line[], e: Line["e"]): number[] {
  return lines.filter((line) => line.e === e).map(({ t }) => t);
}

function timeOf(line: Line | undefined): number {
  return line?.t ?? Infinity;
}

function subscriptionsOf(lines: readonly Line[], end: number): Subscription[] {
  const subscriptions: Subscription[] = [];
  const views = new Map<string, Map<string, View[]>>();
  for (const line of lines) {
    if (line.e === "watches") {
      const { id, target, t: from } = line;
      const to = Math.min(end, timeOf(lines.find((other) => other.e === "unwatches" && other.id === id)));
      const own = new Map<string, View[]>();
      views.set(id, own);
      subscriptions.push({ id, target, from, to, views: own });
    } else if (line.e === "reported") {
      const own = views.get(line.id);
      const view = { t: line.t, ...line.change };
      const told = own?.get(view.key);
      if (told === undefined) own?.set(view.key, [view]);
      else told.push(view);
    }
  }
  return subscriptions;
}

function staleSpans(lines: readonly Line[]): Span[] {
  const spans: Span[] = [];
  let since: number | undefined;
  for (const line of lines) {
    if (line.e !== "health") continue;
    if (line.state === "stale") since ??= line.t;
    else if (since !== undefined) {
      spans.push({ from: since, to: line.t });
      since = undefined;
    }
  }
  return since === undefined ? spans : [...spans, { from: since, to: Infinity }];
}

/** When a holding is over. An absence that was planned before goes on if the start after it was not written. */
export function overOf({ holdings }: Process, { key, calledAt, from, overAt, heldUntil }: Holding): number {
  const before =
    from === Infinity ? holdings.filter((one) => one.key === key && one.calledAt < calledAt) : [];
  return Math.max(overAt, heldUntil, ...before.map((one) => one.heldUntil));
}

function holdingsOf({ lines, to, how }: Life, closingAt: number, closesAs: Holding["meant"]): Holding[] {
  const holdings: Holding[] = [];
  const closedAt = timeOf(lines.find(({ e }) => e === "closed"));
  for (const line of lines) {
    if (line.e !== "starting") continue;
    const { key, n, t: calledAt } = line;
    const own = (e: "started" | "ended" | "ending"): Line | undefined =>
      lines.find((other) => other.e === e && other.key === key && other.n === n);
    const start = { key, calledAt, from: timeOf(own("started")) };
    const ending = lines.find((other) => other.e === "ending" && other.key === key && other.n === n);
    if (ending?.e === "ending" && ending.t <= closingAt) {
      const endedAt = timeOf(own("ended"));
      const isCutShort = endedAt === Infinity && to !== Infinity;
      const heldUntil = ending.holdMs === undefined ? -Infinity : ending.t + ending.holdMs;
      holdings.push({
        ...start,
        endingAt: ending.t,
        overAt: Math.min(endedAt, to),
        how: isCutShort ? "crashed" : ending.how,
        heldUntil,
        meant: ending.how,
      });
    } else if (closesAs !== undefined) {
      const isCutShort = closedAt === Infinity && to !== Infinity;
      const overAt = Math.min(closedAt, to);
      const end = { endingAt: closingAt, overAt, heldUntil: -Infinity };
      holdings.push({ ...start, ...end, how: isCutShort ? "crashed" : closesAs, meant: closesAs });
    } else {
      const isAlive = how === "lives" || to === Infinity;
      const end = { endingAt: to, overAt: to, heldUntil: -Infinity };
      holdings.push({ ...start, ...end, how: isAlive ? "lives" : "crashed" });
    }
  }
  return holdings;
}
