import { describe, expect, it } from "vitest";
import { type Clock, HeartbitError, Presence } from "../../src/index.ts";
import type { Namespace } from "../../src/core/store.ts";
import { StoreTime } from "../../src/presence/context/store-time.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { PERIOD_MS, wrap } from "./support.ts";

it("a view that was known to be vague is told where it turns out to have been far off", async () => {
  const clock = new ManualClock();
  let pausedMs = 0;
  const pausing: Clock = {
    now: () => clock.now() + pausedMs,
    monotonic: () => clock.monotonic() + pausedMs,
    setTimer: (due, delayMs) => clock.setTimer(due, delayMs),
  };
  let isPaused = true;
  const namespace: Pick<Namespace, "time"> = {
    time: async () => {
      const ms = pausing.now();
      if (isPaused) pausedMs += 0.9 * PERIOD_MS; // this process is stopped, and goes on when the answer is there
      isPaused = false;
      return ms;
    },
  };
  const told: string[] = [];
  const time = new StoreTime({
    namespace: namespace as Namespace,
    clock: pausing,
    periodMs: PERIOD_MS,
    stepped: () => told.push("stepped"),
    moved: () => told.push("moved"),
    raised: () => told.push("raised"),
  });
  await time.sample();
  expect(told).toEqual([]);
  expect(pausing.now() - time.now).toBeCloseTo(0.45 * PERIOD_MS);
  await time.sample();
  await time.sample();
  expect(told).toEqual(["moved"]);
  expect(pausing.now() - time.now).toBeCloseTo(0);
});

const never = (): Promise<never> => new Promise(() => {});
const fails = (): Promise<never> =>
  Promise.reject(new HeartbitError("STORE_UNAVAILABLE", "It does not tell its time."));

it("after a sleep the store's time is not taken from what was measured before it", async () => {
  const [world, own] = [new ManualClock(), new ManualClock()];
  let wayMs = 0;
  const travel = (): Promise<void> => new Promise((resolve) => void own.setTimer(resolve, wayMs));
  const namespace: Pick<Namespace, "time"> = {
    time: async () => {
      if (wayMs === 0) return world.now();
      await travel();
      const ms = world.now();
      await travel();
      return ms;
    },
  };
  const time = new StoreTime({
    namespace: namespace as Namespace,
    clock: own,
    periodMs: PERIOD_MS,
    stepped: () => {},
    moved: () => {},
    raised: () => {},
  });
  await time.sample();
  own.step(1500);
  await world.advance(1500);
  expect(time.mayBeOff).toBe(true);
  wayMs = 1600;
  const sampled = time.sample();
  for (let ms = 0; ms < 4000; ms += 100) {
    await world.advance(100);
    await own.advance(100);
  }
  await sampled;
  expect(time.mayBeOff).toBe(false);
  expect(Math.abs(time.now - world.now())).toBeLessThanOrEqual(time.errorMs);
});

describe("where this machine's clock was set, and the store does not tell its time", () => {
  it.each([
    { how: "answers nothing", answer: never },
    { how: "fails", answer: fails },
  ])("one ping a period is written: it $how", async ({ answer }) => {
    const clock = new ManualClock();
    let isOff = false;
    let pings = 0;
    const link = wrap(new MemoryStore({ clock }), (namespace) => ({
      time: () => (isOff ? answer() : namespace.time()),
      ping: (slot, seqs) => {
        pings++;
        return namespace.ping(slot, seqs);
      },
    }));
    const presence = await Presence.open(link, { periodMs: PERIOD_MS, clock });
    await presence.pinger("k").start();
    await clock.advance(5 * PERIOD_MS);
    isOff = true;
    clock.step(-1000);
    pings = 0;
    await clock.advance(20 * PERIOD_MS);
    expect(pings).toBeGreaterThan(10);
    expect(pings).toBeLessThanOrEqual(20);
  });

  it("keys are ended in time by closing, at a period of a minute", async () => {
    const [clock, periodMs] = [new ManualClock(), 60_000];
    const store = new MemoryStore({ clock });
    let isOff = false;
    const link = wrap(store, (namespace) => ({ time: () => (isOff ? never() : namespace.time()) }));
    const presence = await Presence.open(link, { periodMs, clock });
    await presence.pinger("k").start();
    await clock.advance(5 * periodMs);
    isOff = true;
    clock.step(10_000);
    const closing = presence.close();
    await clock.advance(periodMs);
    await closing;
    const other = await Presence.open(store, { periodMs, clock });
    expect((await other.list()).keys.map(({ alive }) => alive)).toEqual([false]);
  });
});

it.each([100, 200, 1000])(
  "a wall clock that goes on in steps of 16 ms is no sleep, at a period of %i ms",
  async (periodMs) => {
    const clock = new ManualClock();
    const coarse: Clock = {
      now: () => Math.floor(clock.now() / 16) * 16,
      monotonic: () => clock.monotonic(),
      setTimer: (due, delayMs) => clock.setTimer(due, delayMs),
      random: clock.random,
    };
    const link = new FaultyStore(new MemoryStore({ clock }));
    link.delay(3);
    const opening = Presence.open(link, { periodMs, clock: coarse });
    await clock.advance(100);
    const presence = await opening;
    const told: string[] = [];
    presence.on("lapse", () => told.push("lapse"));
    presence.on("health", ({ state }) => told.push(state));
    const starting = presence.pinger("k").start();
    await clock.advance(300 * periodMs);
    await starting;
    expect(told).toEqual([]);
  },
);
