import { randomBytes } from "node:crypto";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Presence } from "../presence/presence.ts";
import { measure, type Measurement } from "./bench/measure.ts";
import { planFor, type PlanQuery } from "./bench/plan.ts";
import { checkOptionsOf, type Cli, examples, type Runner } from "./cli.ts";
import { formatDuration } from "./duration.ts";
import { EXIT, UsageError } from "./errors.ts";
import { whileOpening } from "./open.ts";
import type { Output } from "./output.ts";
import { describeStore, type Settings } from "./settings.ts";
import { columns } from "./text.ts";

interface BenchFlags {
  readonly plan?: boolean;
  readonly processes: number;
  readonly servers: number;
}

/** The default period: short, because the measurement waits for crashes. */
const PERIOD_MS = 1000;
/** The default period of a plan: the default of the library. */
const PLAN_PERIOD_MS = 5000;

export function bench(program: Command, runner: Runner): void {
  const command = program
    .command("bench")
    .summary("measure the store")
    .description(
      "Measures the store from this machine: how long a ping and a join take, and how soon a watcher reports a join, a kill and a crash. Takes about 15 s with the default period of 1 s. Uses a namespace of its own, which it removes. With --plan it measures nothing and touches no store, but calculates what a fleet costs a replica set.",
    )
    .option("--plan", "calculate pings a second, and MB of oplog a day")
    .addOption(numberOption("--processes <number>", "for --plan: how many processes hold or watch keys", 100))
    .addOption(numberOption("--servers <number>", "for --plan: members of the replica set", 3))
    .addHelpText(
      "after",
      examples([
        ["heartbit bench --store mongodb://db/app", "a table in ms"],
        ["heartbit bench --plan --processes 1000 --period 5s", "200 pings a second, …"],
      ]),
    );
  runner.on(command, run);
}

function numberOption(flags: string, description: string, preset: number): Option {
  return new Option(flags, description).default(preset).argParser((text) => {
    if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
    throw new InvalidArgumentError("Write a number from 1 to 999999999.");
  });
}

async function run(cli: Cli, command: Command): Promise<number> {
  checkOptionsOf(command, ["processes", "servers"], "plan");
  const { plan, ...query } = command.opts<BenchFlags>();
  return plan === true ? printPlan(cli, query) : printMeasurements(cli);
}

async function printPlan(
  { out, settings }: Cli,
  query: Pick<PlanQuery, "processes" | "servers">,
): Promise<number> {
  const plan = planFor({ ...query, periodMs: settings.periodMs ?? PLAN_PERIOD_MS });
  if (out.json) {
    await out.object(plan);
    return EXIT.ok;
  }
  const [least, most] = plan.toldAfterMs;
  const rows = [
    ["pings a second", round(plan.pingsPerSecond)],
    ["oplog a day, each server", `${round(plan.oplogMbPerDay)} MB`],
    ["oplog a day, all servers", `${round(plan.oplogMbPerDayAll)} MB`],
    ["a crash is reported after", `${formatDuration(least)} to ${formatDuration(most)}`],
  ];
  for (const line of columns(rows)) await out.data(line);
  out.say("Calculated, not measured: joins, kills and reads come on top.");
  return EXIT.ok;
}

async function printMeasurements({ out, settings, interruption, own }: Cli): Promise<number> {
  const { signal } = interruption;
  const { store } = settings;
  if (store.startsWith("memory:")) {
    throw new UsageError("bench crashes processes, which share no memory: use sqlite: or mongodb:.");
  }
  const periodMs = settings.periodMs ?? PERIOD_MS;
  const name = `bench-${randomBytes(4).toString("hex")}`;
  out.say(`Measuring ${describeStore(store)}, with a period of ${formatDuration(periodMs)}.`);
  const measurements: Measurement[] = [];
  const open = (): Promise<Presence> =>
    whileOpening(signal, (opening) => Presence.open(store, { name, periodMs, signal: opening }));
  const holder = own(await open());
  let watcher: Presence | undefined;
  try {
    watcher = own(await open());
    const env = envFor({ store, name, periodMs });
    const progress = (text: string): void => out.progress(`${text} …`);
    for await (const one of measure({ holder, watcher, env, signal, progress })) measurements.push(one);
  } catch (error) {
    if (!signal.aborted) throw error; // the interruption ended what was under way
  } finally {
    out.progress(undefined);
    await watcher?.close(); // otherwise it would ping a dropped namespace
    await holder.drop();
  }
  if (out.json) await out.object({ store: describeStore(store), periodMs, measurements });
  else await print(measurements, out);
  return EXIT.ok;
}

/** Passed in the environment, because others can see the arguments of a process, and a store may have a password. */
function envFor({ store, name, periodMs }: Settings): NodeJS.ProcessEnv {
  const period = `${periodMs}ms`;
  return { ...process.env, HEARTBIT_STORE: store, HEARTBIT_NAME: name, HEARTBIT_PERIOD: period };
}

async function print(measurements: readonly Measurement[], out: Output): Promise<void> {
  const heading = ["WHAT", "COUNT", "MEDIAN", "99 %", "MOST", "A SECOND"];
  const rows = measurements.map(({ what, count, medianMs, p99Ms, maxMs, perSecond }) => [
    what,
    String(count),
    ...[medianMs, p99Ms, maxMs].map((ms) => `${round(ms)} ms`),
    perSecond === undefined ? "" : round(perSecond),
  ]);
  for (const line of columns([heading, ...rows], new Set([1, 2, 3, 4, 5]))) await out.data(line);
}

/** Rounds to three digits. */
function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}
