/** `npm run simulate -- --seed S --runs N`: runs seeds S to S+N-1; prints a failing one, shortened, and exits with 1. */
import { parseArgs } from "node:util";
import { drawPlan } from "./plan.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    runs: { type: "string" },
    trace: { type: "boolean" },
    all: { type: "boolean" },
  },
});
const first = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const runs = Number(values.runs ?? 1000);
let failed = 0;
let changes = 0;
const latencies: number[] = [];
const began = Date.now();
for (let seed = first; seed < first + runs; seed++) {
  const outcome = await simulate(drawPlan(seed));
  changes += outcome.changes;
  for (const latency of outcome.latencies) latencies.push(latency);
  if (values.trace) console.log(outcome.trace.join("\n"));
  if (outcome.wrong.length === 0) continue;
  failed++;
  console.log(`seed ${seed}: ${outcome.wrong[0]}`);
}
latencies.sort((a, b) => a - b);
console.log({
  first,
  runs,
  failed,
  changes,
  seconds: (Date.now() - began) / 1000,
  crashes: latencies.length,
  median: latencies[latencies.length >> 1],
  max: latencies.at(-1),
});
