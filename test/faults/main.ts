/**
 * `npm run faults`: real processes on a real store, a nemesis, and a judge who reads the logs of all. The exit status is 1
 * where something promised did not hold.
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Note } from "./fleet.ts";
import { judge } from "../judge/judge.ts";
import { type NemesisLine, now, parseLines, type Run, toRun, type WorkerLine } from "./log.ts";
import { Nemesis, roundsIn } from "./nemesis.ts";
import { describe } from "./report.ts";
import { setStage } from "./stage.ts";

type Argument = "minutes" | "faults" | "processes" | "store" | "seed" | "period" | "durable" | "out" | "only";

const values = new Command("npm run faults --")
  .description("Real processes on a real store, real faults, and a judge who reads the logs of all.")
  .option("--minutes <minutes>", "how long it takes", "50")
  .option("--faults <count>", "in that time", "1000")
  .option("--processes <count>", "at a time", "50")
  .option(
    "--store <name>",
    "mongodb (the server that MONGODB_URI names, or one of its own) or sqlite",
    "mongodb",
  )
  .option("--seed <seed>", "of the faults", String(Math.floor(Math.random() * 1e9)))
  .option("--period <ms>", "of the presences", "5000")
  .option(
    "--durable <which>",
    "on MongoDB: with its journal (yes), without (no), or half of the time each",
    "both",
  )
  .option("--out <folder>", "for the logs", "node_modules/.cache/heartbit-faults-logs")
  .option("--only <pattern>", "the kinds of faults whose names this regular expression matches", "")
  .option("--judge <folder>", "runs nothing: judges the logs of a run again")
  .parse()
  .opts<Record<Argument, string> & { judge?: string }>();
/** So that what is dead is pruned several times in a run. */
const RETENTION_SLOTS = 60;
/** Fifty that start at one time are a fault of their own. */
const START_TOGETHER = 4;
const NEMESIS = "nemesis.jsonl";

if (values.judge === undefined) await runAll();
else tell(readRun(values.judge), values.judge);

async function runAll(): Promise<void> {
  if (values.store !== "mongodb" && values.store !== "sqlite")
    throw new Error("--store is mongodb or sqlite.");
  const modes =
    values.store === "sqlite" || values.durable !== "both" ? [values.durable !== "no"] : [true, false];
  for (const isDurable of modes) {
    const logs = join(
      values.out,
      values.store === "sqlite" ? "sqlite" : isDurable ? "durable" : "not-durable",
    );
    await runOne(isDurable, modes.length, logs);
    tell(readRun(logs), logs);
  }
}

async function runOne(isDurable: boolean, share: number, logs: string): Promise<void> {
  const periodMs = Number(values.period);
  const seed = Number(values.seed);
  mkdirSync(logs, { recursive: true });
  for (const name of readdirSync(logs).filter((one) => /\.(jsonl|wall)$/.test(one)))
    writeFileSync(join(logs, name), "");
  const file = join(logs, NEMESIS);
  writeFileSync(file, "");
  const note: Note = (line) => appendFileSync(file, `${JSON.stringify({ t: now(), ...line })}\n`);
  const early: Parameters<Note>[0][] = [];
  let write: Note = (line) => early.push(line);
  const scene = await setStage(
    {
      store: values.store as "mongodb" | "sqlite",
      isDurable,
      processes: Number(values.processes),
      periodMs,
      retentionSlots: RETENTION_SLOTS,
      seed,
      built: process.env["HEARTBIT_BUILT"] ?? "",
      logs,
    },
    (line) => write(line),
  );
  note({ e: "run", seed, periodMs, retentionSlots: RETENTION_SLOTS, server: scene.place });
  early.forEach(note);
  write = note;
  const rounds = Math.max(1, Math.round(roundsIn(Number(values.minutes), periodMs) / share));
  const faults = Math.ceil(Number(values.faults) / share);
  console.log(
    `seed ${seed}: ${scene.fleet.length} processes, a period of ${periodMs} ms, ${faults} faults in ${rounds} rounds, on ${scene.place}`,
  );
  try {
    for (const [index, member] of scene.fleet.entries()) {
      member.start();
      if (index % START_TOGETHER === 0) await member.ready;
    }
    await Promise.all(scene.fleet.map((member) => member.ready));
    const nemesis = new Nemesis(scene, note, new RegExp(values.only));
    await nemesis.run({ rounds, faults }, console.log);
    note({ e: "end" });
  } finally {
    await Promise.all(scene.fleet.map((member) => member.crash()));
    await scene.end();
  }
}

function readRun(folder: string): Run {
  const read = <Line>(name: string): Line[] => parseLines<Line>(readFileSync(join(folder, name), "utf8"));
  const workers = new Map<string, WorkerLine[]>();
  for (const name of readdirSync(folder)) {
    const { 1: life } = /^(p\d+\.\d+)\.jsonl$/.exec(name) ?? [];
    if (life !== undefined) workers.set(life, read<WorkerLine>(name));
  }
  return toRun(read<NemesisLine>(NEMESIS), workers);
}

function tell(run: Run, folder: string): void {
  const verdict = judge(run.log);
  const text = describe(run, verdict);
  writeFileSync(join(folder, "verdict.txt"), `${text}\n`);
  console.log(text);
  if (verdict.findings.length > 0) process.exitCode = 1;
}
