/** The report: docs/benchmarks.md and its plots, of the latest results. */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { goalOf, markdownOf, wrapped } from "./markdown.ts";
import { svgOf } from "./plot.ts";
import type { Result } from "./results.ts";
import { show } from "./section.ts";

/** Seen from bench/dist/bench/report. */
const DOCS = fileURLToPath(new URL("../../../../docs/", import.meta.url));

/** `notRun`: the parts of which there is no result. */
export async function writeReport(results: readonly Result[], notRun: readonly string[]): Promise<void> {
  const plots = join(DOCS, "plots");
  await mkdir(plots, { recursive: true });
  for (const name of await readdir(plots)) if (/^bench-.*\.svg$/.test(name)) await rm(join(plots, name));
  for (const { section } of results) {
    for (const plot of section.plots ?? []) await writeFile(join(plots, `${plot.name}.svg`), svgOf(plot));
  }
  await writeFile(join(DOCS, "benchmarks.md"), documentOf(results, notRun));
}

/** What was measured once on a real server, which is not at hand everywhere. */
const REAL = `## A real MongoDB

Measured once, on 29 November 2026, on \`mongod\` 4.4.6 (built from its source), driver 7.9.0, two cores shared with other work. The rows about heartbit are of format version 1, which sent two to three commands a period where this version sends one. [measurements.md](measurements.md#a-real-mongodb) has all of them.

| what | topology | result |
| --- | --- | --- |
| a ping of this version (\`findAndModify\`, majority), server CPU | one member | 605 to 615 µs; a naive \`lastSeen\` at majority 470 to 700 µs |
| the same, CPU of the primary and both secondaries, evenly spread at 100 a second | three members | 2.7 + 4.5 ms; naive 2.4 + 4.1 ms |
| the same, fifty at the same moment, as presences ping | three members | 0.41 + 0.28 ms; naive 0.37 + 0.31 ms |
| a join reported, median | one member | heartbit 5.1 ms, raw change stream 4.0, etcd 7.6, ZooKeeper 9.8, Redis keyspace events 0.8 ms |
| 100 processes of 100 keys, server CPU a period, version 1 | one member | heartbit 137 ms, Redis with a key each 40, etcd 85, ZooKeeper 103 |
| 10,000 keys started at once, version 1 | one member | 1.1 s; 100,000 keys about 11 s |`;

function isStandIn(servers: ReadonlySet<string>): boolean {
  return [...servers].some((name) => name.startsWith("secantusd"));
}

function documentOf(results: readonly Result[], notRun: readonly string[]): string {
  const servers = new Set(results.flatMap((result) => result.servers));
  const missing = new Set(results.flatMap((result) => result.missing));
  const goals = results.flatMap(({ section }) => section.goals);
  const unreached = goals.filter(({ reached }) => !reached);
  const machine = `${availableParallelism()} processors (${cpus()[0]?.model ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB of memory, ${process.platform}`;
  return [
    "# Benchmarks",
    `Measured on ${[...servers].join(", ")}.${isStandIn(servers) ? " secantusd is a stand-in that speaks MongoDB's protocol, not MongoDB itself." : ""} [Figures of a real MongoDB](#a-real-mongodb) are below.`,
    "What heartbit costs beside its alternatives. Each part measures all of them side by side, in one run. **Ratios are what counts**: the absolute figures are those of the machine below, with whatever else it did at the time, as the last line of each part says: a load average far above 1 means that others used its processors, which raises CPU times, too. The benchmarks write this file themselves:",
    "```sh\nbench/servers.sh install      # as root: Redis, etcd, ZooKeeper, from Debian's packages\nnpm run bench                 # all parts, and writes this file\nnpm run bench -- --quick      # in less than three minutes, for a first look; writes nothing\nnpm run bench -- --only told  # one part, and writes this file again\nMONGODB_URI=mongodb://… npm run bench\n```",
    `Machine: ${machine}; Node ${process.version}.${missing.size === 0 ? "" : ` Not installed, so missing: ${[...missing].join(", ")}.`}`,
    "CPU time is what the server's process has used according to `/proc`, not elapsed time. Peers take turns in each round, except in keeping alive, where each has its rounds in turn. The folder `bench/peers` of the repository has one file for each peer.",
    ...(notRun.length === 0 ? [] : [`Parts that were not run for this report: ${notRun.join(", ")}.`]),
    "## Goals",
    `${goals.length - unreached.length} of ${goals.length} are reached.`,
    goals.map(goalOf).join("\n"),
    REAL,
    ...results.map(({ section, at, load, tookMs, priority }) => {
      const [before, after] = load.map(show);
      const when = `${at.slice(0, 16).replace("T", " ")} UTC, in ${Math.ceil(tookMs / 1000)} s; load average ${before} before, ${after} after${priority === 0 ? "" : `; at priority ${priority}`}.`;
      return `${markdownOf(section)}\n*Run ${when}*\n`;
    }),
  ]
    .map(wrapped)
    .join("\n\n");
}
