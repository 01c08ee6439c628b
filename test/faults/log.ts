/**
 * What is logged, and how it becomes what the judge reads. All times are ms of the monotonic clock that the
 * processes of one machine share, so that what several have written can be put in order.
 */
import type { Counts, Fault, Life, Line, Log } from "../judge/log.ts";

/** What a process of the fleet writes. */
export type WorkerLine =
  | Line
  | ({ readonly t: number } & (
      | { readonly e: "begin"; readonly pid: number }
      | { readonly e: "refused"; readonly why: string }
    ));

/** What the nemesis writes. */
export type NemesisLine = { readonly t: number } & (
  | ({ readonly e: "run" } & Settings)
  /** `from`: when it began to be done; it is noted when that is done. */
  | ({ readonly e: "fault"; readonly id: number; readonly detail?: string } & Omit<Fault, "to">)
  | { readonly e: "healed"; readonly id: number }
  | { readonly e: "not applied"; readonly kind: string; readonly why: string }
  | { readonly e: "born"; readonly name: string; readonly life: number }
  | { readonly e: "gone"; readonly name: string; readonly life: number; readonly how: Gone }
  | ({ readonly e: "counts" } & Omit<Counts, "t">)
  /** The store, or this machine, was slow since `from`, though nothing had been done to it. */
  | { readonly e: "busy"; readonly from: number; readonly what: string }
  | { readonly e: "end" }
);

interface Settings {
  readonly seed: number;
  readonly periodMs: number;
  readonly retentionSlots: number;
  readonly server: string;
}

/** `exited`: by itself, which none must. */
export type Gone = Exclude<Life["how"], "lives">;

/** A run of the nemesis. */
export interface Run extends Settings {
  readonly log: Log;
  readonly notApplied: readonly { readonly kind: string; readonly why: string }[];
}

/** Of a period: what a read and a ping take at most, each given up after a fifth of it; longer is a fault. */
const ROUND_TRIP = 0.4;
/** The driver looks twice a period for a store that was away. */
const RECONNECT = 0.5;

/** Puts a run together from what the nemesis and the processes have written. */
export function toRun(
  nemesis: readonly NemesisLine[],
  workers: ReadonlyMap<string, readonly WorkerLine[]>,
): Run {
  const [first] = nemesis;
  if (first?.e !== "run")
    throw new Error("The log of the nemesis does not begin with the settings of the run.");
  const { t: from, periodMs, retentionSlots } = first;
  const healed = new Map(nemesis.flatMap((line) => (line.e === "healed" ? [[line.id, line.t]] : [])));
  const gone = new Map(
    nemesis.flatMap((line) =>
      line.e === "gone" ? [[`${line.name}.${line.life}`, { to: line.t, how: line.how }]] : [],
    ),
  );
  const faults: Fault[] = [];
  const lives: Life[] = [];
  for (const line of nemesis) {
    if (line.e === "fault") faults.push({ ...line, to: healed.get(line.id) ?? Infinity });
    else if (line.e === "busy")
      faults.push({ kind: line.what, who: "all", effect: "hampered", from: line.from, to: line.t });
    else if (line.e === "born") {
      const { t, name, life } = line;
      const end = gone.get(`${name}.${life}`) ?? { to: Infinity, how: "lives" };
      const lines = (workers.get(`${name}.${life}`) ?? []).filter(
        (one) => one.e !== "begin" && one.e !== "refused",
      );
      lives.push({ name, life, from: t, ...end, lines });
    }
  }
  const log: Log = {
    periodMs,
    retentionSlots,
    roundTripMs: ROUND_TRIP * periodMs,
    reconnectMs: RECONNECT * periodMs,
    faults,
    lives,
    counts: nemesis.filter((line) => line.e === "counts"),
    from,
    to: (nemesis.find(({ e }) => e === "end") ?? nemesis.at(-1) ?? first).t,
  };
  return { ...first, log, notApplied: nemesis.filter((line) => line.e === "not applied") };
}

/** The lines of a log. What was being written when its process was killed is passed over, where it is the last. */
export function parseLines<Parsed>(text: string): Parsed[] {
  const whole = text.split("\n").slice(0, -1);
  return whole.filter((line) => line !== "").map((line) => JSON.parse(line) as Parsed);
}

/** The clock of all logs. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
