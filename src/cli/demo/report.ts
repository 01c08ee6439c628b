/** The demo's table: what happened, when it was reported, and whether that is as expected. */
import type { Output } from "../output.ts";
import { columns } from "../text.ts";
import type { Observation } from "./observations.ts";
import type { Scene } from "./story.ts";
import { type Bound, faultOf, type Suspicion } from "./verdict.ts";

export interface Row {
  readonly who: string;
  readonly what: string;
  /** In ms since the demo began. */
  readonly happenedMs: number;
  /** `dead, expired`, `alive, joined`; null if nothing was reported. */
  readonly told: string | null;
  readonly toldMs: number | null;
  readonly afterMs: number | null;
  readonly afterPeriods: number | null;
  readonly expected: string;
  readonly ok: boolean;
  /** What was wrong. */
  readonly fault: string | null;
}

export interface Report {
  readonly ok: boolean;
  readonly periodMs: number;
  readonly rows: readonly Row[];
  /** What was late on this machine meanwhile, which is not a fault by itself. */
  readonly troubles: readonly string[];
}

export interface Played {
  readonly beganMs: number;
  readonly periodMs: number;
  readonly scenes: readonly Scene[];
  readonly strays: readonly Observation[];
  readonly suspicions: readonly Suspicion[];
  readonly lapses: readonly string[];
}

export function makeReport(played: Played): Report {
  const { beganMs, periodMs, scenes, strays, suspicions, lapses } = played;
  const rows = scenes.map((scene, index) => {
    // An unexpected report counts once, in the first row of its worker.
    const first = scenes.findIndex(({ who }) => who === scene.who) === index;
    return rowOf(scene, played, first ? strays.filter(({ change }) => change.key === scene.who) : []);
  });
  const spells = suspicions
    .filter(mattersTo(scenes))
    .map(
      ({ fromMs, toMs, reason }) =>
        `from ${seconds(fromMs - beganMs)} to ${toMs === Infinity ? "the end" : seconds(toMs - beganMs)}: ${reason}`,
    );
  return { ok: rows.every(({ ok }) => ok), periodMs, rows, troubles: [...spells, ...lapses] };
}

/** Whether the suspicion came between an event and its report. */
function mattersTo(scenes: readonly Scene[]): (suspicion: Suspicion) => boolean {
  return ({ fromMs, toMs }) =>
    scenes.some(({ happenedMs, told }) => told === undefined || (fromMs <= told.atMs && toMs >= happenedMs));
}

function rowOf(scene: Scene, played: Played, strays: readonly Observation[]): Row {
  const { beganMs, periodMs, suspicions } = played;
  const { who, what, happenedMs, told, expected } = scene;
  const faults = strays.map(
    ({ change, atMs }) => `reported ${stateOf(change)} at ${seconds(atMs - beganMs)}`,
  );
  if (typeof expected !== "string") {
    const fault = faultOf({ ...scene, toldMs: told?.atMs, bound: expected }, periodMs, suspicions);
    if (fault !== undefined) faults.unshift(fault);
  }
  const afterMs = told === undefined ? null : Math.max(0, told.atMs - happenedMs);
  return {
    who,
    what,
    happenedMs: happenedMs - beganMs,
    told: told === undefined ? null : stateOf(told.change),
    toldMs: told === undefined ? null : told.atMs - beganMs,
    afterMs,
    afterPeriods: afterMs === null ? null : Number((afterMs / periodMs).toFixed(2)),
    expected: typeof expected === "string" ? expected : describeBound(expected, periodMs),
    ok: faults.length === 0,
    fault: faults.length === 0 ? null : faults.join(", "),
  };
}

function stateOf({ alive, cause }: Observation["change"]): string {
  return `${alive ? "alive" : "dead"}, ${cause}`;
}

function describeBound({ leastMs, mostMs }: Bound, periodMs: number): string {
  const periods = (ms: number): string => `${Number((ms / periodMs).toFixed(2))}`;
  if (leastMs > 0) return `${periods(leastMs)} to ${periods(mostMs)} periods`;
  return mostMs < periodMs ? `at once (within ${mostMs} ms)` : `within ${periods(mostMs)} period`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

const HEADING = ["WHO", "WHAT HAPPENED", "AT", "WHAT WAS REPORTED", "AT", "AFTER", "PERIODS", "EXPECTED", ""];
const RIGHT = new Set([2, 4, 5, 6]);

/** Prints the table; its last line is `ok`, or what was wrong. */
export async function printReport(report: Report, out: Output): Promise<void> {
  const { rows, ok, troubles } = report;
  const [heading = "", ...lines] = columns([HEADING, ...rows.map(cellsOf)], RIGHT);
  await out.data(out.paint("bold", heading));
  for (const [index, line] of lines.entries()) {
    const row = rows[index];
    await out.data(row?.ok === false ? out.paint("red", line) : line);
  }
  await out.data("");
  if (troubles.length > 0) {
    await out.data(
      "The watcher's view was out of date at times; the time to a report counts from the end of that:",
    );
    for (const trouble of troubles) await out.data(`  ${trouble}`);
  }
  const faults = rows.filter((row) => !row.ok).map(({ who, what, fault }) => `${who}, ${what}: ${fault}`);
  await out.data(ok ? out.paint("green", "ok") : out.paint("red", `wrong: ${faults.join("; ")}`));
}

function cellsOf(row: Row): string[] {
  const { who, what, happenedMs, told, toldMs, afterMs, afterPeriods, expected, ok, fault } = row;
  return [
    who,
    what,
    seconds(happenedMs),
    told ?? "nothing",
    toldMs === null ? "" : seconds(toldMs),
    afterMs === null ? "" : `${Math.round(afterMs)} ms`,
    afterPeriods === null ? "" : afterPeriods.toFixed(2),
    expected,
    ok ? "ok" : `wrong: ${fault}`,
  ];
}
