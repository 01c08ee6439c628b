/** How the cost of a period grows with the processes: their pings, and reading them. */
import { median } from "../measure/quantiles.ts";
import { type Cost, costOf } from "../measure/window.ts";
import { forMany } from "../peers/many.ts";
import { PortFleet } from "../peers/heartbit-port.ts";
import { AT_ONCE } from "../peers/mongo-peer.ts";
import type { Series } from "../report/plot.ts";
import { type Section, show } from "../report/section.ts";
import { optionsFor } from "../servers/index.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

const PERIOD_MS = 5000;
const ROUNDS = 5;

interface Result {
  readonly sessions: number;
  readonly pinging: readonly Cost[];
  readonly reading: readonly Cost[];
}

export const sessions: Scenario = {
  name: "sessions",
  async run({ quick, say }) {
    const server = await startMongo();
    const results: Result[] = [];
    for (const count of quick ? [1, 10, 100, 1000] : [1, 10, 100, 1000, 10_000]) {
      say(`${count} sessions`);
      const options = optionsFor(server, `sessions-${count}`, PERIOD_MS);
      const fleet = await PortFleet.open(options, { processes: count, keysEach: 1 });
      const pinging: Cost[] = [];
      const reading: Cost[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        pinging.push(await costOf(server.pid, () => forMany(count, AT_ONCE, (index) => fleet.ping(index))));
        reading.push(await costOf(server.pid, () => fleet.namespace.pings(fleet.slot - 1)));
      }
      await fleet.close();
      results.push({ sessions: count, pinging, reading });
    }
    await server.stop();
    return report(results);
  },
};

function of(costs: readonly Cost[], what: keyof Cost): number {
  return median(costs.map((cost) => cost[what]));
}

function report(results: readonly Result[]): Section {
  const series = (name: string, figure: (result: Result) => number): Series => ({
    name,
    points: results.map((result) => ({ x: result.sessions, y: figure(result) })),
  });
  return {
    title: "How a period grows with the sessions",
    about: `Each session pings once, ${AT_ONCE} at a time; then one reader reads the pings of two slots. Medians of ${ROUNDS} rounds.`,
    tables: [
      {
        title: "A period",
        columns: [
          "sessions",
          "all pings: server CPU, ms",
          "client CPU, ms",
          "one read of the pings, ms",
          "server CPU, ms",
        ],
        rows: results.map(({ sessions: count, pinging, reading }) => [
          count.toLocaleString("en-US"),
          show(of(pinging, "serverMs")),
          show(of(pinging, "clientMs")),
          show(of(reading, "wallMs")),
          show(of(reading, "serverMs")),
        ]),
      },
    ],
    plots: [
      {
        name: "bench-sessions",
        title: "A period by the number of sessions",
        x: "sessions",
        y: "ms",
        series: [
          series("pings: server CPU", ({ pinging }) => of(pinging, "serverMs")),
          series("pings: client CPU", ({ pinging }) => of(pinging, "clientMs")),
          series("a read: server CPU", ({ reading }) => of(reading, "serverMs")),
          series("a read: time", ({ reading }) => of(reading, "wallMs")),
        ],
      },
    ],
    goals: [],
  };
}
