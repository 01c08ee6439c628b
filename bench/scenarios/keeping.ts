/** What it costs the server, in a period, to keep processes with their keys alive. */
import { median } from "../measure/quantiles.ts";
import { wait } from "../measure/time.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { PEERS, type PeerName } from "../peers/index.ts";
import { spreadOver } from "../peers/many.ts";
import { openPings } from "../peers/heartbit-port.ts";
import type { Fleet, FleetSize, Peer, PeerOptions } from "../peers/peer.ts";
import { type Goal, show, type Section } from "../report/section.ts";
import { optionsFor, Servers } from "../servers/index.ts";
import type { Effort, Scenario } from "./scenario.ts";

/**
 * heartbit reads again what has changed in the last two periods. Before it is measured that is to be nothing: after a
 * million keys were written, so many periods later.
 */
const QUIET_PERIODS = 6;
const OTHERS_QUIET_PERIODS = 1;
/** At least a period, and about so long. */
const MEASURED_MS = 4000;
const QUICK_MS = 2000;
const MANY_KEYS = 1_000_000;
const QUICK = { periodMs: 1000, rounds: 1 };

const PINGS_ALONE = "heartbit, its pings alone";

type Name = PeerName | typeof PINGS_ALONE;

interface Size extends FleetSize {
  readonly periodMs: number;
  readonly rounds: number;
  /** Of those who do not take part, why. */
  readonly absent?: Readonly<Partial<Record<Name, string>>>;
  /** Of those whose cost does not depend on how many keys a process has: with fewer keys each. */
  readonly keysEachOf?: Readonly<Partial<Record<Name, number>>>;
}

interface Result {
  readonly size: Size;
  readonly costs: ReadonlyMap<Name, readonly PeriodCost[]>;
}

interface PeriodCost {
  /** The whole server in a period. */
  readonly busy: Cost;
  /** The same server in as much time with nobody to keep alive. */
  readonly idle: Cost;
}

const NAMES: readonly Name[] = [
  "heartbit",
  PINGS_ALONE,
  "naive MongoDB",
  "naive MongoDB, bulk",
  "2014 design",
  "Redis",
  "etcd",
  "ZooKeeper",
];

const SIZES: readonly Size[] = [
  { processes: 100, keysEach: 100, periodMs: 2000, rounds: 2 },
  {
    processes: 1000,
    keysEach: 1000,
    periodMs: 5000,
    rounds: 1,
    keysEachOf: { etcd: 10, ZooKeeper: 10 },
    absent: {
      "naive MongoDB": "a million single updates a period",
      "2014 design": "a million single updates a period",
    },
  },
  {
    processes: 10_000,
    keysEach: 1,
    periodMs: 20_000,
    rounds: 1,
    absent: { ZooKeeper: "each session is a connection" },
  },
];

/** A scenario for each size: the large ones take long. */
export const keeping: readonly Scenario[] = SIZES.map((size) => ({
  name: `keeping-${size.processes}`,
  run: async (effort) => {
    const servers = await Servers.start();
    try {
      const actual = effort.quick ? { ...size, ...QUICK } : size;
      return report(await measure(servers, actual, effort), servers);
    } finally {
      await servers.stop();
    }
  },
}));

async function measure(servers: Servers, size: Size, effort: Effort): Promise<Result> {
  const costs = new Map<Name, PeriodCost[]>();
  for (let round = 0; round < size.rounds; round++) {
    for (const name of NAMES) {
      if (servers.of(peerOf(name)) === undefined || size.absent?.[name] !== undefined) continue;
      effort.say(`${size.processes} processes of ${size.keysEach} keys, ${name}`);
      const cost = await costOfFleet(servers, name, round, size, effort.quick ? QUICK_MS : MEASURED_MS);
      costs.set(name, [...(costs.get(name) ?? []), cost]);
    }
  }
  return { size, costs };
}

async function costOfFleet(
  servers: Servers,
  name: Name,
  round: number,
  size: Size,
  measuredMs: number,
): Promise<PeriodCost> {
  const { periodMs, processes, keysEachOf = {} } = size;
  const server = servers.of(peerOf(name))!;
  const peer = await open(name, optionsFor(server, `${name}-${processes}-${round}`, periodMs));
  const periods = Math.max(1, Math.round(measuredMs / periodMs));
  const idle = perOne(await costOf(server.pid, () => wait(periods * periodMs)), periods);
  const fleet = await peer.fleet({ processes, keysEach: keysEachOf[name] ?? size.keysEach });
  await pass(fleet, size, name === "heartbit" ? QUIET_PERIODS : OTHERS_QUIET_PERIODS);
  const busy = perOne(await costOf(server.pid, () => pass(fleet, size, periods)), periods);
  await fleet.close();
  await peer.close();
  return { busy, idle };
}

function peerOf(name: Name): PeerName {
  return name === PINGS_ALONE ? "heartbit" : name;
}

async function open(name: Name, options: PeerOptions): Promise<Pick<Peer, "fleet" | "close">> {
  return name === PINGS_ALONE ? openPings(options) : PEERS[name](options);
}

/** Keeps all alive for so many periods, each process pinging at its own moment. */
async function pass({ ping }: Fleet, { processes, periodMs }: Size, periods: number): Promise<void> {
  if (ping === undefined) await wait(periods * periodMs);
  else for (let period = 0; period < periods; period++) await spreadOver(periodMs, processes, ping);
}

/** What the keeping alive itself costs the server: beyond what it costs to be there. */
function net({ busy, idle }: PeriodCost): number {
  return Math.max(0, busy.serverMs - idle.serverMs);
}

function report({ size, costs }: Result, servers: Servers): Section {
  const { missing } = servers.names;
  const absent = Object.entries(size.absent ?? {}).map(([name, why]) => `${name} (${why})`);
  return {
    title: `Keeping alive, in a period: ${sizeInWords(size)}`,
    about: [
      `Simulated processes: each is a presence, a lease or a session of its own within one process, and those of MongoDB and Redis share connections (at most 100). Each pings at a moment of its own in the period of ${size.periodMs / 1000} s. The table has the server's CPU time, ${size.rounds === 1 ? "in one round" : `median of ${size.rounds} rounds`}, for a period, and the part of it without anything to keep alive. The last column compares heartbit by the difference of the two.`,
      ...(size.processes * size.keysEach >= MANY_KEYS
        ? [
            "Without heartbit's pruning, which happens some eight times in 120 periods. For it MongoDB uses an index and stops at a limit, but the stand-in goes through all keys, at some 4 µs of CPU each.",
          ]
        : []),
      ...(size.keysEach === 1
        ? [
            "With one key for each process heartbit has nothing to save. It makes the same write as the others, and in each period it also reads whether another process killed its key, and occasionally its own records (2.4 commands in all, see above).",
          ]
        : []),
      ...(absent.length === 0 ? [] : [`Not run: ${absent.join("; ")}.`]),
      ...(missing.length === 0 ? [] : [`Not installed, so not run: ${missing.join(", ")}.`]),
    ].join("\n\n"),
    tables: [
      {
        title: sizeInWords(size),
        columns: [
          "",
          "server CPU a period, ms",
          "of that at rest, ms",
          "client CPU, ms",
          "heartbit's part of it",
        ],
        rows: [...costs].map(([name, all]) => [
          size.keysEachOf?.[name] === undefined ? name : `${name}, ${size.keysEachOf[name]} keys a process`,
          show(median(all.map(({ busy }) => busy.serverMs))),
          show(median(all.map(({ idle }) => idle.serverMs))),
          show(median(all.map(({ busy }) => busy.clientMs))),
          show(ratioOf(costs, "heartbit", name)),
        ]),
      },
    ],
    goals: goalsOf({ size, costs }),
  };
}

function sizeInWords({ processes, keysEach }: FleetSize): string {
  const keys = keysEach === 1 ? "one key" : `${keysEach.toLocaleString("en-US")} keys`;
  return `${processes.toLocaleString("en-US")} processes of ${keys}`;
}

/** The cost of one beside that of another. */
function ratioOf(costs: Result["costs"], name: Name, other: Name): number {
  const cost = (one: Name): number => median((costs.get(one) ?? []).map(net));
  return costs.has(name) && costs.has(other) ? cost(name) / cost(other) : NaN;
}

function goalsOf({ size, costs }: Result): Goal[] {
  const { processes } = size;
  const against = (other: PeerName, most: number, words: string): Goal[] => {
    if (!costs.has(other)) return [];
    const ratio = ratioOf(costs, "heartbit", other);
    const id = `keeping-${processes}-${other}`;
    const text = `${sizeInWords(size)}: ${words} ${other}`;
    return [{ id, text, figure: `${show(ratio)} of it`, reached: ratio <= most }];
  };
  if (processes === 100)
    return [
      ...against("Redis", 1, "no more server CPU a period than"),
      ...against("etcd", 1, "no more server CPU a period than"),
    ];
  if (processes === 1000) return against("Redis", 1 / 5, "at most a fifth of the server CPU a period of");
  return [];
}
