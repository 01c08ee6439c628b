/** The store in a SQLite file: a ping's transaction, and 64 processes on one directory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Presence } from "../../src/index.ts";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import { ownCpuMs } from "../measure/cpu.ts";
import { type Quantiles, quantiles } from "../measure/quantiles.ts";
import { clockMs, tookMs, until, wait } from "../measure/time.ts";
import { type Section, show } from "../report/section.ts";
import { setUp } from "../peers/heartbit-port.ts";
import { Worker } from "../workers/ask.ts";
import type { SqliteHold, SqliteJoin } from "../workers/sqlite.ts";
import type { Scenario } from "./scenario.ts";

const PING_MS = 0.06;
const JOIN_P50_MS = 2;
const JOIN_P99_MS = 10;
const START_MS = 8000;
const PERIOD_MS = 5000;
const WATCHED_PERIODS = 3;

export const sqlite: Scenario = {
  name: "sqlite",
  async run({ quick, say }) {
    const directory = await mkdtemp(join(tmpdir(), "heartbit-bench-sqlite-"));
    const processes = quick ? 8 : 64;
    say(`${processes} processes`);
    const target = `sqlite:${directory}`;
    const workers = Array.from({ length: processes }, () => new Worker<SqliteHold | SqliteJoin>("sqlite.js"));
    const began = clockMs();
    await Promise.all(
      workers.map((worker, index) => worker.ask({ target, key: `key-${index}`, periodMs: PERIOD_MS })),
    );
    const startedMs = clockMs() - began;
    say("joins");
    const presence = await Presence.open(target, { periodMs: PERIOD_MS });
    const joins = await joinsOf(presence, workers[0], quick ? 50 : 500);
    let deaths = 0;
    const watcher = presence.watcher();
    watcher.watch({ all: true }, ({ alive }) => (deaths += alive ? 0 : 1));
    await watcher.sync();
    await wait(WATCHED_PERIODS * PERIOD_MS);
    const { keys } = await presence.list();
    const alive = keys.filter(({ key, alive: isAlive }) => isAlive && key.startsWith("key-")).length;
    const crowded = await pings(directory, quick ? 300 : 1000);
    await presence.close();
    await Promise.all(workers.map((worker) => worker.stop()));
    say("pings alone");
    const alone = await pings(directory, quick ? 1000 : 5000);
    await rm(directory, { recursive: true, force: true });
    return report({ alone, crowded, joins, processes, startedMs, alive, deaths });
  },
};

/** How long after the call of `start` in another process a watcher here is told, in ms; one after the other. */
async function joinsOf(
  presence: Presence,
  worker: Worker<SqliteHold | SqliteJoin> | undefined,
  count: number,
): Promise<Quantiles> {
  const told = new Map<string, number>();
  const watcher = presence.watcher();
  watcher.watch({ prefix: "join-" }, ({ key }) => void told.set(key, clockMs()));
  await watcher.sync();
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const key = `join-${index}`;
    const began = (await worker?.ask<number>({ join: key })) ?? Number.NaN;
    await until(() => told.has(key), key);
    times.push((told.get(key) ?? Number.NaN) - began);
  }
  await watcher.stop();
  return quantiles(times);
}

interface Pings {
  readonly ms: Quantiles;
  readonly cpuMs: number;
}

/** One transaction after the other, each of one ping. */
async function pings(directory: string, count: number): Promise<Pings> {
  const store = await openSqlite(directory);
  const namespace = await setUp(store, "pings", PERIOD_MS);
  const slot = Math.floor(Date.now() / PERIOD_MS);
  const times: number[] = [];
  const cpu = ownCpuMs();
  for (let seq = 1; seq <= count; seq++) times.push(await tookMs(() => namespace.ping(slot, seq)));
  const cpuMs = (ownCpuMs() - cpu) / count;
  await namespace.close();
  await store.close();
  return { ms: quantiles(times), cpuMs };
}

interface Results {
  readonly joins: Quantiles;
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

function report({ alone, crowded, joins, processes, startedMs, alive, deaths }: Results): Section {
  return {
    title: "SQLite",
    about: `Pings of one process, one transaction after the other; and again while ${processes} processes (real ones) hold a key each on the same directory, with a period of ${PERIOD_MS / 1000} s. The processes took ${show(startedMs / 1000)} s to start, all together. A watcher followed them for ${WATCHED_PERIODS} periods.`,
    tables: [
      {
        title: "A ping's transaction",
        columns: ["", "p50, ms", "p99, ms", "max, ms", "CPU, ms"],
        rows: [row("alone", alone), row(`beside ${processes} processes`, crowded)],
      },
      {
        title: "A join, from the call of `start` in one process to the watcher of another",
        columns: ["joins", "p50, ms", "p99, ms", "max, ms"],
        rows: [[show(joins.count), show(joins.p50), show(joins.p99), show(joins.max)]],
      },
    ],
    goals: [
      {
        id: "sqlite-ping",
        text: `a ping's transaction under ${PING_MS} ms, by the median`,
        figure: `${show(alone.ms.p50)} ms`,
        reached: alone.ms.p50 < PING_MS,
      },
      {
        id: "sqlite-joins",
        text: `a join is reported to another process within ${JOIN_P50_MS} ms by the median, ${JOIN_P99_MS} ms at the 99th percentile`,
        figure: `${show(joins.p50)} and ${show(joins.p99)} ms`,
        reached: joins.p50 <= JOIN_P50_MS && joins.p99 <= JOIN_P99_MS,
      },
      {
        id: "sqlite-starts",
        text: `${processes} processes on a new directory have all started in ${START_MS / 1000} s`,
        figure: `${show(startedMs / 1000)} s`,
        reached: startedMs < START_MS,
      },
      {
        id: "sqlite-processes",
        text: `${processes} processes on one directory, all seen alive, none reported dead`,
        figure: `${alive} alive, ${deaths} reported dead`,
        reached: alive === processes && deaths === 0,
      },
    ],
  };
}
