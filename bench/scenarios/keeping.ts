/** What it costs the server, in a period, to keep processes with their keys alive. */
import { socketsOf, peakMb, resetPeak } from "../measure/process.ts";
import { median, spreadOf } from "../measure/quantiles.ts";
import { wait } from "../measure/time.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { PEERS, type PeerName } from "../peers/index.ts";
import { forMany, spreadOver } from "../peers/many.ts";
import type { Fleet, FleetSize, Peer } from "../peers/peer.ts";
import { type Goal, show, type Section } from "../report/section.ts";
import { optionsFor, Servers } from "../servers/index.ts";
import type { BenchServer } from "../servers/server.ts";
import type { Effort, Scenario } from "./scenario.ts";

/** The same for all, before they are measured. */
const QUIET_PERIODS = 2;
/** heartbit counts its open records in every fourth period, so a round has as many. */
const PERIODS_OF_HEARTBIT = 4;
/** A round of the others: as many periods as make up this time, at least one. */
const ROUND_MS = 4000;
/** Rounds are repeated until they differ by less than this, */
const SPREAD_MAX = 0.1;
/** or until there are so many. */
const ROUNDS_MIN = 2;
const ROUNDS_MAX = 3;
const CHURN = 200;
const CHURN_AT_ONCE = 10;
const WATCHERS = 10;
const QUICK = { periodMs: 2000, processes: 20 };

/** With fewer processes than meant a period may be shorter. */
const SMALL = { periodMs: 5000 };

interface Size extends FleetSize {
  readonly periodMs: number;
  /** Also measures keys that come and go, and watchers. */
  readonly hasWatchers: boolean;
  readonly absent: Readonly<Partial<Record<PeerName, string>>>;
  /** Of those whose cost does not depend on how many keys a process has: with fewer keys each. */
  readonly keysEachOf: Readonly<Partial<Record<PeerName, number>>>;
}

interface Result {
  /** The server in a period, round by round, beyond what it costs to be there. */
  readonly rounds: readonly Cost[];
  readonly connections: number;
  readonly peakMb: number;
  /** Server CPU for a key that comes and goes, in ms. */
  readonly churnMs: number;
  /** Server CPU a period for each watcher, in ms. */
  readonly watcherMs: number;
}

type Results = ReadonlyMap<PeerName, Result>;

const NAMES: readonly PeerName[] = [
  "heartbit",
  "naive MongoDB",
  "2014 design",
  "Redis",
  "Redis, a key each",
  "etcd",
  "ZooKeeper",
];

const SIZES: readonly Size[] = [
  {
    processes: 100,
    keysEach: 100,
    periodMs: 2000,
    ownClients: true,
    hasWatchers: true,
    absent: {},
    keysEachOf: {},
  },
  {
    processes: 1000,
    keysEach: 1000,
    periodMs: 4000,
    ownClients: false,
    hasWatchers: false,
    absent: { "2014 design": "a million single updates a period" },
    keysEachOf: { etcd: 10, ZooKeeper: 10 },
  },
  {
    processes: 10_000,
    keysEach: 1,
    periodMs: 15_000,
    ownClients: false,
    hasWatchers: false,
    absent: {
      "2014 design": "a ping costs what the part above says",
      "Redis, a key each": "the same as Redis, with one key a process",
      ZooKeeper: "each session is a connection",
    },
    keysEachOf: {},
  },
];

/** A scenario for each size: the large ones take long. */
export const keeping: readonly Scenario[] = SIZES.map((size) => ({
  name: `keeping-${size.processes}`,
  run: async (effort) => {
    const servers = await Servers.start();
    try {
      const fits =
        size.processes <= effort.maxProcesses ? size : { ...size, ...SMALL, processes: effort.maxProcesses };
      const actual = effort.quick ? { ...size, ...QUICK } : fits;
      return report(actual, await measure(servers, actual, effort), servers);
    } finally {
      await servers.stop();
    }
  },
}));

async function measure(servers: Servers, size: Size, effort: Effort): Promise<Results> {
  const results = new Map<PeerName, Result>();
  const rest = new Map<BenchServer, Cost>();
  for (const name of NAMES) {
    const server = servers.of(name);
    if (server === undefined || size.absent[name] !== undefined) continue;
    effort.say(`${sizeInWords(size)}: ${name}`);
    if (!rest.has(server)) rest.set(server, await costOf(server.pid, () => wait(size.periodMs)));
    results.set(name, await measureOne(name, server, rest.get(server)!, size, effort));
  }
  return results;
}

async function measureOne(
  name: PeerName,
  server: BenchServer,
  rest: Cost,
  size: Size,
  effort: Effort,
): Promise<Result> {
  const { pid } = server;
  const peer = await PEERS[name](optionsFor(server, `${name}-${size.processes}`, size.periodMs));
  if (pid !== undefined) resetPeak(pid);
  const keysEach = size.keysEachOf[name] ?? size.keysEach;
  const fleet = await peer.fleet({ ...size, keysEach });
  await pass(fleet, size, QUIET_PERIODS);
  const rounds: Cost[] = [];
  const periods =
    name === "heartbit" ? PERIODS_OF_HEARTBIT : Math.max(1, Math.round(ROUND_MS / size.periodMs));
  const round = async (): Promise<Cost> => {
    const cost = perOne(await costOf(pid, () => pass(fleet, size, periods)), periods);
    return { ...cost, serverMs: Math.max(0, cost.serverMs - rest.serverMs) };
  };
  const isSettled = (): boolean =>
    rounds.length >= ROUNDS_MIN && spreadOf(rounds.map(({ serverMs }) => serverMs)) < SPREAD_MAX;
  while (!isSettled() && rounds.length < (effort.quick ? 1 : ROUNDS_MAX)) rounds.push(await round());
  const connections = pid === undefined ? NaN : socketsOf(pid);
  let [churnMs, watcherMs] = [NaN, NaN];
  if (size.hasWatchers) {
    churnMs = (await costOf(pid, () => churn(peer))).serverMs / CHURN;
    for (let watcher = 0; watcher < WATCHERS; watcher++) await peer.watch(() => {});
    await pass(fleet, size, QUIET_PERIODS);
    watcherMs = ((await round()).serverMs - median(rounds.map(({ serverMs }) => serverMs))) / WATCHERS;
  }
  const peak = pid === undefined ? NaN : peakMb(pid);
  await fleet.close();
  await peer.close();
  return { rounds, connections, peakMb: peak, churnMs, watcherMs };
}

/** Keys that come and go, beside the fleet. */
async function churn(peer: Peer): Promise<void> {
  await forMany(CHURN, CHURN_AT_ONCE, async (index) => (await peer.join(`churn-${index}`)).kill());
}

/** Keeps all alive for so many periods, each process at its own moment, unless they do so by themselves. */
async function pass({ ping }: Fleet, { processes, periodMs }: Size, periods: number): Promise<void> {
  if (ping === undefined) await wait(periods * periodMs);
  else for (let period = 0; period < periods; period++) await spreadOver(periodMs, processes, ping);
}

function costOfOne({ rounds }: Result): number {
  return median(rounds.map((round) => round.serverMs));
}

function report(size: Size, results: Results, servers: Servers): Section {
  const { missing } = servers.names;
  const absent = Object.entries(size.absent).map(([name, why]) => `${name} (${why})`);
  const heartbit = results.get("heartbit")!;
  const extra = size.hasWatchers
    ? ["a key that comes and goes, server CPU, ms", "a watcher, server CPU a period, ms"]
    : [];
  return {
    title: `Keeping alive, in a period: ${sizeInWords(size)}`,
    about: [
      `Simulated processes: each is a presence, a lease or a session of its own in one process. ${size.ownClients === true ? "Those of heartbit, naive MongoDB and Redis have a client of their own each, as real processes do, so the driver's monitoring of the server is counted." : "Those of heartbit, naive MongoDB and Redis share at most 100 connections: so many clients do not fit into one process."} heartbit and ZooKeeper ping when they want to, the others evenly over the period of ${size.periodMs / 1000} s. All were quiet for ${QUIET_PERIODS} periods before. Server CPU is a median of rounds, beyond what the server costs at rest. A round has ${PERIODS_OF_HEARTBIT} periods for heartbit, which counts its records in every fourth, and ${Math.max(1, Math.round(ROUND_MS / size.periodMs))} for the others. Rounds were repeated until they differed by less than ${SPREAD_MAX * 100} %, at most ${ROUNDS_MAX} times; the spread is that of all rounds.`,
      "naive MongoDB is a document a process, updated with the same write concern as heartbit's (majority). Redis is a key a process that expires, and a set of its keys; with a key each, every key expires by itself.",
      ...(size.hasWatchers
        ? [
            `Keys that come and go: ${CHURN}, ${CHURN_AT_ONCE} at a time, each for a moment. heartbit's are held by a process that is there already, etcd's and ZooKeeper's have a lease or a session of their own. Watchers: ${WATCHERS}, of all keys; with heartbit each is a process of its own that pings, too.`,
          ]
        : []),
      ...(size.processes * size.keysEach < 1_000_000
        ? []
        : [
            "Without heartbit's pruning, which happens some eight times in 120 periods. For it MongoDB uses an index and stops at a limit, but the stand-in goes through all keys, at some 4 µs of CPU each.",
          ]),
      ...(absent.length === 0 ? [] : [`Not run: ${absent.join("; ")}.`]),
      ...(missing.length === 0 ? [] : [`Not installed, so not run: ${missing.join(", ")}.`]),
    ].join("\n\n"),
    tables: [
      {
        title: sizeInWords(size),
        columns: [
          "",
          "server CPU a period, ms",
          "spread",
          "heartbit's part of it",
          "client CPU, ms",
          "sockets of the server",
          "its peak memory, MB",
          ...extra,
        ],
        rows: [...results].map(([name, result]) => [
          size.keysEachOf[name] === undefined ? name : `${name}, ${size.keysEachOf[name]} keys a process`,
          show(costOfOne(result)),
          `${show(100 * spreadOf(result.rounds.map((round) => round.serverMs)))} % of ${result.rounds.length}`,
          show(costOfOne(heartbit) / costOfOne(result)),
          show(median(result.rounds.map(({ clientMs }) => clientMs))),
          result.connections,
          show(result.peakMb),
          ...(size.hasWatchers ? [show(result.churnMs), show(result.watcherMs)] : []),
        ]),
      },
    ],
    goals: goalsOf(size, results),
  };
}

function sizeInWords({ processes, keysEach }: FleetSize): string {
  const keys = keysEach === 1 ? "one key" : `${keysEach.toLocaleString("en-US")} keys`;
  return `${processes.toLocaleString("en-US")} processes of ${keys}`;
}

function goalsOf(size: Size, results: Results): Goal[] {
  const against = (other: PeerName, most: number): Goal[] => {
    const [own, others] = [results.get("heartbit"), results.get(other)];
    if (own === undefined || others === undefined) return [];
    const ratio = costOfOne(own) / costOfOne(others);
    return [
      {
        id: `keeping-${size.keysEach}-keys-${other}`,
        text: `${sizeInWords(size)}: at most ${most} of the server CPU a period of ${other}`,
        figure: `${show(ratio)} of it`,
        reached: ratio <= most,
      },
    ];
  };
  if (size.keysEach === 100) return against("etcd", 1.1);
  if (size.keysEach === 1000) return [...against("Redis, a key each", 0.2), ...against("Redis", 0.2)];
  return against("naive MongoDB", 1.2);
}
