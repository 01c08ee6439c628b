/** A verdict as text. */
import type { Verdict } from "../judge/judge.ts";
import type { Run } from "./log.ts";

const SHOWN_MAX = 25;
const HELD = "all that is promised held";
const UNCHECKED = "nothing was found, but no watcher was free of suspicion for long enough to be checked";

export function describe({ log, notApplied, seed, server }: Run, verdict: Verdict): string {
  const { findings, excuses, checked, crashes, byCause, rightlyDead } = verdict;
  const { faults, lives, periodMs } = log;
  const minutes = ((log.to - log.from) / 60_000).toFixed(1);
  const notDone = notApplied.map(({ kind, why }) => `${kind}: ${why}`);
  const counted = Object.entries(checked).map(([what, count]) => `${what} ${count}`);
  const shown = findings.slice(0, SHOWN_MAX).map(({ promise, t, what }) => {
    return `  ${((t - log.from) / 1000).toFixed(2)} s ${promise}: ${what}`;
  });
  return [
    `${faults.length} faults in ${minutes} min, seed ${seed}, a period of ${periodMs} ms, on ${server}`,
    ...timesOf(countBy(faults.map(({ kind }) => kind))),
    ...(notDone.length === 0 ? [] : ["not applied:", ...timesOf(countBy(notDone))]),
    `${lives.length} processes lived; reported: ${JSON.stringify(byCause)}`,
    `checked: ${counted.join(", ")}`,
    `${crashes.length} crashes reported without a fault: ${quantiles(crashes, "periods")}`,
    `${rightlyDead} times a process was reported dead that lived, rightly`,
    "documented limits used:",
    ...timesOf(excuses),
    findings.length > 0 ? `WRONG: ${findings.length}` : checked.holdings > 0 ? HELD : UNCHECKED,
    ...shown,
    ...(findings.length > SHOWN_MAX ? [`  and ${findings.length - SHOWN_MAX} more`] : []),
  ].join("\n");
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function timesOf(counts: ReadonlyMap<string, number>): string[] {
  return Array.from(counts, ([what, count]) => `  ${count} x ${what}`).toSorted();
}

function quantiles(sorted: readonly number[], unit: string): string {
  if (sorted.length === 0) return "none";
  const last = sorted.length - 1;
  const at = (part: number): string =>
    (sorted[Math.min(last, Math.floor(part * sorted.length))] ?? 0).toFixed(2);
  return `median ${at(0.5)}, 99 % ${at(0.99)}, at most ${at(1)} ${unit}`;
}
