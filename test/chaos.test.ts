import { describe, expect, it } from "vitest";
import { runChaos } from "./simulator/chaos.ts";

/** Fresh seeds each time; `HEARTBIT_SEED` and `HEARTBIT_RUNS` choose others. */
const first = Number(process.env["HEARTBIT_SEED"] ?? Math.floor(Math.random() * 1e9));
const runs = Number(process.env["HEARTBIT_RUNS"] ?? 100);
const NOTHING_WRONG = { falseDeaths: [], missed: [], late: [], toldTwice: [] };

describe("under chaos, no live key is reported dead, and every crash is reported once and in time", () => {
  it(`${runs} runs of 8 holders and 2 watchers, seeds from ${first}`, async () => {
    const options = { holders: 8, watchers: 2, periods: 60, outages: 3, crashes: 3 };
    let crashes = 0;
    for (let seed = first; seed < first + runs; seed++) {
      const feed = seed % 2 === 0 ? "auto" : "poll";
      const { latencies, ...wrong } = await runChaos({ ...options, seed, feed });
      expect(wrong, `HEARTBIT_SEED=${seed} HEARTBIT_RUNS=1`).toEqual(NOTHING_WRONG);
      crashes += latencies.length;
    }
    expect(crashes).toBeGreaterThan(0);
  });

  it(`300 presences in one namespace, seed ${first}`, async () => {
    const options = { holders: 294, watchers: 6, periods: 30, outages: 2, crashes: 30 };
    const { latencies, ...wrong } = await runChaos({ ...options, seed: first });
    expect(wrong, `seed ${first}`).toEqual(NOTHING_WRONG);
    expect(latencies.length).toBeGreaterThan(0);
  });
});
