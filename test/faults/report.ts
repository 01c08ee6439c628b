/** A verdict as text. */
import type { Verdict } from "./judge.ts";

const SHOWN_MAX = 25;

export function describe({
  run,
  wrong,
  told,
  crashes,
  joins,
  rightlyDead,
  notJudged,
  checks,
  calm,
}: Verdict): string {
  const minutes = (run.to - run.from) / 60_000;
  const kinds = new Map<string, number>();
  for (const { kind } of run.faults) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const missed = new Map<string, number>();
  for (const { kind, why } of run.notApplied) {
    const what = `${kind}: ${why}`;
    missed.set(what, (missed.get(what) ?? 0) + 1);
  }
  const lines = [
    `${run.faults.length} faults in ${minutes.toFixed(1)} min, seed ${run.seed}, a period of ${run.periodMs} ms, on ${run.server}`,
    ...Array.from(kinds, ([kind, count]) => `  ${count} x ${kind}`).toSorted(),
    ...(missed.size === 0 ? [] : ["not applied:"]),
    ...Array.from(missed, ([what, count]) => `  ${count} x ${what}`),
    `${run.lives.length} processes lived; told: ${JSON.stringify(told)}`,
    `checked: ${checks.holdings} times that who holds is known, ${checks.ends} ends, ${checks.agreements} views that agree`,
    `${crashes.length} tellings of crashes in calm: ${quantiles(crashes, "periods")}`,
    `${joins.length} tellings of joins in calm: ${quantiles(joins, "ms")}`,
    `${calm.periods} periods with watchers in calm; in ${calm.busy} most were stale, the machine being too busy`,
    `${rightlyDead} times somebody was told dead who lived, cut off alone, and knew it; ${notJudged} times when the records had just been destroyed`,
    wrong.length === 0 ? "all that is promised held" : `WRONG: ${wrong.length}`,
    ...wrong
      .slice(0, SHOWN_MAX)
      .map(({ kind, t, what }) => `  ${((t - run.from) / 1000).toFixed(2)} s ${kind}: ${what}`),
    ...(wrong.length > SHOWN_MAX ? [`  and ${wrong.length - SHOWN_MAX} more`] : []),
  ];
  return lines.join("\n");
}

function quantiles(sorted: readonly number[], unit: string): string {
  if (sorted.length === 0) return "none";
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(2);
  return `median ${at(0.5)}, 99 % ${at(0.99)}, at most ${at(1)} ${unit}`;
}
