/** What one ping costs the server: heartbit's beside the naive update and the 2014 design's, a key a process. */
import { median } from "../measure/quantiles.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { openDesign2014 } from "../peers/design2014.ts";
import { PortFleet } from "../peers/heartbit-port.ts";
import { AT_ONCE } from "../peers/mongo-peer.ts";
import { forMany } from "../peers/many.ts";
import { openNaive } from "../peers/naive.ts";
import type { Peer, PeerOptions } from "../peers/peer.ts";
import { show, type Section } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

const PERIOD_MS = 5000;

interface Contender {
  readonly name: string;
  readonly ping: (process: number) => Promise<void>;
  readonly costs: Cost[];
}

export const pings: Scenario = {
  name: "pings",
  async run(effort) {
    const server = await startMongo();
    const { address, uri = "" } = server;
    const options = (name: string): PeerOptions => ({ address, uri, name, periodMs: PERIOD_MS });
    const processes = effort.quick ? 2000 : 10_000;
    const rounds = effort.quick ? 3 : 7;
    const peers: Peer[] = [];
    const contenders: Contender[] = [];
    const size = { processes, keysEach: 1 };
    const port = await PortFleet.open(options("heartbit"), size);
    contenders.push({ name: "heartbit", ping: (process) => port.ping(process), costs: [] });
    for (const [name, open] of [
      ["naive MongoDB", openNaive],
      ["2014 design", openDesign2014],
    ] as const) {
      const peer = await open(options(name.replaceAll(" ", "-")));
      peers.push(peer);
      const fleet = await peer.fleet(size);
      contenders.push({ name, ping: async (process) => fleet.ping?.(process), costs: [] });
    }
    for (let round = 1; round <= rounds; round++) {
      effort.say(`round ${round} of ${rounds}`);
      for (const { ping, costs } of contenders) {
        costs.push(perOne(await costOf(server.pid, () => forMany(processes, AT_ONCE, ping)), processes));
      }
    }
    await port.close();
    for (const peer of peers) await peer.close();
    await server.stop();
    return report(contenders, processes, rounds);
  },
};

function us(costs: readonly Cost[], of: (cost: Cost) => number): number {
  return median(costs.map(of)) * 1000;
}

function report(contenders: readonly Contender[], processes: number, rounds: number): Section {
  const serverUs = ({ costs }: Contender): number => us(costs, ({ serverMs }) => serverMs);
  const naive = contenders[1]!;
  return {
    title: "One ping",
    about: `${processes.toLocaleString("en-US")} processes of one key ping once each, ${AT_ONCE} at a time over shared connections, each with its own command; ${rounds} rounds in turn, medians. heartbit and naive MongoDB ask for a majority, the 2014 design for the driver's default. A ping of heartbit is a \`findAndModify\`, whose answer replaces three other commands of each period.`,
    tables: [
      {
        title: "Per ping",
        columns: ["", "server CPU, µs", "client CPU, µs", "server CPU beside naive"],
        rows: contenders.map((one) => [
          one.name,
          show(serverUs(one)),
          show(us(one.costs, ({ clientMs }) => clientMs)),
          show(serverUs(one) / serverUs(naive)),
        ]),
      },
    ],
    goals: [],
  };
}
