/** Plans that failed once, shortened. Each is run whenever the simulator is tested. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plan } from "./plan.ts";

export interface Kept {
  /** What was wrong, and why. */
  readonly why: string;
  readonly plan: Plan;
}

const FILE = join(process.cwd(), "test/simulator/kept.json");

export function readKept(): readonly Kept[] {
  return JSON.parse(readFileSync(FILE, "utf8")) as Kept[];
}

/** One plan a line, so that a change of the file can be read. */
export function keep(kept: Kept): void {
  const all = [...readKept(), kept];
  writeFileSync(FILE, `[\n${all.map((one) => `  ${JSON.stringify(one)}`).join(",\n")}\n]\n`);
}
