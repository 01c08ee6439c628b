/** The store in an LMDB file: a ping's transaction, and 64 processes on one directory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FORMAT_VERSION } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { openLmdb } from "../../src/stores/lmdb.ts";
import { ownCpuMs } from "../measure/cpu.ts";
import { type Quantiles, quantiles } from "../measure/quantiles.ts";
import { clockMs, tookMs, wait } from "../measure/time.ts";
import { type Section, show } from "../report/section.ts";
import { Worker } from "../workers/ask.ts";
import type { LmdbHold } from "../workers/lmdb.ts";
import type { Scenario } from "./scenario.ts";

const PING_MS = 0.3;
const PERIOD_MS = 5000;
const WATCHED_PERIODS = 3;

export const lmdb: Scenario = {
  name: "lmdb",
  async run({ quick, say }) {
    const directory = await mkdtemp(join(tmpdir(), "heartbit-bench-lmdb-"));
    say("pings");
    const alone = await pings(directory, quick ? 1000 : 5000);
    const processes = quick ? 8 : 64;
    say(`${processes} processes`);
    const target = `lmdb:${directory}`;
    const workers = Array.from({ length: processes }, () => new Worker<LmdbHold>("lmdb.js"));
    const began = clockMs();
    await Promise.all(
      workers.map((worker, index) => worker.ask({ target, key: `key-${index}`, periodMs: PERIOD_MS })),
    );
    const startedMs = clockMs() - began;
    const presence = await Presence.open(target, { periodMs: PERIOD_MS });
    let deaths = 0;
    const watcher = presence.watcher();
    watcher.watch({ all: true }, ({ alive }) => (deaths += alive ? 0 : 1));
    await watcher.sync();
    await wait(WATCHED_PERIODS * PERIOD_MS);
    const { keys } = await presence.list();
    const alive = keys.filter((key) => key.alive).length;
    const crowded = await pings(directory, quick ? 300 : 1000);
    await presence.close();
    await Promise.all(workers.map((worker) => worker.stop()));
    await rm(directory, { recursive: true, force: true });
    return report({ alone, crowded, processes, startedMs, alive, deaths });
  },
};

interface Pings {
  readonly ms: Quantiles;
  readonly cpuMs: number;
}

/** One transaction after the other, each of one ping. */
async function pings(directory: string, count: number): Promise<Pings> {
  const store = await openLmdb(directory);
  const namespace = store.namespace("pings");
  await namespace.configure({
    version: FORMAT_VERSION,
    periodMs: PERIOD_MS,
    offset: 0,
    retentionSlots: 120,
    base: 0,
  });
  const slot = Math.floor(Date.now() / PERIOD_MS);
  const times: number[] = [];
  const cpu = ownCpuMs();
  for (let seq = 1; seq <= count; seq++) times.push(await tookMs(() => namespace.ping(slot, [seq])));
  const cpuMs = (ownCpuMs() - cpu) / count;
  await namespace.close();
  await store.close();
  return { ms: quantiles(times), cpuMs };
}

interface Results {
  readonly alone: Pings;
  readonly crowded: Pings;
  readonly processes: number;
  readonly startedMs: number;
  readonly alive: number;
  readonly deaths: number;
}

function row(name: string, { ms, cpuMs }: Pings): string[] {
  return [name, show(ms.p50), show(ms.p99), show(ms.max), show(cpuMs)];
}

function report({ alone, crowded, processes, startedMs, alive, deaths }: Results): Section {
  return {
    title: "LMDB",
    about: `Pings of one process, one transaction after the other; and again while ${processes} processes (real ones) hold a key each on the same directory, with a period of ${PERIOD_MS / 1000} s. Those took ${show(startedMs / 1000)} s to start, all together. A watcher followed them for ${WATCHED_PERIODS} periods.`,
    tables: [
      {
        title: "A ping's transaction",
        columns: ["", "p50, ms", "p99, ms", "max, ms", "CPU, ms"],
        rows: [row("alone", alone), row(`beside ${processes} processes`, crowded)],
      },
    ],
    goals: [
      {
        id: "lmdb-ping",
        text: `a ping's transaction under ${PING_MS} ms, by the median`,
        figure: `${show(alone.ms.p50)} ms`,
        reached: alone.ms.p50 < PING_MS,
      },
      {
        id: "lmdb-processes",
        text: `${processes} processes on one directory, all seen alive, none told dead`,
        figure: `${alive} alive, ${deaths} told dead`,
        reached: alive === processes && deaths === 0,
      },
    ],
  };
}
