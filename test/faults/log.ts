/**
 * What is logged, and how the judge sees it. All times are ms of the monotonic clock that the processes of one machine
 * share, so that what several have written can be put in order.
 */

/** What a process of the fleet writes. */
export type WorkerLine = { readonly t: number } & (
  | { readonly e: "begin"; readonly pid: number }
  | { readonly e: "watching"; readonly what: Watched }
  /** `start` was called, and has resolved. */
  | { readonly e: "holding" | "holds"; readonly key: string }
  | { readonly e: "ending" | "ended"; readonly key: string; readonly how: "killed" | "stopped" }
  /** The pinger was told that another has reported its key dead. */
  | { readonly e: "killed"; readonly key: string }
  /** It reports another's key dead. */
  | { readonly e: "kills"; readonly key: string }
  | { readonly e: "closing"; readonly linger: boolean }
  | { readonly e: "closed" }
  | { readonly e: "session"; readonly session: number | null }
  | { readonly e: "vouched"; readonly until: number }
  | { readonly e: "lapse" }
  | { readonly e: "health"; readonly state: "healthy" | "stale"; readonly reason?: string }
  | ({ readonly e: "told" } & Told)
  /** Once a period: the event loop turns. */
  | { readonly e: "turns" }
  /** The event loop did not turn since `from`. */
  | { readonly e: "late"; readonly from: number }
  | { readonly e: "refused"; readonly why: string }
  /** What must never happen: a watcher that died, an uncaught error, a warning. */
  | { readonly e: "broken"; readonly why: string }
);

export interface Told {
  readonly key: string;
  readonly alive: boolean;
  readonly cause: string;
  readonly sessions: readonly number[];
}

/** A prefix; "" is everything. */
export type Watched = string;

export type Who = "all" | readonly string[];

/** What the nemesis writes. */
export type NemesisLine = { readonly t: number } & (
  | ({ readonly e: "run" } & Settings)
  /** `from`: when it began to be done; it is noted when that is done. */
  | ({ readonly e: "fault"; readonly id: number; readonly from: number } & FaultKind)
  | { readonly e: "healed"; readonly id: number }
  | { readonly e: "not applied"; readonly kind: string; readonly why: string }
  | { readonly e: "born"; readonly name: string; readonly life: number }
  | { readonly e: "gone"; readonly name: string; readonly life: number; readonly how: Gone }
  | ({ readonly e: "counts" } & Counts)
  | { readonly e: "end" }
);

export interface Settings {
  readonly seed: number;
  readonly periodMs: number;
  readonly retentionSlots: number;
  readonly server: string;
}

export type Loss = "the latest" | "what is held";

export interface FaultKind {
  readonly kind: string;
  readonly who: Who;
  /** What was acknowledged may be lost: the latest of it, or all that is held. */
  readonly loses?: Loss;
  readonly detail?: string;
}

/** `exited`: by itself, which none must. */
export type Gone = "crashed" | "closed" | "exited";

export interface Counts {
  readonly sessions: number;
  readonly registrations: number;
  readonly pings: number;
}

/** A fault as the judge sees it: from when to when it lasted. */
export interface Fault extends FaultKind {
  readonly from: number;
  readonly to: number;
}

/** One life of one process. */
export interface Life {
  readonly name: string;
  readonly life: number;
  readonly from: number;
  /** Infinity where it lived on at the end. */
  readonly to: number;
  readonly how: Gone | "lives";
  readonly lines: readonly WorkerLine[];
}

/** All that the judge knows. */
export interface Run extends Settings {
  readonly faults: readonly Fault[];
  readonly notApplied: readonly { readonly kind: string; readonly why: string }[];
  readonly lives: readonly Life[];
  readonly counts: readonly (Counts & { readonly t: number })[];
  readonly from: number;
  readonly to: number;
}

/** Puts a run together from what the nemesis and the processes have written. */
export function toRun(
  nemesis: readonly NemesisLine[],
  workers: ReadonlyMap<string, readonly WorkerLine[]>,
): Run {
  const first = nemesis[0];
  if (first?.e !== "run")
    throw new Error("The log of the nemesis does not begin with the settings of the run.");
  const to = (nemesis.find(({ e }) => e === "end") ?? nemesis.at(-1) ?? first).t;
  const healed = new Map<number, number>();
  const gone = new Map<string, { to: number; how: Gone }>();
  for (const line of nemesis) {
    if (line.e === "healed") healed.set(line.id, line.t);
    else if (line.e === "gone") gone.set(`${line.name}.${line.life}`, { to: line.t, how: line.how });
  }
  const faults: Fault[] = [];
  const lives: Life[] = [];
  for (const line of nemesis) {
    if (line.e === "fault") faults.push({ ...line, to: healed.get(line.id) ?? Infinity });
    else if (line.e === "born") {
      const { name, life } = line;
      const end = gone.get(`${name}.${life}`) ?? { to: Infinity, how: "lives" as const };
      lives.push({ name, life, from: line.t, ...end, lines: workers.get(`${name}.${life}`) ?? [] });
    }
  }
  return {
    seed: first.seed,
    periodMs: first.periodMs,
    retentionSlots: first.retentionSlots,
    server: first.server,
    faults,
    notApplied: nemesis.filter((line) => line.e === "not applied"),
    lives,
    counts: nemesis.filter((line) => line.e === "counts"),
    from: first.t,
    to,
  };
}

/** The lines of a log. What was being written when its process was killed is passed over, where it is the last. */
export function parseLines<Line>(text: string): Line[] {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** The clock of all logs. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
