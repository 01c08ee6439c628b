/** Plans that failed once, one a line. Each is run whenever the simulator is tested. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plan } from "./plan.ts";

export interface Kept {
  /** What was wrong. */
  readonly why: string;
  readonly plan: Plan;
}

const FILE = join(process.cwd(), "test/simulator/kept.jsonl");

export function readKept(): readonly Kept[] {
  const lines = readFileSync(FILE, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Kept);
}

export function keep(kept: Kept): void {
  appendFileSync(FILE, `${JSON.stringify(kept)}\n`);
}
