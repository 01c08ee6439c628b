/**
 * `npm run simulate -- --seed S --runs N`: the runs of the seeds from S on. A failing one is shortened and printed, and
 * the exit status is 1.
 */
import { Command } from "commander";
import { keep } from "./kept.ts";
import { drawCrowd, drawPlan, isKind } from "./draw.ts";
import { report, shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";

const values = new Command("npm run simulate --")
  .description("Runs simulations, each with faults of its own. One that fails is shortened and printed.")
  .option("--seed <seed>", "the first of the seeds", String(Math.floor(Math.random() * 1e9)))
  .option("--runs <count>", "how many, each with the next seed", "1000")
  .option("--kinds <names>", "draws only these kinds of events, with commas between them")
  .option("--crowd <keys>", "twenty processes with so many keys each")
  .option("--stop", "ends at the first that fails, without making it shorter")
  .option("--trace", "print what happens in each")
  .option("--keep", "add those that fail to the kept ones, which every test run repeats")
  .parse()
  .opts<{
    seed: string;
    runs: string;
    kinds?: string;
    crowd?: string;
    stop?: boolean;
    trace?: boolean;
    keep?: boolean;
  }>();
const kinds = values.kinds?.split(",").filter(isKind);
const first = Number(values.seed);
const runs = Number(values.runs);
const began = Date.now();
const totals = { failed: 0, faults: 0, changes: 0, crashes: 0, slowest: 0 };
const compared = { holdings: 0, agreements: 0, health: 0, kills: 0, rightlyDead: 0 };
const excuses = new Map<string, number>();

console.log(`${runs} runs, seeds from ${first}`);
for (let seed = first; seed < first + runs; seed++) {
  const plan = values.crowd === undefined ? drawPlan(seed, kinds) : drawCrowd(seed, Number(values.crowd));
  const outcome = await simulate(plan);
  totals.faults += plan.events.length;
  totals.changes += outcome.changes;
  totals.crashes += outcome.verdict.crashes.length;
  totals.slowest = Math.max(totals.slowest, outcome.verdict.crashes.at(-1) ?? 0);
  const { checked, rightlyDead } = outcome.verdict;
  compared.holdings += checked.holdings;
  compared.agreements += checked.agreements;
  compared.health += checked.health;
  compared.kills += checked.kills;
  compared.rightlyDead += rightlyDead;
  for (const [limit, uses] of outcome.verdict.excuses) excuses.set(limit, (excuses.get(limit) ?? 0) + uses);
  if (values.trace === true) console.log(outcome.trace.join("\n"));
  if (outcome.wrong.length === 0) continue;
  totals.failed++;
  process.exitCode = 1;
  console.log(`seed ${seed} fails: ${outcome.wrong[0]}`);
  if (values.stop === true) break;
  const short = await shrink(plan);
  console.log(report(short));
  if (values.keep === true) keep({ why: short.outcome.wrong[0] ?? "", plan: short.plan });
}
const { failed, faults, changes, crashes, slowest } = totals;
console.log(
  `${runs} runs with ${faults} events in ${((Date.now() - began) / 1000).toFixed(0)} s: ${failed} failed; ` +
    `${changes} changes reported; ${crashes} plain crashes, reported ${slowest.toFixed(2)} periods later at most`,
);
console.log(
  `compared: a view with what is held ${compared.holdings} times, two views ${compared.agreements}, health ` +
    `${compared.health}; ${compared.kills} kills; ${compared.rightlyDead} reports, rightly, that a living process is dead`,
);
const used = Array.from(excuses, ([limit, uses]) => `${limit} ${uses}`).toSorted();
console.log(`documented limits used: ${used.length === 0 ? "none" : used.join("; ")}`);
