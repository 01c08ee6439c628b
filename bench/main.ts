/** The benchmarks: reads the arguments, runs the scenarios in turn, and writes the report. */
import { getPriority, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { clockMs } from "./measure/time.ts";
import { writeReport } from "./report/document.ts";
import { goalOf, markdownOf } from "./report/markdown.ts";
import { keep, kept } from "./report/results.ts";
import { blocking } from "./scenarios/blocking.ts";
import { crash } from "./scenarios/crash.ts";
import { hot } from "./scenarios/hot.ts";
import { idle } from "./scenarios/idle.ts";
import { keeping } from "./scenarios/keeping.ts";
import { sqlite } from "./scenarios/sqlite.ts";
import { million } from "./scenarios/million.ts";
import { pings } from "./scenarios/pings.ts";
import { reading } from "./scenarios/reading.ts";
import { sessions } from "./scenarios/sessions.ts";
import { starting } from "./scenarios/starting.ts";
import { startup } from "./scenarios/startup.ts";
import { storage } from "./scenarios/storage.ts";
import { told } from "./scenarios/told.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { used } from "./servers/server.ts";

const SCENARIOS: readonly Scenario[] = [
  pings,
  idle,
  ...keeping,
  reading,
  told,
  starting,
  hot,
  crash,
  million,
  blocking,
  sessions,
  storage,
  startup,
  sqlite,
];

const HELP = `npm run bench -- [options]

  --quick         in less than three minutes, with smaller sizes; writes no report
  --only a,b      these parts alone: ${SCENARIOS.map(({ name }) => name).join(", ")}
  --max-keys N    no more keys than so many are watched and read: for a small machine
  --max-processes N  no more processes than so many are kept alive: for a machine that is shared
  --report        runs nothing; writes docs/benchmarks.md anew, of the latest results

The MongoDB server is the one that MONGODB_URI names, or one that is started for it.`;

/** A quick run leaves out what takes long even when it is small. */
const NOT_QUICK = new Set([
  "keeping-1000",
  "keeping-10000",
  "hot",
  "crash",
  "blocking",
  "sessions",
  "storage",
  "startup",
  "sqlite",
]);

const OPTIONS = {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  "max-keys": { type: "string", default: "1000000" },
  "max-processes": { type: "string", default: "10000" },
  report: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const { values } = parsed();

if (values.help) console.log(HELP);
else {
  if (!values.report) for (const scenario of wanted()) await run(scenario);
  if (!values.quick) await report();
}
process.exit(); // clients of servers that have ended go on looking for them

/** The arguments. Ends the program if there is one that it does not know. */
function parsed(): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>> {
  try {
    return parseArgs({ options: OPTIONS });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return process.exit(2);
  }
}

/** The scenarios to be run. Throws for a name that none has. */
function wanted(): Scenario[] {
  if (values.only === undefined) return SCENARIOS.filter(({ name }) => !values.quick || !NOT_QUICK.has(name));
  return values.only.split(",").map((name) => {
    const scenario = SCENARIOS.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`There is no part "${name}". See --help.`);
    return scenario;
  });
}

async function run({ name, run: measure }: Scenario): Promise<void> {
  const at = new Date().toISOString();
  const [before = NaN] = loadavg();
  const began = clockMs();
  used.running.clear();
  const maxKeys = Math.max(10_000, Number(values["max-keys"]));
  const section = await measure({
    quick: values.quick,
    maxKeys,
    maxProcesses: Number(values["max-processes"]),
    say: (line) => console.error(`${name}: ${line}`),
  });
  const [after = NaN] = loadavg();
  console.log([markdownOf(section), ...section.goals.map(goalOf), ""].join("\n"));
  if (values.quick) return;
  await keep(name, {
    section,
    at,
    tookMs: clockMs() - began,
    load: [before, after],
    priority: getPriority(),
    servers: [...used.running],
    missing: [...used.missing],
  });
}

async function report(): Promise<void> {
  const results = await Promise.all(SCENARIOS.map(({ name }) => kept(name)));
  const missing = SCENARIOS.filter((_, index) => results[index] === undefined).map(({ name }) => name);
  await writeReport(
    results.filter((result) => result !== undefined),
    missing,
  );
}
