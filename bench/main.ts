/** The benchmarks: reads the arguments, runs the scenarios in turn, and writes the report. */
import { parseArgs } from "node:util";
import { keeping } from "./scenarios/keeping.ts";
import { pings } from "./scenarios/pings.ts";
import { reading } from "./scenarios/reading.ts";
import { told } from "./scenarios/told.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { markdownOf } from "./report/markdown.ts";

const SCENARIOS: readonly Scenario[] = [pings, keeping, reading, told];

const { values } = parseArgs({
  options: { quick: { type: "boolean", default: false }, only: { type: "string" } },
});
const only = values.only?.split(",");
for (const scenario of SCENARIOS) {
  if (only !== undefined && !only.includes(scenario.name)) continue;
  const section = await scenario.run({
    quick: values.quick,
    say: (line) => console.error(`${scenario.name}: ${line}`),
  });
  console.log(markdownOf(section));
}
