/** A majority that acknowledges late: what is written is stamped at once, and can be read when it is acknowledged. */
import { describe, expect, it } from "vitest";
import type { Store } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { FaultyStore } from "../../src/testing/index.ts";
import { Bench, PERIOD_MS, words, wrap } from "./support.ts";

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

class Fleet {
  readonly bench = new Bench();
  lagMs = 0;
  lapses = 0;
  readonly heard: string[] = [];
  readonly links: FaultyStore[] = [];
  watching!: Presence;

  async start(): Promise<this> {
    for (const key of ["a", "b", "c"]) {
      const link = new FaultyStore(lagging(this.bench, () => this.lagMs));
      const presence = await Presence.open(link, { periodMs: PERIOD_MS });
      presence.on("lapse", () => this.lapses++);
      const starting = presence.pinger(key).start();
      await this.bench.periods(0);
      await starting;
      this.links.push(link);
      this.watching ??= presence;
    }
    this.watching.watcher().watch({ all: true }, (change) => this.heard.push(words(change)));
    await this.bench.periods(5);
    return this;
  }

  /** Which part of so many periods the watching presence is healthy. */
  async healthyFor(periods: number): Promise<number> {
    const STEPS = 20;
    let healthy = 0;
    for (let step = 0; step < periods * STEPS; step++) {
      await this.bench.periods(1 / STEPS);
      if (this.watching.health.state === "healthy") healthy++;
    }
    return healthy / (periods * STEPS);
  }
}

describe.each([0.26, 0.5, 0.79])("a majority that lags by %d of a period", (lag) => {
  it("makes nobody lapse and watchers stale hardly ever; a crash is reported within the bound and the lag", async () => {
    const fleet = await new Fleet().start();
    fleet.lagMs = lag * PERIOD_MS;
    const healthy = await fleet.healthyFor(PERIODS);
    expect(fleet.lapses).toBe(0);
    expect(fleet.heard.filter((line) => line.includes("dead"))).toEqual([]);
    expect(healthy).toBeGreaterThanOrEqual(0.95);
    const before = fleet.bench.now;
    fleet.links[2]?.fail();
    while (!fleet.heard.includes("c dead expired")) await fleet.bench.periods(0.1);
    expect(fleet.bench.now - before).toBeLessThanOrEqual(2.6 + lag);
    expect(fleet.heard.filter((line) => line.includes("dead"))).toEqual(["c dead expired"]);
  });
});

it("a majority that lags by more than a period makes watchers stale, for the reason and with the lag", async () => {
  const fleet = await new Fleet().start();
  const reasons: string[] = [];
  fleet.watching.on("health", ({ reason }) => reason !== undefined && reasons.push(reason));
  fleet.lagMs = 1.3 * PERIOD_MS;
  expect(await fleet.healthyFor(PERIODS)).toBeLessThan(0.5);
  expect(new Set(reasons)).toEqual(new Set(["no ping was acknowledged for 5000 ms"]));
  expect(fleet.heard.filter((line) => line.includes("dead"))).toEqual([]);
  fleet.lagMs = 0;
  await fleet.bench.periods(5);
  expect(fleet.watching.health.state).toBe("healthy");
  fleet.links[2]?.fail();
  await fleet.bench.periods(2.6);
  expect(fleet.heard.filter((line) => line.includes("dead"))).toEqual(["c dead expired"]);
});
