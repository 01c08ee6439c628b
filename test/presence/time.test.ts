import { describe, expect, it } from "vitest";
import { type Clock, HeartbitError, Presence } from "../../src/index.ts";
import { StoreTime } from "../../src/core/store-time.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { PERIOD_MS, wrap } from "./support.ts";

describe("the store's time, from answers", () => {
  const clock = { ms: 0 };
  const make = (): StoreTime => {
    clock.ms = 0;
    const now = (): number => clock.ms;
    return new StoreTime({ now, monotonic: now, setTimer: () => () => {} }, PERIOD_MS);
  };
  /** An answer that was sent and heard at these times, with a stamp of the store, whose clock is `ahead`. */
  const answer = (time: StoreTime, sent: number, heard: number, stampedAt: number, ahead: number) => {
    clock.ms = heard;
    return time.learn(sent, heard, Math.floor(stampedAt + ahead), 0);
  };

  it("lies within the bounds of every answer, however long each took, and wherever it was held up", () => {
    const time = make();
    answer(time, 0, 100, 30, 7000);
    expect(Math.abs(time.now - (100 + 7000))).toBeLessThanOrEqual(time.errorMs);
    // Held up on the way there for nearly all of a minute: no guess is ahead of the truth.
    expect(answer(time, 200, 60_000, 59_999, 7000).isStep).toBe(false);
    expect(Math.abs(time.now - (60_000 + 7000))).toBeLessThanOrEqual(time.errorMs);
    // The wait for a majority, on the way back.
    expect(answer(time, 61_000, 65_000, 61_001, 7000).isStep).toBe(false);
    expect(time.errorMs).toBeLessThan(100);
    expect(Math.abs(time.now - (65_000 + 7000))).toBeLessThanOrEqual(time.errorMs);
  });

  it("is moved no further than it must be by an answer that does not agree: such a one is a step", () => {
    const time = make();
    answer(time, 0, 10, 5, 0);
    // Forward by 30 s, in an answer that took 25 s: it may be that, or up to 25 s more.
    const { byMs, isStep } = answer(time, 1000, 26_000, 25_990, 30_000);
    expect(isStep).toBe(true);
    expect(byMs).toBeGreaterThan(29_900);
    expect(time.now).toBeLessThanOrEqual(26_000 + 30_000 + 20);
    expect(answer(time, 27_000, 27_002, 27_001, 30_000).isStep).toBe(false);
    expect(Math.abs(time.now - 57_002)).toBeLessThanOrEqual(10);
  });

  it("is not taken from an answer that was overtaken by a later one", () => {
    const time = make();
    answer(time, 0, 10, 5, 0);
    answer(time, 5000, 5010, 5005, 60_000);
    expect(answer(time, 1000, 6000, 1001, 0)).toEqual({ byMs: 0, isStep: false });
    expect(time.now).toBeGreaterThan(60_000);
  });

  it("is known ever more vaguely without answers: clocks drift apart", () => {
    const time = make();
    answer(time, 0, 10, 5, 0);
    const { errorMs } = time;
    clock.ms += 1_000_000;
    expect(time.errorMs).toBeCloseTo(errorMs + 200);
    // 100 ppm of drift agree with that.
    expect(answer(time, clock.ms, clock.ms + 2, clock.ms + 1, 100).isStep).toBe(false);
  });
});

const never = (): Promise<never> => new Promise(() => {});
const fails = (): Promise<never> =>
  Promise.reject(new HeartbitError("STORE_UNAVAILABLE", "It does not tell its time."));

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
    expect(pings).toBeLessThanOrEqual(21); // the moment within a slot is another in each
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
