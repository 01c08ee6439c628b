/** What the soak tells at its end: the lines, the plots, and whether all is flat. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { plot } from "./plot.ts";
import { fit, type Sample } from "./samples.ts";

/** A line through fewer minutes says more of the warm-up than of anything else. */
const JUDGED_MINUTES_MIN = 10;

const PLOTS = [
  ["heap.svg", "Heap of the processes after garbage collection", "heap of"],
  ["resident.svg", "Resident memory of the processes", "resident memory of"],
  ["descriptors.svg", "Open file descriptors", "file descriptors of"],
  ["stored.svg", "Stored documents, and slots of pings and of being dead", "stored"],
] as const;

export interface Facts {
  readonly place: string;
  readonly minutes: number;
  readonly periodMs: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/** Writes the plots and the lines into the folder, prints the lines, and gives whether nothing grows. */
export function report(folder: string, samples: readonly Sample[], facts: Facts): boolean {
  const names = Object.keys(samples[0]?.values ?? {});
  for (const [file, title, begin] of PLOTS) {
    const shown = names.filter((name) => name.startsWith(begin));
    writeFileSync(join(folder, file), plot(title, shown, samples));
  }
  const fits = names.map((name) => fit(name, samples));
  const isJudged = facts.minutes >= JUDGED_MINUTES_MIN;
  for (const { name, median, max, slopePerHour, growth, isFlat } of fits) {
    const slope = `${slopePerHour >= 0 ? "+" : ""}${slopePerHour.toFixed(2)} an hour`;
    const verdict = isJudged ? (isFlat ? "flat" : "GROWS") : "too short to judge";
    const size = `median ${median.toFixed(1)}, max ${max.toFixed(1)}`;
    console.log(`${name}: ${size}, ${slope} (${(growth * 100).toFixed(1)} %): ${verdict}`);
  }
  console.log(`in all: ${JSON.stringify(facts.totals)}`);
  for (const warning of facts.warnings) console.log(`warning: ${warning}`);
  const passed = facts.warnings.length === 0 && (!isJudged || fits.every(({ isFlat }) => isFlat));
  writeFileSync(join(folder, "fits.json"), `${JSON.stringify({ ...facts, fits }, null, 2)}\n`);
  console.log(passed ? "the soak passed" : "the soak failed");
  return passed;
}
