/** How soon watchers in another process are told of a join, an update and a kill, beside a raw change stream's. */
import { clockMs, wait } from "../measure/time.ts";
import { type Quantiles, quantiles } from "../measure/quantiles.ts";
import { PEERS, type PeerName } from "../peers/index.ts";
import type { Member, Peer } from "../peers/peer.ts";
import { type Goal, show, type Section } from "../report/section.ts";
import { optionsFor, Servers } from "../servers/index.ts";
import { WatchingProcess } from "../workers/watching-process.ts";
import type { Effort, Scenario } from "./scenario.ts";

const PERIOD_MS = 5000;
const P50_GOAL = 1.3;
const IDLE_P99_MS = 10;
const BUSY_P99_MS = 50;
const BUSY_PER_SECOND = 1000;
/** At the busy rate joins are made in so many equal steps a second. */
const STEPS_PER_SECOND = 200;
const KINDS = ["join", "update", "kill"] as const;

const COMPARED: readonly PeerName[] = ["heartbit", "raw change stream"];
/** With one watcher alone, and in fewer rounds where each takes long. */
const OTHERS: readonly PeerName[] = ["Redis", "etcd", "ZooKeeper", "heartbit, polling"];
const SLOW: ReadonlySet<PeerName> = new Set(["heartbit, polling"]);
/** One round of so many is made with the slow ones. */
const SLOW_EVERY = 30;

type Kind = (typeof KINDS)[number];

/** The delays of one contender, in ms. */
type Delays = Record<Kind, number[]>;

interface Contender {
  readonly name: PeerName;
  readonly peer: Peer;
}

interface Row {
  readonly name: string;
  readonly watchers: number;
  readonly what: string;
  readonly delays: Quantiles;
}

export const told: Scenario = {
  name: "told",
  async run(effort) {
    const servers = await Servers.start();
    try {
      const rows: Row[] = [];
      for (const watchers of effort.quick ? [1] : [1, 10, 100]) {
        effort.say(`${watchers} watchers`);
        rows.push(...(await withWatchers(watchers, servers, effort)));
      }
      return report(rows, servers, effort);
    } finally {
      await servers.stop();
    }
  },
};

async function withWatchers(watchers: number, servers: Servers, effort: Effort): Promise<Row[]> {
  const contenders: Contender[] = [];
  const watching = new WatchingProcess();
  try {
    const names = watchers === 1 ? [...COMPARED, ...OTHERS] : COMPARED;
    for (const name of names) {
      const server = servers.of(name);
      if (server === undefined) continue;
      const options = optionsFor(server, name, PERIOD_MS);
      contenders.push({ name, peer: await PEERS[name](options) });
      await watching.watch({ peer: name, options, watchers });
    }
    const rows = await whenIdle(contenders, watching, watchers, effort);
    if (watchers > 1) return rows;
    effort.say(`${BUSY_PER_SECOND} joins a second`);
    for (const one of contenders.filter(({ name }) => COMPARED.includes(name))) {
      rows.push(await whenBusy(one, watching, effort));
    }
    return rows;
  } finally {
    await watching.stop();
    for (const { peer } of contenders) await peer.close();
  }
}

/** One change at a time, of each contender in turn. */
async function whenIdle(
  contenders: readonly Contender[],
  watching: WatchingProcess,
  watchers: number,
  { quick }: Effort,
): Promise<Row[]> {
  const delays = contenders.map((): Delays => ({ join: [], update: [], kill: [] }));
  const rounds = Math.round((quick ? 100 : 300) / Math.sqrt(watchers));
  // The first round opens sessions and connections: it is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { name, peer }] of shuffled([...contenders.entries()])) {
      if (SLOW.has(name) && round % SLOW_EVERY !== 0) continue;
      const key = `idle-${watchers}-${round}`;
      const time = async (kind: Kind, alive: boolean, act: () => Promise<unknown>): Promise<void> => {
        const all = watching.told(name, key, alive);
        const began = clockMs();
        await act();
        const ms = (await all).map((at) => at - began);
        if (round > 0) delays[index]![kind].push(...ms);
        await wait(2 + 8 * Math.random());
      };
      let member: Member | undefined;
      await time("join", true, async () => (member = await peer.join(key)));
      if (member?.update !== undefined) await time("update", true, async () => member?.update?.());
      await time("kill", false, async () => member?.kill());
    }
  }
  return contenders.flatMap(({ name }, index) =>
    KINDS.flatMap((what) => {
      const ms = delays[index]![what];
      return ms.length === 0 ? [] : [{ name, watchers, what, delays: quantiles(ms) }];
    }),
  );
}

/** In an order drawn anew: else whoever always comes after a like one finds the driver and the server warm. */
function shuffled<T>(items: readonly T[]): T[] {
  const drawn = items.map((item) => ({ item, at: Math.random() }));
  return drawn.toSorted((a, b) => a.at - b.at).map(({ item }) => item);
}

/** Many joins a second, made evenly. */
async function whenBusy(
  { name, peer }: Contender,
  watching: WatchingProcess,
  { quick }: Effort,
): Promise<Row> {
  const steps = STEPS_PER_SECOND * (quick ? 3 : 10);
  const perStep = BUSY_PER_SECOND / STEPS_PER_SECOND;
  const delays: Promise<number>[] = [];
  const start = clockMs();
  for (let step = 0; step < steps; step++) {
    await wait(start + (step * 1000) / STEPS_PER_SECOND - clockMs());
    for (let index = 0; index < perStep; index++) {
      const key = `busy-${step}-${index}`;
      const all = watching.told(name, key, true);
      const began = clockMs();
      void peer.join(key);
      delays.push(all.then(([at = NaN]) => at - began));
    }
  }
  return {
    name,
    watchers: 1,
    what: `join, at ${BUSY_PER_SECOND} a second`,
    delays: quantiles(await Promise.all(delays)),
  };
}

function report(rows: readonly Row[], servers: Servers, { quick }: Effort): Section {
  const { missing } = servers.names;
  const absent = missing.length === 0 ? "" : ` Not installed, so not run: ${missing.join(", ")}.`;
  const find = (name: PeerName, what: string): Quantiles =>
    rows.find((row) => row.name === name && row.watchers === 1 && row.what.startsWith(what))!.delays;
  const idle = find("heartbit", "join");
  const busy = find("heartbit", "join, at");
  const ratio = idle.p50 / find("raw change stream", "join").p50;
  const goals: Goal[] = [
    {
      id: "told-p50",
      text: `a join is reported, by the median, within ${P50_GOAL} times a raw change stream's`,
      figure: `${show(ratio)} times`,
      reached: ratio <= P50_GOAL,
    },
    {
      id: "told-p99-idle",
      text: `p99 under ${IDLE_P99_MS} ms when idle`,
      figure: `${show(idle.p99)} ms`,
      reached: idle.p99 < IDLE_P99_MS,
    },
    {
      id: "told-p99-busy",
      text: `p99 under ${BUSY_P99_MS} ms at ${BUSY_PER_SECOND} joins a second`,
      figure: `${show(busy.p99)} ms`,
      reached: busy.p99 < BUSY_P99_MS,
    },
  ];
  return {
    title: "How soon a watcher in another process reports a change",
    about: `From the call to the listener. One process makes the changes, one at a time (${quick ? 100 : 300} of each kind with one watcher, fewer with more), and then ${BUSY_PER_SECOND} joins a second; another one watches, with one presence for each watcher. The raw change stream is the driver's, over its own collection, in the same rounds: an insert, an update, a delete. The order is random in each round, since a peer that follows a similar one finds the driver and the server warm.${absent}`,
    tables: [
      {
        title: "Delays, ms",
        columns: ["", "watchers", "change", "p50", "p99", "max", "reported"],
        rows: rows.map(({ name, watchers, what, delays: { p50, p99, max, count } }) => [
          name,
          watchers,
          what,
          show(p50),
          show(p99),
          show(max),
          count.toLocaleString("en-US"),
        ]),
      },
    ],
    goals,
  };
}
