/** Reading which keys are alive, of many processes with a key each: as one who has just come, and then in each period. */
import { CountingProxy } from "../measure/proxy.ts";
import { wait } from "../measure/time.ts";
import { median } from "../measure/quantiles.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { openDesign2014 } from "../peers/design2014.ts";
import { PortFleet } from "../peers/heartbit-port.ts";
import { PortReader } from "../peers/heartbit-reader.ts";
import { openNaive } from "../peers/naive.ts";
import type { PeerOptions } from "../peers/peer.ts";
import { type Goal, show, type Section, type Table } from "../report/section.ts";
import type { BenchServer } from "../servers/server.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Effort, Scenario } from "./scenario.ts";

/** Long, so that what a peer wrote once stays alive for the whole measurement. */
const PERIOD_MS = 3_600_000;
/** heartbit's: it reads what has changed in the last two periods, which is to be nothing. */
const OWN_PERIOD_MS = 5000;
const QUIET_MS = 2.5 * OWN_PERIOD_MS;
/** What was pinged for a read is read in the same slot. */
const ONE_READ_MS = 2500;
/** heartbit reads what has changed in every other period. */
const PERIODS_TOGETHER = 2;
const BYTES_GOAL = 100;
const TIME_GOAL = 20;

/** One who reads. */
interface Reader {
  start(): Promise<number>;
  period(): Promise<number>;
  close(): Promise<void>;
}

interface Contender {
  readonly name: string;
  /** With more processes it takes part of nothing: a read takes 20 s. */
  readonly most?: number;
  /** Makes the processes. */
  readonly fill: (options: PeerOptions, processes: number) => Promise<Filled>;
  readonly read: (options: PeerOptions) => Promise<Reader>;
}

interface Filled {
  /** Says that all are alive, before they are read. */
  keepAlive(): Promise<void>;
  close(): Promise<void>;
}

/** What reading has cost one contender. */
interface Result {
  readonly name: string;
  readonly start: Reading;
  readonly period: Reading;
}

interface Reading {
  readonly costs: Cost[];
  bytes: number;
}

const CONTENDERS: readonly Contender[] = [
  {
    name: "heartbit",
    fill: async (options, processes) => {
      const fleet = await PortFleet.open({ ...options, periodMs: OWN_PERIOD_MS }, { processes, keysEach: 1 });
      const keepAlive = async (): Promise<void> => {
        await fleet.withinSlot(ONE_READ_MS);
        await fleet.pingAll();
      };
      return { keepAlive, close: () => fleet.close() };
    },
    read: (options) => PortReader.open({ ...options, periodMs: OWN_PERIOD_MS }),
  },
  contender("naive MongoDB", openNaive),
  { ...contender("2014 design", openDesign2014), most: 10_000 },
];

function nothing(): Reading {
  return { costs: [], bytes: 0 };
}

function contender(name: string, open: (options: PeerOptions) => ReturnType<typeof openNaive>): Contender {
  return {
    name,
    fill: async (options, processes) => {
      const peer = await open(options);
      await peer.fleet({ processes, keysEach: 1 });
      return { keepAlive: () => Promise.resolve(), close: () => peer.close() };
    },
    read: async (options) => {
      const peer = await open(options);
      return { start: () => peer.who(), period: () => peer.whoAgain(), close: () => peer.close() };
    },
  };
}

export const reading: Scenario = {
  name: "reading",
  async run(effort) {
    const sizes = (effort.quick ? [10_000] : [1000, 10_000, 100_000]).filter(
      (size) => size <= effort.maxKeys,
    );
    const results = new Map<number, readonly Result[]>();
    for (const processes of sizes) results.set(processes, await measure(effort, processes));
    return report(results, effort);
  },
};

function rounds({ quick }: Effort): number {
  return quick ? 3 : 5;
}

async function measure(effort: Effort, processes: number): Promise<Result[]> {
  const server = await startMongo();
  const results: (Result & { readonly reader: Reader; readonly filled: Filled })[] = [];
  const contenders = CONTENDERS.filter(({ most = Infinity }) => processes <= most);
  for (const { name, fill, read } of contenders) {
    effort.say(`${processes} processes, ${name}`);
    const options = optionsFor(server, name);
    const filled = await fill(options, processes);
    results.push({ name, start: nothing(), period: nothing(), reader: await read(options), filled });
  }
  effort.say("waiting until nothing has changed for two periods");
  await wait(QUIET_MS);
  for (let round = 0; round < rounds(effort); round++) {
    for (const { start, period, reader, name, filled } of results) {
      await filled.keepAlive();
      start.costs.push(await costOf(server.pid, () => checked(reader.start(), processes, name)));
      await filled.keepAlive();
      const cost = await costOf(server.pid, () => periods(reader, processes, name));
      period.costs.push(perOne(cost, PERIODS_TOGETHER));
    }
  }
  for (const [index, result] of results.entries()) {
    const proxy = await CountingProxy.start(server.address);
    const uri = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
    const reader = await contenders[index]!.read({ ...optionsFor(server, result.name), uri });
    await result.filled.keepAlive();
    result.start.bytes = await proxy.during(() => reader.start());
    await result.filled.keepAlive();
    const bytes = await proxy.during(() => periods(reader, processes, result.name));
    result.period.bytes = Math.round(bytes / PERIODS_TOGETHER);
    await reader.close();
    await proxy.stop();
  }
  for (const { reader, filled } of results) {
    await reader.close();
    await filled.close();
  }
  await server.stop();
  return results;
}

function optionsFor({ address, uri = "" }: BenchServer, name: string): PeerOptions {
  return { address, uri, name: name.replaceAll(" ", "-"), periodMs: PERIOD_MS };
}

async function periods(reader: Reader, processes: number, name: string): Promise<void> {
  for (let period = 0; period < PERIODS_TOGETHER; period++) await checked(reader.period(), processes, name);
}

/** A reader that does not find all is measured for nothing. */
async function checked(found: Promise<number>, processes: number, name: string): Promise<void> {
  const count = await found;
  if (count !== processes) throw new Error(`${name} finds ${count} of ${processes} alive`);
}

function report(results: ReadonlyMap<number, readonly Result[]>, effort: Effort): Section {
  const tables = (["start", "period"] as const).map((when): Table => ({
    title: when === "start" ? "At the start" : "In each period",
    columns: ["", "processes", "ms", "client CPU, ms", "server CPU, ms", "bytes"],
    rows: [...results].flatMap(([processes, all]) =>
      all.map(({ name, [when]: { costs, bytes } }) => [
        name,
        processes.toLocaleString("en-US"),
        show(median(costs.map(({ wallMs }) => wallMs))),
        show(median(costs.map(({ clientMs }) => clientMs))),
        show(median(costs.map(({ serverMs }) => serverMs))),
        bytes.toLocaleString("en-US"),
      ]),
    ),
  }));
  const goals = [...results].map(([processes, all]): Goal => {
    const [heartbit, naive] = all as [Result, Result];
    const bytes = naive.period.bytes / heartbit.period.bytes;
    const time = median(
      heartbit.period.costs.map(({ wallMs }, at) => naive.period.costs[at]!.wallMs / wallMs),
    );
    const count = processes.toLocaleString("en-US");
    return {
      id: `reading-${processes}`,
      text: `reading which of ${count} are alive, in each period: at most 1/${BYTES_GOAL} of naive's bytes and 1/${TIME_GOAL} of its time`,
      figure: `1/${show(bytes)} of the bytes, 1/${show(time)} of the time`,
      reached: bytes >= BYTES_GOAL && time >= TIME_GOAL,
    };
  });
  return {
    title: "Reading which keys are alive",
    about: `Processes with one key each. At the start heartbit reads all keys and pings. Then, in each period, it reads the pings of this slot and, in every other period, the changes (which its feed reports too), adds both to its roster and evaluates. A reader of naive MongoDB reads which processes are alive, and the keys of those that it does not know; one of the 2014 design reads everything each time, and with 100,000 processes takes 20 s for it, so it is not run there. ${rounds(effort)} rounds in turn, medians; bytes both ways, through a counting proxy, in a separate round.`,
    tables,
    goals,
  };
}
