/** A majority that acknowledges late: what is written is stamped at once, and can be read when it is acknowledged. */
import { expect, it } from "vitest";
import type { Store } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { FaultyStore } from "../../src/testing/index.ts";
import { Bench, hear, PERIOD_MS, wrap } from "./support.ts";

const PERIODS = 40;

/** The store, with a majority that lags. */
function lagging(bench: Bench, lagMs: () => number): Store {
  const { clock } = bench;
  const late = async <T>(act: () => Promise<T>): Promise<T> => {
    if (lagMs() > 0) await new Promise<void>((resolve) => clock.setTimer(resolve, lagMs()));
    return act();
  };
  return wrap(bench.store, (namespace) => ({
    ping: async (slot, seq) => {
      const ms = await namespace.time();
      const pong = await late(() => namespace.ping(slot, seq));
      return { ...pong, ms };
    },
    write: (writes, signal) => late(() => namespace.write(writes, signal)),
    kill: (key) => late(() => namespace.kill(key)),
    mail: (slot, seqs) => late(() => namespace.mail(slot, seqs)),
    nextSeq: () => late(() => namespace.nextSeq()),
    configure: (wanted) => late(() => namespace.configure(wanted)),
  }));
}

/** Three presences that hold `a`, `b` and `c`, of which the first watches all, for five periods; then the majority lags. */
async function fleet(lag: number) {
  const bench = new Bench();
  let [lagMs, lapses] = [0, 0];
  const links: FaultyStore[] = [];
  const presences: Presence[] = [];
  for (const key of ["a", "b", "c"]) {
    const link = new FaultyStore(lagging(bench, () => lagMs));
    const presence = await Presence.open(link, { periodMs: PERIOD_MS });
    presence.on("lapse", () => lapses++);
    const starting = presence.pinger(key).start();
    await bench.periods(0);
    await starting;
    links.push(link);
    presences.push(presence);
  }
  const [watching] = presences as [Presence];
  const heard = await hear(watching.watcher(), { all: true });
  await bench.periods(5);
  lagMs = lag * PERIOD_MS;
  return {
    bench,
    watching,
    lapses: () => lapses,
    deaths: () => heard.filter((line) => line.includes("dead")),
    crash: () => links[2]?.fail(),
    endLag: () => void (lagMs = 0),
    /** Which part of so many periods the watching presence is healthy. */
    healthyFor: async (periods: number): Promise<number> => {
      const STEPS = 20;
      let healthy = 0;
      for (let step = 0; step < periods * STEPS; step++) {
        await bench.periods(1 / STEPS);
        if (watching.health.state === "healthy") healthy++;
      }
      return healthy / (periods * STEPS);
    },
  };
}

it.each([0.26, 0.5, 0.79])(
  "a majority that lags by %d of a period makes nobody lapse and watchers stale hardly ever; a crash is reported within the bound and the lag",
  async (lag) => {
    const { bench, lapses, deaths, crash, healthyFor } = await fleet(lag);
    expect(await healthyFor(PERIODS)).toBeGreaterThanOrEqual(0.95);
    expect([lapses(), deaths()]).toEqual([0, []]);
    const before = bench.now;
    crash();
    while (deaths().length === 0) await bench.periods(0.1);
    expect(bench.now - before).toBeLessThanOrEqual(2.6 + lag);
    expect(deaths()).toEqual(["c dead expired"]);
  },
);

it("a majority that lags by more than a period makes watchers stale, for the reason and with the lag", async () => {
  const { bench, watching, deaths, crash, endLag, healthyFor } = await fleet(1.3);
  const reasons = new Set<string | undefined>();
  watching.on("health", ({ state, reason }) => state === "stale" && reasons.add(reason));
  expect(await healthyFor(PERIODS)).toBeLessThan(0.5);
  expect([...reasons]).toEqual(["no ping was acknowledged for 5000 ms"]);
  expect(deaths()).toEqual([]);
  endLag();
  await bench.periods(5);
  expect(watching.health.state).toBe("healthy");
  crash();
  await bench.periods(2.6);
  expect(deaths()).toEqual(["c dead expired"]);
});
