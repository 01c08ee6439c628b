/** Starting 100,000 keys in one process. */
import { Presence } from "../../src/index.ts";
import { benchDatabase } from "../servers/database.ts";
import { type Cost, costOf } from "../measure/window.ts";
import { median } from "../measure/quantiles.ts";
import { type Section, show } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

const GOAL_MS = 5000;
/** 40 % less than format version 1 took: 6.37 s. */
const GOAL_SERVER_MS = 3800;

export const starting: Scenario = {
  name: "starting",
  async run({ quick, say }) {
    const server = await startMongo();
    const keys = quick ? 10_000 : 100_000;
    const costs: Cost[] = [];
    for (let turn = 1; turn <= 3; turn++) {
      say(`${keys} keys, turn ${turn} of 3`);
      const presence = await Presence.open(benchDatabase(server.uri ?? "", "starting"), {
        name: `turn-${turn}`,
      });
      const start = async (): Promise<void> => {
        await Promise.all(Array.from({ length: keys }, (_, key) => presence.pinger(`key-${key}`).start()));
      };
      costs.push(await costOf(server.pid, start));
      await presence.close();
    }
    await server.stop();
    return report(costs, keys);
  },
};

function report(costs: readonly Cost[], keys: number): Section {
  const of = (what: (cost: Cost) => number): number => median(costs.map(what));
  const seconds = (of(({ wallMs }) => wallMs) / 1000) * (100_000 / keys);
  const serverSeconds = (of(({ serverMs }) => serverMs) / 1000) * (100_000 / keys);
  const best = (Math.min(...costs.map(({ wallMs }) => wallMs)) / 1000) * (100_000 / keys);
  return {
    title: "Starting many keys at once",
    about: `One presence starts ${keys.toLocaleString("en-US")} pingers in one tick, and waits until others can see all of them. Medians of ${costs.length} turns, each in a namespace of its own.`,
    tables: [
      {
        title: `${keys.toLocaleString("en-US")} keys`,
        columns: ["", "s", "server CPU, s", "client CPU, s"],
        rows: [
          [
            "heartbit",
            show(of(({ wallMs }) => wallMs) / 1000),
            show(of(({ serverMs }) => serverMs) / 1000),
            show(of(({ clientMs }) => clientMs) / 1000),
          ],
        ],
      },
    ],
    goals: [
      {
        id: "starting",
        text: `100,000 keys are started in at most ${GOAL_MS / 1000} s`,
        figure: `${show(seconds)} s${keys === 100_000 ? "" : `, by ten times ${keys.toLocaleString("en-US")}`} (best of the turns: ${show(best)} s)`,
        reached: seconds <= GOAL_MS / 1000,
      },
      {
        id: "starting-cpu",
        text: `100,000 keys are started with at most ${GOAL_SERVER_MS / 1000} s of server CPU, 40 % less than with format version 1`,
        figure: `${show(serverSeconds)} s`,
        reached: serverSeconds <= GOAL_SERVER_MS / 1000,
      },
    ],
  };
}
