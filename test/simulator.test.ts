import { afterEach, describe, expect, it, vi } from "vitest";
import type * as ReconcileModule from "../src/core/reconcile.ts";
import { addingPings, countsThatHideLosses, reusedSeqs } from "./simulator/breakage.ts";
import { drawPlan, type Kind } from "./simulator/draw.ts";
import { readKept } from "./simulator/kept.ts";
import { report, shrink } from "./simulator/shrink.ts";
import { simulate } from "./simulator/simulation.ts";
import type { Breakage } from "./simulator/store.ts";

/** Fresh seeds each time, for so long; `HEARTBIT_SEED` and `HEARTBIT_RUNS` choose others. */
const first = Number(process.env["HEARTBIT_SEED"] ?? Math.floor(Math.random() * 1e9));
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

describe("the simulator finds what is wrong on purpose, and makes it short", () => {
  afterEach(() => {
    vi.doUnmock("../src/core/alive.ts");
    vi.doUnmock("../src/core/reconcile.ts");
    vi.doUnmock("../src/core/freshness.ts");
    vi.resetModules();
  });

  it("deaths reported in spite of a suspicion", async () => {
    replaceIn("../src/core/alive.ts", { mayReportDeaths: () => true });
    expect(await findFault()).toContain("lives");
  });

  it("deaths decided by the latest two slots, empty or not", async () => {
    replaceIn("../src/core/alive.ts", { latestComplete: (judged: number) => judged - 1 });
    // Who was there before the outage holds deaths back for its trouble: it shows to those who come in one.
    expect(await findFault(undefined, ["comer", "outage"])).toContain("lives");
  });

  it("a stale read that is trusted", async () => {
    replaceIn("../src/core/freshness.ts", { distrust: () => undefined });
    expect(await findFault(undefined, ["stale", "cut"])).toMatch(
      /lives|was told expired|before the vouchedUntil/,
    );
  });

  it("registrations that are missing from the store and are not registered again", async () => {
    const reconcile = await vi.importActual<typeof ReconcileModule>("../src/core/reconcile.ts");
    const compareAll: typeof reconcile.compareAll = (...args) => ({
      ...reconcile.compareAll(...args),
      missing: [],
    });
    replaceIn("../src/core/reconcile.ts", { compareAll });
    expect(await findFault(undefined, ["destroy"])).toContain("is alive");
  });

  it("pings that add their bit instead of setting it", async () => {
    expect(await findFault(addingPings())).toMatch(/lives|is dead|crash|stale/);
  });

  it("lost registrations that no count shows", async () => {
    expect(await findFault(countsThatHideLosses(), ["destroy"])).toContain("is alive");
  });

  it("a lease that is longer than the rule", async () => {
    replaceIn("../src/core/alive.ts", { deathPosition: (last: number) => last + 3.5 });
    expect(await findFault()).toMatch(/vouchedUntil|no lapse/);
  });

  it("kills by others that the holder does not notice", async () => {
    const reconcile = await vi.importActual<typeof ReconcileModule>("../src/core/reconcile.ts");
    const compare: typeof reconcile.compare = (...args) => ({ ...reconcile.compare(...args), killed: [] });
    const compareAll: typeof reconcile.compareAll = (...args) => ({
      ...reconcile.compareAll(...args),
      killed: [],
    });
    replaceIn("../src/core/reconcile.ts", { compare, compareAll });
    expect(await findFault(undefined, ["kill"])).toContain("is alive");
  });

  it("session numbers that are given twice", async () => {
    expect(await findFault(reusedSeqs)).toMatch(/lives|is alive|is dead|crash/);
  });
});

function replaceIn(path: string, replacement: object): void {
  vi.doMock(path, async (original) => ({ ...(await original<object>()), ...replacement }));
  vi.resetModules();
}

/** What the simulator says of the first plan that fails, once it is short. */
async function findFault(breakage?: Breakage, kinds?: readonly Kind[]): Promise<string | undefined> {
  // Imported anew, so that what is replaced is used.
  const simulator = await import("./simulator/shrink.ts");
  const { simulate: simulateAnew } = await import("./simulator/simulation.ts");
  for (let seed = 1; seed <= 600; seed++) {
    const plan = drawPlan(seed, kinds);
    if ((await simulateAnew(plan, breakage)).wrong.length === 0) continue;
    const short = await simulator.shrink(plan, breakage);
    expect(short.plan.events.length).toBeLessThanOrEqual(plan.events.length);
    return short.outcome.wrong[0];
  }
  return undefined;
}
