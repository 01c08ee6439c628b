/**
 * `npm run soak -- --minutes 60 --period 100`: processes that make every use of heartbit over and over, some crashed
 * and started again all the time, on a server of their own. Samples what each holds and what is stored, fits lines,
 * draws plots, and fails where something grows.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Filter, MongoClient } from "mongodb";
import { startServer, withDatabase } from "../../servers/index.ts";
import { report } from "./report.ts";
import { DEAD, longestDead, type Sample, type StoredRecord } from "./samples.ts";

const SCRIPT = fileURLToPath(new URL("worker.js", import.meta.url));
const NAMESPACE = "soak";
const SAMPLE_MS = 10_000;
const CRASH_MS = 10_000;

const options = new Command("npm run soak --")
  .description("Makes every use of heartbit over and over, and says what grows.")
  .option("--minutes <minutes>", "how long", "60")
  .option("--period <ms>", "of the presences", "100")
  .option("--out <folder>", "for the samples", "node_modules/.cache/heartbit-soak-logs")
  .parse()
  .opts<Record<"minutes" | "period" | "out", string>>();
const minutes = Number(options.minutes);
const periodMs = Number(options.period);
mkdirSync(options.out, { recursive: true });
const samplesFile = join(options.out, "samples.jsonl");
writeFileSync(samplesFile, "");

const given = process.env["MONGODB_URI"] ?? "";
const server = given === "" ? await startServer({ say: console.log }) : undefined;
const target = withDatabase(server?.uri ?? given, `heartbit_soak_${process.pid}`);
const warnings: string[] = [];

interface Worker {
  readonly process: ChildProcess;
  counts: Record<string, number>;
}

function start(name: string): Worker {
  const args = [target, JSON.stringify({ name: NAMESPACE, periodMs }), name];
  const execArgv = ["--expose-gc", "--trace-warnings", "--max-old-space-size=256"];
  const worker: Worker = { process: fork(SCRIPT, args, { execArgv }), counts: {} };
  worker.process.on("message", ({ warning }: { warning?: string }) => {
    if (warning !== undefined) warnings.push(`${name}: ${warning}`);
  });
  return worker;
}

async function weigh(worker: Worker): Promise<Sample["values"]> {
  if (worker.process.exitCode !== null) throw new Error(`${worker.process.spawnargs.at(-1)} has ended.`);
  const answered = once(worker.process, "message");
  worker.process.send("sample");
  const [{ values, counts }] = (await answered) as [{ values?: Sample["values"]; counts: Worker["counts"] }];
  if (values === undefined) return weigh(worker); // it was a warning
  worker.counts = counts;
  return values;
}

const client = new MongoClient(target);
const { version } = await client.db("admin").command({ buildInfo: 1 });
const place = `${server?.name ?? "the server of MONGODB_URI"} (as MongoDB ${version}), Node ${process.version}`;
console.log(`${minutes} min at a period of ${periodMs} ms on ${place}`);

const began = performance.now();
const lasting = ["steady-1", "steady-2"].map(start);
const mortal = ["mortal-1", "mortal-2"].map(start);
let crashes = 0;
const crashing = setInterval(() => {
  const index = crashes++ % mortal.length;
  mortal[index]?.process.kill("SIGKILL");
  mortal[index] = start(`mortal-${index + 1}`);
}, CRASH_MS);

const db = client.db();
/** Of the sessions, or of the registrations: see docs/format.md. */
function stored(which: Filter<StoredRecord>): Promise<StoredRecord[]> {
  return db.collection<StoredRecord>(`${NAMESPACE}.records`).find(which).toArray();
}

const samples: Sample[] = [];
try {
  while (performance.now() - began < minutes * 60_000) {
    await after(SAMPLE_MS);
    const held = await Promise.all(lasting.map(weigh));
    const slots = await db.collection(`${NAMESPACE}.pings`).distinct("slot");
    const sessions = await stored({ opened: { $exists: true } }); // first: registrations are gone before their sessions
    const registrations = await stored({ pinger: { $exists: true } });
    const sample: Sample = {
      minute: (performance.now() - began) / 60_000,
      values: {
        ...held[0],
        ...held[1],
        "stored sessions": sessions.length,
        "stored registrations": registrations.length,
        "stored pings, slots": slots.length,
        [DEAD]: longestDead(sessions, registrations, Math.max(...slots)),
      },
    };
    samples.push(sample);
    appendFileSync(samplesFile, `${JSON.stringify(sample)}\n`);
  }
} finally {
  clearInterval(crashing);
  for (const { process: worker } of [...lasting, ...mortal]) worker.kill("SIGKILL");
  await db.dropDatabase();
  await client.close();
  await server?.stop();
}
const totals: Record<string, number> = { crashes };
for (const { counts } of lasting) {
  for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
}
const facts = { place, minutes, periodMs, totals, warnings: [...new Set(warnings)] };
if (!report(options.out, samples, facts)) process.exitCode = 1;
