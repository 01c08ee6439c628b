/**
 * `npm run faults`: real processes on a real store, a nemesis, and a judge who reads the logs of all. The exit status
 * is 1 where something promised did not hold.
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { judge } from "../judge/judge.ts";
import type { Note } from "./fleet.ts";
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
  .option("--store <name>", "mongodb (the server of MONGODB_URI, or one of its own) or sqlite", "mongodb")
  .option("--seed <seed>", "of the faults", String(Math.floor(Math.random() * 1e9)))
  .option("--period <ms>", "of the presences", "5000")
  .option("--durable <which>", "MongoDB with its journal: yes, no, or both, half of the time each", "both")
  .option("--out <folder>", "for the logs", "node_modules/.cache/heartbit-faults-logs")
  .option("--only <pattern>", "the kinds of faults whose names this regular expression matches", "")
  .option("--kill <command>", "a shell command that kills the server of MONGODB_URI, or one of its members")
  .option("--restart <command>", "and one that starts it again, and returns")
  .option("--judge <folder>", "runs nothing: judges the logs of a run again")
  .parse()
  .opts<Record<Argument, string> & { judge?: string; kill?: string; restart?: string }>();
/** So that what is dead is pruned several times in a run. */
const RETENTION_SLOTS = 60;
/** Fifty that start at one time are a fault of their own. */
const START_TOGETHER = 4;
const NEMESIS = "nemesis.jsonl";
const { store, durable, out } = values;

if (values.judge !== undefined) tell(values.judge);
else if (store !== "mongodb" && store !== "sqlite") throw new Error("--store is mongodb or sqlite.");
else {
  const modes = store === "mongodb" && durable === "both" ? ["yes", "no"] : [durable];
  for (const mode of modes) await runOne(store, mode !== "no", modes.length);
}

/** `parts`: in how many such runs the time and the faults are divided. */
async function runOne(kind: "mongodb" | "sqlite", isDurable: boolean, parts: number): Promise<void> {
  const logs = join(out, kind === "sqlite" ? kind : isDurable ? "durable" : "not-durable");
  const settings = {
    store: kind,
    isDurable,
    processes: Number(values.processes),
    periodMs: Number(values.period),
    retentionSlots: RETENTION_SLOTS,
    seed: Number(values.seed),
    built: process.env["HEARTBIT_BUILT"] ?? "",
    logs,
    kill: values.kill,
    restart: values.restart,
  };
  const { periodMs, retentionSlots, seed } = settings;
  mkdirSync(logs, { recursive: true });
  for (const name of readdirSync(logs)) if (/\.(jsonl|wall)$/.test(name)) rmSync(join(logs, name));
  const note: Note = (line) =>
    appendFileSync(join(logs, NEMESIS), `${JSON.stringify({ t: now(), ...line })}\n`);
  const scene = await setStage(settings, note);
  const { fleet, place } = scene;
  note({ e: "run", seed, periodMs, retentionSlots, server: place });
  const rounds = Math.max(1, Math.round(roundsIn(Number(values.minutes), periodMs) / parts));
  const faults = Math.ceil(Number(values.faults) / parts);
  const size = `${fleet.length} processes, a period of ${periodMs} ms, ${faults} faults in ${rounds} rounds`;
  console.log(`seed ${seed}: ${size}, on ${place}`);
  try {
    for (const [index, member] of fleet.entries()) {
      member.start();
      if (index % START_TOGETHER === 0) await member.ready;
    }
    await Promise.all(fleet.map((member) => member.ready));
    await new Nemesis(scene, note, new RegExp(values.only)).run(rounds, faults, console.log);
    note({ e: "end" });
  } finally {
    await Promise.all(fleet.map((member) => member.crash()));
    await scene.end();
  }
  tell(logs);
}

/** Judges the logs of a run. */
function tell(folder: string): void {
  const run = readRun(folder);
  const verdict = judge(run.log);
  const text = describe(run, verdict);
  writeFileSync(join(folder, "verdict.txt"), `${text}\n`);
  console.log(text);
  if (verdict.findings.length > 0) process.exitCode = 1;
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
