import { afterEach, describe, expect, it, vi } from "vitest";
import { drawCrowd, drawPlan } from "./simulator/draw.ts";
import { readKept } from "./simulator/kept.ts";
import { report, shrink } from "./simulator/shrink.ts";
import { simulate } from "./simulator/simulation.ts";

/**
 * The same seeds each time, so that a failure is that of a change. `HEARTBIT_SEED` and `HEARTBIT_RUNS` choose others, and
 * `npm run simulate` draws fresh ones.
 */
const first = Number(process.env["HEARTBIT_SEED"] ?? 897_401_732);
const runs = Number(process.env["HEARTBIT_RUNS"] ?? 400);

describe("the simulator finds nothing wrong", () => {
  it.each(readKept().map((kept) => [kept.why, kept.plan] as const))("kept: %s", async (_, plan) => {
    const outcome = await simulate(plan);
    expect(outcome.wrong, report({ plan, outcome })).toEqual([]);
  });

  it(`in ${runs} runs, seeds from ${first}`, { timeout: 1_200_000 }, async () => {
    let changes = 0;
    for (let seed = first; seed < first + runs; seed++) {
      const plan = drawPlan(seed);
      const outcome = await simulate(plan);
      if (outcome.wrong.length > 0) expect.fail(`HEARTBIT_SEED=${seed}\n${report(await shrink(plan))}`);
      changes += outcome.changes;
    }
    expect(changes).toBeGreaterThan(runs);
  });
});

describe("the simulator finds nothing wrong with 1,000 keys", () => {
  it(`of 20 processes, seed ${first}`, { timeout: 600_000 }, async () => {
    const plan = drawCrowd(first, 50);
    const outcome = await simulate(plan);
    expect(outcome.wrong, `HEARTBIT_SEED=${first}\n${report({ plan, outcome })}`).toEqual([]);
    expect(outcome.verdict.checked.holdings).toBeGreaterThan(10_000);
  });
});

/** `npm run mutants` breaks the library in more ways, and names the test that finds each. */
describe("the simulator finds what is wrong on purpose, and makes it short", () => {
  const RULE = "../src/core/alive.ts";
  afterEach(() => {
    vi.doUnmock(RULE);
    vi.resetModules();
  });

  it("deaths that are reported in spite of a suspicion", { timeout: 120_000 }, async () => {
    vi.doMock(RULE, async (original) => ({ ...(await original<object>()), mayReportDeaths: () => true }));
    vi.resetModules();
    // Imported again, so that what is replaced is used.
    const { shrink: shrinkAgain } = await import("./simulator/shrink.ts");
    const { simulate: simulateAgain } = await import("./simulator/simulation.ts");
    for (let seed = 1; ; seed++) {
      const plan = drawPlan(seed, ["outage", "cut", "stale"]);
      if ((await simulateAgain(plan)).wrong.length === 0) continue;
      const short = await shrinkAgain(plan);
      expect(short.plan.events.length).toBeLessThanOrEqual(plan.events.length);
      expect(short.outcome.wrong[0]).toMatch(/^false death: /);
      return;
    }
  });
});
