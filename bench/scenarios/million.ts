/** A watcher of up to a million keys: loading them, their memory, a quiet period, and 100,000 deaths at once. */
import { benchDatabase } from "../servers/database.ts";
import { storedIn } from "../measure/stored.ts";
import { median } from "../measure/quantiles.ts";
import { clockMs, wait } from "../measure/time.ts";
import { costOf } from "../measure/window.ts";
import { PortFleet } from "../peers/heartbit-port.ts";
import type { Series } from "../report/plot.ts";
import { type Goal, type Section, show } from "../report/section.ts";
import { optionsFor } from "../servers/index.ts";
import { startMongo } from "../servers/mongo.ts";
import type { BenchServer } from "../servers/server.ts";
import { Worker } from "../workers/ask.ts";
import type { IdleClient } from "../workers/idle-client.ts";
import type { Deaths, Loaded, Quiet, ToMillion } from "../workers/million.ts";
import type { Effort, Scenario } from "./scenario.ts";

const PERIOD_MS = 5000;
const QUICK_PERIOD_MS = 2000;
const KEYS_EACH = 1000;
/** What was written in the last two periods is read again by each poll: keys are loaded that have been there for longer. */
const SETTLED_AFTER_PERIODS = 3;
const QUIET_PERIODS = 5;
/** After a load all keys are looked at until their processes have pinged, and V8 tidies its heap. */
const QUIET_AFTER_PERIODS = 8;
/** Each time another tenth dies. The longest moment of one time says as much of the machine as of the watcher. */
const DEATHS_TIMES = 3;
const HEAP = ["--expose-gc", "--max-old-space-size=8192"];

const GOAL_KEYS = 1_000_000;
const LOAD_MS = 10_000;
const BYTES_A_KEY = 300;
/** Beyond what an idle client of the driver costs. */
const QUIET_CPU_MS = 10;
const BLOCK_MS = 20;

interface Result {
  readonly processes: number;
  readonly keys: number;
  /** How long the keys took to be written, in ms. */
  readonly writeMs: number;
  readonly storedBytes: number;
  readonly load: Loaded;
  readonly loadServerMs: number;
}

interface LastResult extends Result {
  readonly quiet: Quiet;
  /** The CPU that a client of the driver costs in a period that is connected and does nothing. */
  readonly idleMsAPeriod: number;
  readonly deaths: readonly Deaths[];
}

export const million: Scenario = {
  name: "million",
  async run(effort) {
    const server = await startMongo();
    try {
      const most = Math.min(effort.quick ? 100_000 : GOAL_KEYS, effort.maxKeys) / KEYS_EACH;
      const sizes = (effort.quick ? [10] : [1, 10, 100]).filter((processes) => processes < most);
      const results: Result[] = [];
      for (const processes of sizes) results.push(await measure(server, processes, effort));
      const last = await measure(server, most, effort, QUIET_PERIODS);
      return report([...results, last], last as LastResult, effort);
    } finally {
      await server.stop();
    }
  },
};

function periodOf(quick: boolean): number {
  return quick ? QUICK_PERIOD_MS : PERIOD_MS;
}

/** With so many quiet periods and then the deaths of a tenth; without, the loading alone. */
async function measure(
  server: BenchServer,
  processes: number,
  { quick, say }: Effort,
  quietPeriods?: number,
): Promise<Result | LastResult> {
  const keys = processes * KEYS_EACH;
  const periodMs = periodOf(quick);
  say(`writing ${keys} keys`);
  const options = optionsFor(server, `keys-${keys}`, periodMs);
  const began = clockMs();
  const fleet = await PortFleet.open(options, { processes, keysEach: KEYS_EACH });
  const writeMs = clockMs() - began;
  let living = fleet.seqs;
  const beat = setInterval(() => void fleet.pingAll(living).catch(() => {}), periodMs / 2);
  const worker = new Worker<ToMillion>("million.js", HEAP);
  try {
    say(`loading ${keys} keys`);
    const { bytes: storedBytes } = await storedIn(fleet.db);
    await wait(SETTLED_AFTER_PERIODS * periodMs);
    const uri = benchDatabase(server.uri ?? "", options.name);
    const target = { uri, name: options.name, periodMs };
    let load!: Loaded;
    const { serverMs } = await costOf(server.pid, async () => {
      load = await worker.ask<Loaded>({ kind: "load", target, keys });
    });
    const result = { processes, keys, writeMs, storedBytes, load, loadServerMs: serverMs };
    if (quietPeriods === undefined) return result;
    say("a quiet period");
    await wait(QUIET_AFTER_PERIODS * periodMs);
    const [quiet, idleMs] = await Promise.all([
      worker.ask<Quiet>({ kind: "quiet", periods: quietPeriods }),
      idleClientMs(uri, quietPeriods * periodMs),
    ]);
    const deaths: Deaths[] = [];
    for (let time = 1; time <= DEATHS_TIMES; time++) {
      say(`${keys / 10} deaths, ${time} of ${DEATHS_TIMES}`);
      living = fleet.seqs.slice((time * processes) / 10);
      deaths.push(await worker.ask<Deaths>({ kind: "deaths", count: keys / 10 }));
    }
    return { ...result, quiet, idleMsAPeriod: idleMs / quietPeriods, deaths };
  } finally {
    clearInterval(beat);
    await worker.stop();
    await fleet.close();
  }
}

/** What a client of the driver costs that does nothing for so long, in ms of CPU. */
async function idleClientMs(uri: string, ms: number): Promise<number> {
  const worker = new Worker<IdleClient>("idle-client.js");
  try {
    return await worker.ask<number>({ uri, ms });
  } finally {
    await worker.stop();
  }
}

function report(results: readonly Result[], last: LastResult, { quick }: Effort): Section {
  const { processes, load, quiet, idleMsAPeriod, deaths } = last;
  const ofDeaths = (what: (one: Deaths) => number): number => median(deaths.map(what));
  const goals: Goal[] = [
    goal("load", `loaded in under ${LOAD_MS / 1000} s`, load.ms / 1000, "s", LOAD_MS / 1000, last.keys),
    goal(
      "memory",
      `at most ${BYTES_A_KEY} bytes of memory a key`,
      load.bytesAKey,
      "bytes",
      BYTES_A_KEY,
      last.keys,
    ),
    goal(
      "quiet",
      `at most ${QUIET_CPU_MS} ms of CPU a quiet period beyond an idle client of the driver`,
      quiet.cpuMsAPeriod - idleMsAPeriod,
      "ms",
      QUIET_CPU_MS,
      last.keys,
    ),
    goal(
      "deaths",
      `the deaths of a tenth at once block the event loop for at most ${BLOCK_MS} ms`,
      ofDeaths(({ blockMs }) => blockMs),
      "ms",
      BLOCK_MS,
      last.keys,
    ),
  ];
  const series = (name: string, of: (result: Result) => number): Series => ({
    name,
    points: results.map((result) => ({ x: result.keys, y: of(result) })),
  });
  return {
    title: `A watcher of ${last.keys.toLocaleString("en-US")} keys, and how it grows`,
    about: `Processes of ${KEYS_EACH} keys each (${processes.toLocaleString("en-US")} at most), written and kept alive through the store's port. One watcher of all of them runs in a process of its own, through the public API, and measures itself. Memory a key is measured after a garbage collection; the peak is the greatest resident memory of the process. The longest block of the event loop is in elapsed time, so it includes other work of the machine. At the end a tenth of the processes stop pinging, ${DEATHS_TIMES} times. Figures are medians, except the blocks, which are all listed.${last.keys < GOAL_KEYS ? " The goals are meant for 1,000,000 keys: this run had fewer." : ""}`,
    tables: [
      {
        title: "Growth",
        columns: [
          "keys",
          "written in, s",
          "stored, bytes a key",
          "loaded in, s",
          "server CPU, s",
          "client CPU, s",
          "memory, bytes a key",
          "peak memory, MB",
        ],
        rows: results.map((one) => [
          one.keys.toLocaleString("en-US"),
          show(one.writeMs / 1000),
          show(one.storedBytes / one.keys),
          show(one.load.ms / 1000),
          show(one.loadServerMs / 1000),
          show(one.load.cpuMs / 1000),
          show(one.load.bytesAKey),
          show(one.load.peakMb),
        ]),
      },
      {
        title: `The watcher of ${last.keys.toLocaleString("en-US")} keys`,
        columns: ["", "ms", "its CPU, ms", "longest block, ms"],
        rows: [
          ["loading", show(load.ms), show(load.cpuMs), show(load.blockMs)],
          ["a quiet period", periodOf(quick), show(quiet.cpuMsAPeriod), show(quiet.blockMs)],
          ["a period of an idle client", periodOf(quick), show(idleMsAPeriod), ""],
          [
            `reporting ${(last.keys / 10).toLocaleString("en-US")} deaths`,
            show(ofDeaths(({ ms }) => ms)),
            show(ofDeaths(({ cpuMs }) => cpuMs)),
            deaths.map(({ blockMs }) => show(blockMs)).join(", "),
          ],
        ],
      },
    ],
    plots: [
      {
        name: "bench-keys-time",
        title: "Time by the number of keys",
        x: "keys",
        y: "s",
        series: [
          series("written", ({ writeMs }) => writeMs / 1000),
          series("loaded by a watcher", (one) => one.load.ms / 1000),
          series("loaded: client CPU", (one) => one.load.cpuMs / 1000),
        ],
      },
      {
        name: "bench-keys-size",
        title: "Size by the number of keys",
        x: "keys",
        y: "MB",
        series: [
          series("stored", ({ storedBytes }) => storedBytes / 1e6),
          series("memory of a watcher", ({ keys, load: { bytesAKey } }) => (keys * bytesAKey) / 1e6),
        ],
      },
    ],
    goals,
  };
}

/** Reached only with as many keys as it is meant for. */
function goal(id: string, text: string, figure: number, unit: string, most: number, keys: number): Goal {
  const few = keys < GOAL_KEYS ? `, with ${keys.toLocaleString("en-US")} keys` : "";
  return {
    id: `million-${id}`,
    text: `a watcher of ${GOAL_KEYS.toLocaleString("en-US")} keys: ${text}`,
    figure: `${show(figure)} ${unit}${few}`,
    reached: figure <= most && keys >= GOAL_KEYS,
  };
}
