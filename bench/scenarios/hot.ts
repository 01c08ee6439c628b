/** The hottest document: the pings of a full segment, 1,024 sessions, in one slot. How soon are they acknowledged? */
import { SEGMENT_SESSIONS } from "../../src/core/bits.ts";
import { pingPosition, REPEAT_OF_PERIOD } from "../../src/core/schedule.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { type Quantiles, quantiles } from "../measure/quantiles.ts";
import { clockMs, wait } from "../measure/time.ts";
import { type Cost, costOf } from "../measure/window.ts";
import { PortFleet, RETENTION_SLOTS } from "../peers/heartbit-port.ts";
import { show, type Section } from "../report/section.ts";
import { optionsFor } from "../servers/index.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

const PERIODS_MS = [500, 1000, 5000];
const MEASURED_MS = 10_000;
const QUICK_MS = 5000;
const STORES = 16;

interface Result {
  readonly periodMs: number;
  readonly delays: Quantiles;
  /** Those that were not acknowledged in time, so that a presence would have sent another one. */
  readonly late: number;
  readonly failed: number;
  readonly cost: Cost;
}

export const hot: Scenario = {
  name: "hot",
  async run({ quick, say }) {
    const server = await startMongo();
    const results: Result[] = [];
    for (const periodMs of PERIODS_MS) {
      say(`a period of ${periodMs} ms`);
      const options = optionsFor(server, `hot-${periodMs}`, periodMs);
      const fleet = await PortFleet.open(options, { processes: SEGMENT_SESSIONS, keysEach: 1 });
      const slots = Math.round((quick ? QUICK_MS : MEASURED_MS) / periodMs);
      const delays: number[] = [];
      let failed = 0;
      // A store refuses calls when hundreds are unanswered: really, each session has a store of its own.
      const namespaces = Array.from({ length: STORES }, () =>
        mongoStore(fleet.db).namespace(options.name, { periodMs, retentionSlots: RETENTION_SLOTS }),
      );
      const cost = await costOf(server.pid, async () => {
        const first = fleet.slot + 1;
        const all = Array.from({ length: slots }, async (_, index) =>
          Promise.all(
            fleet.seqs.map(async (seq) => {
              const slot = first + index;
              await wait(pingPosition(slot, seq, periodMs) * periodMs - Date.now());
              const began = clockMs();
              await namespaces[seq % STORES]?.ping(slot, seq).catch(() => failed++);
              delays.push(clockMs() - began);
            }),
          ),
        );
        await Promise.all(all);
      });
      await Promise.all(namespaces.map((namespace) => namespace.close()));
      await fleet.close();
      const late = delays.filter((ms) => ms > REPEAT_OF_PERIOD * periodMs).length;
      results.push({ periodMs, delays: quantiles(delays), late, failed, cost });
    }
    await server.stop();
    return report(results);
  },
};

function report(results: readonly Result[]): Section {
  return {
    title: "The hottest document",
    about: `All ${SEGMENT_SESSIONS.toLocaleString("en-US")} sessions of a segment ping in each slot, at the moments at which presences do: 0.5 ms apart, or closer if that is more than 30 % of the slot. All of them update one document. A ping is late if it is not acknowledged in a fifth of the period: a presence then sends it once more. The sessions share one client, with at most 100 connections, and one process: where their rate times the client CPU of a ping is near a whole processor, as with the shorter periods, that process is what pings wait for.`,
    tables: [
      {
        title: "A ping",
        columns: [
          "period, s",
          "p50, ms",
          "p99, ms",
          "max, ms",
          "late",
          "failed",
          "server CPU, µs",
          "client CPU, µs",
        ],
        rows: results.map(({ periodMs, delays: { count, p50, p99, max }, late, failed, cost }) => [
          periodMs / 1000,
          show(p50),
          show(p99),
          show(max),
          `${late.toLocaleString("en-US")} of ${count.toLocaleString("en-US")}`,
          failed.toLocaleString("en-US"),
          show((cost.serverMs / count) * 1000),
          show((cost.clientMs / count) * 1000),
        ]),
      },
    ],
    goals: [],
  };
}
