/** A verdict as text. */
import type { Verdict } from "../judge/judge.ts";
import type { Run } from "./log.ts";

const SHOWN_MAX = 25;

export function describe(run: Run, verdict: Verdict): string {
  const { log, notApplied, seed, server } = run;
  const { findings, excuses, checked, crashes, byCause, rightlyDead } = verdict;
  const minutes = (log.to - log.from) / 60_000;
  const kinds = countBy(log.faults, ({ kind }) => kind);
  const missed = countBy(notApplied, ({ kind, why }) => `${kind}: ${why}`);
  const lines = [
    `${log.faults.length} faults in ${minutes.toFixed(1)} min, seed ${seed}, a period of ${log.periodMs} ms, on ${server}`,
    ...Array.from(kinds, ([kind, count]) => `  ${count} x ${kind}`).toSorted(),
    ...(missed.size === 0 ? [] : ["not applied:"]),
    ...Array.from(missed, ([what, count]) => `  ${count} x ${what}`),
    `${log.lives.length} processes lived; reported: ${JSON.stringify(byCause)}`,
    `checked: ${Object.entries(checked)
      .map(([what, count]) => `${what} ${count}`)
      .join(", ")}`,
    `${crashes.length} crashes reported without a fault: ${quantiles(crashes, "periods")}`,
    `${rightlyDead} times a process was reported dead that lived, rightly`,
    "documented limits used:",
    ...Array.from(excuses, ([limit, count]) => `  ${count} x ${limit}`).toSorted(),
    findings.length === 0 ? "all that is promised held" : `WRONG: ${findings.length}`,
    ...findings
      .slice(0, SHOWN_MAX)
      .map(({ promise, t, what }) => `  ${((t - log.from) / 1000).toFixed(2)} s ${promise}: ${what}`),
    ...(findings.length > SHOWN_MAX ? [`  and ${findings.length - SHOWN_MAX} more`] : []),
  ];
  return lines.join("\n");
}

function countBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(nameOf(item), (counts.get(nameOf(item)) ?? 0) + 1);
  return counts;
}

function quantiles(sorted: readonly number[], unit: string): string {
  if (sorted.length === 0) return "none";
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(2);
  return `median ${at(0.5)}, 99 % ${at(0.99)}, at most ${at(1)} ${unit}`;
}
