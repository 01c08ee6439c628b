/**
 * A newcomer's first hour: whatever one may do first with the package, done in empty folders from the packed tarball.
 * Prints a line for each thing: `ok`, `failed` with the reason, or `not here` where it cannot be had on this machine.
 *
 *     node scripts/first-hour.mjs [ONLY]      ONLY: a pattern for the groups, such as "types|testing"
 */
import { argv, env } from "node:process";
import { MongoClient } from "mongodb";
import { startServer, withDatabase } from "../../servers/index.ts";
import { pack } from "../pack.ts";
import { bundlers } from "./bundlers.checks.ts";
import { command } from "./command.checks.ts";
import { frameworks } from "./frameworks.checks.ts";
import { loggers } from "./loggers.checks.ts";
import { managers } from "./managers.checks.ts";
import { mongoose } from "./mongoose.checks.ts";
import { nest } from "./nest.checks.ts";
import { nextJs } from "./next.checks.ts";
import { nodes } from "./nodes.checks.ts";
import { Report } from "./report.ts";
import { runtimes } from "./runtimes.checks.ts";
import { testing } from "./testing.checks.ts";
import type { Group, Tools } from "./tools.ts";
import { types } from "./types.checks.ts";

/** The longest first, so that the end is not one that runs alone. */
const GROUPS: Readonly<Record<string, Group>> = {
  nextJs,
  nodes,
  managers,
  testing,
  nest,
  bundlers,
  types,
  frameworks,
  command,
  runtimes,
  mongoose,
  loggers,
};
/** How many groups run at a time. */
const AT_A_TIME = 2;

const began = performance.now();
const only = new RegExp(argv[2] ?? "");
const report = new Report();
const given = env["MONGODB_URI"] ?? "";
const server = given === "" ? await startServer({ say: (line) => console.error(line) }) : undefined;
const uri = server?.uri ?? given;
const prefix = `heartbit_first_hour_${process.pid}_`;
let databases = 0;
await using tarball = await pack(env["HEARTBIT_BUILT"] ?? "dist");
const tools: Tools = {
  report,
  tarball,
  newDatabase: () => withDatabase(uri, `${prefix}${databases++}`),
};
const size = Math.round(tarball.size / 1000);
console.log(
  `heartbit, ${size} kB packed; Node ${process.version}; MongoDB: ${server?.name ?? "that of MONGODB_URI"}`,
);

const waiting = Object.entries(GROUPS).filter(([name]) => only.test(name));
await Promise.all(
  Array.from({ length: AT_A_TIME }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, group] = next;
      // What a group cannot do without fails as a whole.
      const start = performance.now();
      await group(tools).catch((error: unknown) => report.try(name, () => Promise.reject(error)));
      console.error(`${name} took ${Math.round((performance.now() - start) / 1000)} s`);
    }
  }),
);
if (server === undefined) await dropDatabases();
await server?.stop();
console.log(`${Math.round((performance.now() - began) / 1000)} s`);
process.exitCode = report.end();

async function dropDatabases(): Promise<void> {
  const client = new MongoClient(uri);
  for (let count = 0; count < databases; count++) await client.db(`${prefix}${count}`).dropDatabase();
  await client.close();
}
