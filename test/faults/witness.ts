/** One life of one process, as its log shows it. */
import type { Life, Run, Told, WorkerLine } from "./log.ts";
import { merge, type Span } from "./spans.ts";

/** It tells once a period that its event loop turns, and whenever that was late by a tenth of it. */
const SILENCE_MIN = 1.3;

/** From a start of a pinger to its end. */
export interface Holding {
  readonly key: string;
  /** When `start` was called, and resolved. */
  readonly calledAt: number;
  readonly from: number;
  /** When its end was begun, and when that was written, or its process was gone: Infinity while it goes on. */
  readonly endingAt: number;
  readonly overAt: number;
  readonly how: "killed" | "stopped" | "crashed" | "lives";
  /** Its end was begun, and its process crashed before that was written. */
  readonly isCutShort?: boolean;
}

/** What a watcher was told of a key. */
export interface View extends Told {
  readonly t: number;
}

export class Witness {
  readonly life: Life;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** What hit it alone, or it and some others; and when its event loop did not turn. */
  readonly own: readonly Span[];
  /** What hit all. */
  readonly shared: readonly Span[];
  /** When it said that its view is stale. */
  readonly stale: readonly Span[];
  readonly holdings: readonly Holding[];
  readonly watched: readonly { readonly prefix: string; readonly since: number }[];
  readonly views: ReadonlyMap<string, readonly View[]>;
  readonly lapses: readonly number[];
  readonly broken: readonly string[];
  readonly closingAt: number;
  readonly #vouched: readonly { readonly t: number; readonly until: number }[];
  readonly #sessions: readonly { readonly t: number; readonly session: number | null }[];

  constructor(life: Life, { faults, periodMs, to: end }: Pick<Run, "faults" | "periodMs" | "to">) {
    const { lines, from, to } = life;
    this.life = life;
    this.name = `${life.name}.${life.life}`;
    this.from = from;
    this.to = to;
    const hits = faults.filter((fault) => fault.to >= from && fault.from <= to);
    const late = lines
      .filter((line) => line.e === "late")
      .map(({ from: since, t }) => ({ from: since, to: t }));
    this.own = merge([
      ...hits.filter(({ who }) => who !== "all" && who.includes(life.name)),
      ...late,
      ...silence(lines, Math.min(to, end), periodMs),
    ]);
    this.shared = merge(hits.filter(({ who }) => who === "all"));
    this.stale = staleSpans(lines);
    this.closingAt = lines.find(({ e }) => e === "closing")?.t ?? Infinity;
    this.holdings = holdingsOf(life, this.closingAt);
    this.watched = lines
      .filter((line) => line.e === "watching")
      .map(({ t, what }) => ({ prefix: what, since: t }));
    const views = new Map<string, View[]>();
    for (const line of lines) {
      if (line.e !== "told") continue;
      const told = views.get(line.key);
      if (told === undefined) views.set(line.key, [line]);
      else told.push(line);
    }
    this.views = views;
    this.lapses = lines.filter(({ e }) => e === "lapse").map(({ t }) => t);
    this.broken = lines.filter((line) => line.e === "broken").map(({ why }) => why);
    this.#vouched = lines.filter((line) => line.e === "vouched");
    this.#sessions = lines.filter((line) => line.e === "session");
  }

  /** Since when it watches the key; undefined where it does not. */
  watches(key: string): number | undefined {
    return this.watched.find(({ prefix }) => key.startsWith(prefix))?.since;
  }

  /** Until when it knew itself to be vouched for, at a time. */
  vouchedAt(time: number): number {
    return this.#vouched.findLast(({ t }) => t <= time)?.until ?? -Infinity;
  }

  sessionAt(time: number): number | undefined {
    return this.#sessions.findLast(({ t }) => t <= time)?.session ?? undefined;
  }

  get sessions(): readonly number[] {
    return this.#sessions.flatMap(({ session }) => (session === null ? [] : [session]));
  }

  sessionChangedIn(from: number, to: number): boolean {
    return this.#sessions.some(({ t }) => t >= from && t <= to);
  }

  /** What it knew of a key at a time. */
  viewAt(key: string, time: number): View | undefined {
    const views = this.views.get(key) ?? [];
    let [low, high] = [0, views.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((views[middle]?.t ?? Infinity) <= time) low = middle + 1;
      else high = middle;
    }
    return views[low - 1];
  }
}

/** Before its end it may have been stopped, or starved, and could not tell that it was late. */
function silence(lines: readonly WorkerLine[], end: number, periodMs: number): Span[] {
  const last = lines.findLast(({ e }) => e === "turns")?.t;
  return last === undefined || end - last < SILENCE_MIN * periodMs ? [] : [{ from: last, to: end }];
}

function staleSpans(lines: readonly WorkerLine[]): Span[] {
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

function holdingsOf({ lines, to, how }: Life, closingAt: number): Holding[] {
  const holdings: Holding[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.e !== "holds") continue;
    const { key, t } = line;
    const called = lines.findLastIndex((one, i) => i < index && one.e === "holding" && one.key === key);
    const calledAt = lines[called]?.t ?? t;
    // It may be ended while the start is still under way.
    const later = lines.slice(called + 1);
    const ending = later.find((one) => one.e === "ending" && one.key === key);
    const ended = later.find((one) => one.e === "ended" && one.key === key);
    const closed = later.find(({ e }) => e === "closed");
    const isAlive = how === "lives" || how === "exited";
    if (ending?.e === "ending" && ending.t < closingAt) {
      const overAt = ended?.t ?? to;
      const isCutShort = ended === undefined && how === "crashed";
      holdings.push({ key, calledAt, from: t, endingAt: ending.t, overAt, how: ending.how, isCutShort });
    } else if (closingAt !== Infinity) {
      // How it closes depends on whether the store was there; either way it ends as a stop does, at the latest.
      holdings.push({ key, calledAt, from: t, endingAt: closingAt, overAt: closed?.t ?? to, how: "stopped" });
    } else {
      holdings.push({ key, calledAt, from: t, endingAt: to, overAt: to, how: isAlive ? "lives" : "crashed" });
    }
  }
  return holdings;
}
