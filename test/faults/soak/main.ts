/**
 * `npm run soak -- --minutes 60 --period 100`: processes that make every use of heartbit over and over, some crashed
 * and started again all the time, on a server of their own. Samples what each holds and what is stored, fits lines, draws
 * plots, and fails where something grows.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Document, MongoClient, type WithId } from "mongodb";
import { startServer, withDatabase } from "../../servers/index.ts";
import { report } from "./report.ts";
import {
  type Held,
  longestDead,
  type Sample,
  type StoredRegistration,
  type StoredSession,
} from "./samples.ts";

const SCRIPT = fileURLToPath(new URL("worker.js", import.meta.url));
const NAMESPACE = "soak";
const SAMPLE_MS = 10_000;
const CRASH_MS = 10_000;

const values = new Command("npm run soak --")
  .description("Makes every use of heartbit over and over, and says what grows.")
  .option("--minutes <minutes>", "how long", "60")
  .option("--period <ms>", "of the presences", "100")
  .option("--out <folder>", "for the samples", "node_modules/.cache/heartbit-soak-logs")
  .parse()
  .opts<Record<"minutes" | "period" | "out", string>>();
const minutes = Number(values.minutes);
const periodMs = Number(values.period);
mkdirSync(values.out, { recursive: true });
const samplesFile = join(values.out, "samples.jsonl");
writeFileSync(samplesFile, "");

const given = process.env["MONGODB_URI"];
const server = given === undefined || given === "" ? await startServer({ say: console.log }) : undefined;
const target = withDatabase(server?.uri ?? given ?? "", `heartbit_soak_${process.pid}`);
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

async function weigh(worker: Worker): Promise<Held> {
  const answered = once(worker.process, "message");
  worker.process.send("sample");
  const [{ held, counts }] = (await answered) as [{ held?: Held; counts: Record<string, number> }];
  if (held === undefined) return weigh(worker); // it was a warning
  worker.counts = counts;
  return held;
}

const client = new MongoClient(target);
const { version } = await client.db("admin").command({ buildInfo: 1 });
const place = `${server?.name ?? "the server of MONGODB_URI"} (as MongoDB ${version}), Node ${process.version}`;
console.log(`${minutes} min at a period of ${periodMs} ms on ${place}`);

const began = performance.now();
const lasting = new Map(["steady-1", "steady-2"].map((name) => [name, start(name)]));
const mortal = ["mortal-1", "mortal-2"].map(start);
let crashes = 0;
const crashing = setInterval(() => {
  const index = crashes++ % mortal.length;
  mortal[index]?.process.kill("SIGKILL");
  mortal[index] = start(`mortal-${index + 1}`);
}, CRASH_MS);

const samples: Sample[] = [];
try {
  while (performance.now() - began < minutes * 60_000) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const held = await Promise.all(
      Array.from(lasting, async ([name, worker]) => {
        if (worker.process.exitCode !== null) throw new Error(`${name} has ended.`);
        return [name, await weigh(worker)] as const;
      }),
    );
    const all = <Stored extends Document>(kind: string): Promise<WithId<Stored>[]> =>
      client.db().collection<Stored>(`${NAMESPACE}.${kind}`).find().toArray();
    const slots = await client.db().collection(`${NAMESPACE}.pings`).distinct("slot");
    const sessions = await all<StoredSession>("sessions"); // before the registrations: these are gone before their sessions
    const registrations = await all<StoredRegistration>("registrations");
    const sample: Sample = {
      minute: (performance.now() - began) / 60_000,
      processes: Object.fromEntries(held),
      stored: {
        sessions: sessions.length,
        registrations: registrations.length,
        slots: slots.length,
        longestDead: longestDead(sessions, registrations, Math.max(...slots)),
      },
    };
    samples.push(sample);
    appendFileSync(samplesFile, `${JSON.stringify(sample)}\n`);
  }
} finally {
  clearInterval(crashing);
  for (const { process: worker } of [...lasting.values(), ...mortal]) worker.kill("SIGKILL");
  await client.db().dropDatabase();
  await client.close();
  await server?.stop();
}
const totals: Record<string, number> = { crashes };
for (const { counts } of lasting.values()) {
  for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
}
const facts = { place, minutes, periodMs, totals, warnings: [...new Set(warnings)] };
if (!report(values.out, samples, facts)) process.exitCode = 1;
