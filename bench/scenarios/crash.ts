/** When the crash of a process is told: the same crashes, of all peers, each with the same silence forgiven. */
import { type Quantiles, quantiles } from "../measure/quantiles.ts";
import { clockMs, until, wait } from "../measure/time.ts";
import { PEERS, type PeerName } from "../peers/index.ts";
import { type Peer, PERIODS_OF_SILENCE } from "../peers/peer.ts";
import { type Section, show } from "../report/section.ts";
import { optionsFor, Servers } from "../servers/index.ts";
import { Worker } from "../workers/ask.ts";
import type { Hold } from "../workers/holding.ts";
import type { Effort, Scenario } from "./scenario.ts";

/** So that the silence that heartbit forgives at the least is 5 s: leases of etcd last whole seconds. */
const PERIOD_MS = 2380;
const SILENCE_MS = Math.round(PERIOD_MS * PERIODS_OF_SILENCE);
/** Processes that run at a time. */
const AT_ONCE = 8;
const TOLD_LIMIT_MS = 60_000;

/** How each says that it is alive, and how often its readers look. */
const HOW: Readonly<Partial<Record<PeerName, string>>> = {
  heartbit: "a ping in each period, evaluated once a period",
  "naive MongoDB": "an update in each period, readers poll every second",
  Redis: "`SET` with expiry in each period",
  etcd: "the client keeps the lease alive three times in its time to live",
  ZooKeeper: "the client pings three times in the session's time-out",
};

export const crash: Scenario = {
  name: "crash",
  async run(effort) {
    const servers = await Servers.start();
    const watching: Peer[] = [];
    try {
      const told = new Map<PeerName, Map<string, number>>();
      const names = (Object.keys(HOW) as PeerName[]).filter((name) => servers.of(name) !== undefined);
      const peers = names.map((name) => ({ name, options: optionsFor(servers.of(name)!, name, PERIOD_MS) }));
      for (const { name, options } of peers) {
        const times = new Map<string, number>();
        told.set(name, times);
        const peer = await PEERS[name](options);
        watching.push(peer);
        await peer.watch((key, alive) => {
          if (!alive) times.set(key, clockMs());
        });
      }
      const delays = new Map(names.map((name) => [name, [] as number[]]));
      const crashes = effort.quick ? AT_ONCE : 6 * AT_ONCE;
      for (let first = 0; first < crashes; first += AT_ONCE) {
        effort.say(`crashes ${first + 1} to ${first + AT_ONCE} of ${crashes}`);
        const keys = Array.from({ length: AT_ONCE }, (_, index) => `crash-${first + index}`);
        const crashed = await Promise.all(keys.map((key) => crashOne({ key, peers })));
        const isTold = (): boolean => names.every((name) => keys.every((key) => told.get(name)?.has(key)));
        await until(isTold, "a crash told by all", TOLD_LIMIT_MS);
        for (const name of names) {
          delays.get(name)!.push(...keys.map((key, index) => told.get(name)!.get(key)! - crashed[index]!));
        }
      }
      return report(new Map([...delays].map(([name, ms]) => [name, quantiles(ms)])), servers, effort);
    } finally {
      for (const peer of watching) await peer.close();
      await servers.stop();
    }
  },
};

/** A process that holds the key with all peers, and is killed a while later; gives when. */
async function crashOne(hold: Hold): Promise<number> {
  const worker = new Worker<Hold>("holding.js");
  await worker.ask(hold);
  // At a moment of no peer's choosing: within its second period.
  await wait(PERIOD_MS * (1 + Math.random()));
  const at = clockMs();
  await worker.kill9();
  return at;
}

function report(delays: ReadonlyMap<PeerName, Quantiles>, servers: Servers, { quick }: Effort): Section {
  const { missing } = servers.names;
  const absent = missing.length === 0 ? "" : ` Not installed, so not run: ${missing.join(", ")}.`;
  return {
    title: "When a crash is reported",
    about: `A process holds a key with each of the peers and is killed with signal 9. When does a watcher in another process report it dead? Each peer forgives at least the same silence, ${SILENCE_MS / 1000} s: heartbit with a period of ${PERIOD_MS} ms, the others with a time to live of that length. In seconds, for ${quick ? AT_ONCE : 6 * AT_ONCE} crashes that all peers saw.${absent}`,
    tables: [
      {
        title: "From the crash to the report, s",
        columns: ["", "min", "p50", "max", "how"],
        rows: [...delays].map(([name, { min, p50, max }]) => [
          name,
          show(min / 1000),
          show(p50 / 1000),
          show(max / 1000),
          HOW[name] ?? "",
        ]),
      },
    ],
    goals: [],
  };
}
