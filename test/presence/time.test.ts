import { beforeEach, describe, expect, it } from "vitest";
import { type Clock, HeartbitError, Presence } from "../../src/index.ts";
import { StoreTime } from "../../src/core/store-time.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { hear, PERIOD_MS, startAll, words, wrap } from "./support.ts";
import { bench, other } from "./two-presences.ts";

describe("the store's time, from answers", () => {
  let ms: number;
  let time: StoreTime;
  beforeEach(() => {
    ms = 0;
    time = new StoreTime({ now: () => ms, monotonic: () => ms, setTimer: () => () => {} }, PERIOD_MS);
  });
  /** An answer that was sent and heard at these times, with a stamp of the store, whose clock is `ahead`. */
  const answer = (sent: number, heard: number, stampedAt: number, ahead: number) => {
    ms = heard;
    return time.learn(sent, heard, Math.floor(stampedAt + ahead), 0);
  };

  it("lies within the bounds of every answer, however long each took, and wherever it was held up", () => {
    answer(0, 100, 30, 7000);
    expect(Math.abs(time.now - (100 + 7000))).toBeLessThanOrEqual(time.errorMs);
    // Held up on the way there for nearly all of a minute: no guess is ahead of the truth.
    expect(answer(200, 60_000, 59_999, 7000).isStep).toBe(false);
    expect(Math.abs(time.now - (60_000 + 7000))).toBeLessThanOrEqual(time.errorMs);
    // The wait for a majority, on the way back.
    expect(answer(61_000, 65_000, 61_001, 7000).isStep).toBe(false);
    expect(time.errorMs).toBeLessThan(100);
    expect(Math.abs(time.now - (65_000 + 7000))).toBeLessThanOrEqual(time.errorMs);
  });

  it("is moved no further than it must be by an answer that does not agree: such a one is a step", () => {
    answer(0, 10, 5, 0);
    // Forward by 30 s, in an answer that took 25 s: it may be that, or up to 25 s more.
    const { byMs, isStep } = answer(1000, 26_000, 25_990, 30_000);
    expect(isStep).toBe(true);
    expect(byMs).toBeGreaterThan(29_900);
    expect(time.now).toBeLessThanOrEqual(26_000 + 30_000 + 20);
    expect(answer(27_000, 27_002, 27_001, 30_000).isStep).toBe(false);
    expect(Math.abs(time.now - 57_002)).toBeLessThanOrEqual(10);
  });

  it("is not taken from an answer that was overtaken by a later one", () => {
    answer(0, 10, 5, 0);
    answer(5000, 5010, 5005, 60_000);
    expect(answer(1000, 6000, 1001, 0)).toEqual({ byMs: 0, isStep: false });
    expect(time.now).toBeGreaterThan(60_000);
  });

  it("is known ever more vaguely without answers: clocks drift apart", () => {
    answer(0, 10, 5, 0);
    const { errorMs } = time;
    ms += 1_000_000;
    expect(time.errorMs).toBeCloseTo(errorMs + 200);
    // 100 ppm of drift agree with that.
    expect(answer(ms, ms + 2, ms + 1, 100).isStep).toBe(false);
  });
});

const never = <T = never>(): Promise<T> => new Promise<T>(() => {});
const fails = (): Promise<never> =>
  Promise.reject(new HeartbitError("STORE_UNAVAILABLE", "It does not give its time."));

describe("where this machine's clock was set, and the store does not give its time", () => {
  it.each([
    { how: "answers nothing", answer: never },
    { how: "fails", answer: fails },
  ])("one ping a period is written: it $how", async ({ answer }) => {
    let [isOff, pings] = [false, 0];
    const presence = await bench.openWith((namespace) => ({
      time: () => (isOff ? answer() : namespace.time()),
      ping: (slot, seqs) => {
        pings++;
        return namespace.ping(slot, seqs);
      },
    }));
    await presence.pinger("k").start();
    await bench.periods(5);
    isOff = true;
    bench.clock.step(-1000);
    pings = 0;
    await bench.periods(20);
    expect(pings).toBeGreaterThan(10);
    expect(pings).toBeLessThanOrEqual(21); // the moment within a slot is another in each
  });

  it("keys are ended in time by closing, at a period of a minute", async () => {
    const options = { periodMs: 60_000, name: "long" };
    let isOff = false;
    const presence = await bench.openWith(
      (namespace) => ({ time: () => (isOff ? never() : namespace.time()) }),
      options,
    );
    await presence.pinger("k").start();
    await bench.clock.advance(5 * options.periodMs);
    isOff = true;
    bench.clock.step(10_000);
    await bench.during(options.periodMs / PERIOD_MS, presence.close());
    expect((await (await bench.open(options)).presence.list()).keys).toMatchObject([{ alive: false }]);
  });
});

it("whoever moves the slots on leaves mail for every session, even if its first read of their pings is stale", async () => {
  let staleReads = 0;
  const mailed = new Set<number>();
  const presence = await bench.openWith((namespace) => ({
    pings: async (from) => (staleReads-- > 0 ? [] : namespace.pings(from)),
    mail: (slot, seqs) => {
      for (const seq of seqs) mailed.add(seq);
      return namespace.mail(slot, seqs);
    },
  }));
  await presence.pinger("k").start();
  await other.pinger("o").start();
  await bench.periods(2);
  staleReads = 1;
  bench.clock.step(-10 * PERIOD_MS);
  await bench.periods(3);
  expect([...mailed].toSorted((a, b) => a - b)).toEqual([1, 2]);
});

it("a question without an answer is asked again after a fifth of the period, then twice as long", async () => {
  let asked: number[] | undefined;
  const presence = await bench.openWith((namespace) => ({
    time: () => (asked !== undefined && asked.push(bench.now) < 3 ? never() : namespace.time()),
  }));
  await bench.periods(20);
  const began = bench.now;
  asked = [];
  let isListed = false;
  void presence.list().then(() => (isListed = true));
  await bench.periods(0.7);
  expect(asked.map((at) => Number((at - began).toFixed(2)))).toEqual([0, 0.2, 0.6]);
  expect(isListed).toBe(true);
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

/** A watcher whose pings, and questions for the time, are `ms` on their way to the store; reads are quick. */
async function farAway(ms: number) {
  const way = { ms };
  const go = async (): Promise<void> => {
    if (way.ms > 0) await bench.after(way.ms);
  };
  const opening = bench.openWith((namespace) => ({
    ping: async (slot, seq) => go().then(() => namespace.ping(slot, seq)),
    time: async () => go().then(() => namespace.time()),
  }));
  await bench.periods(2);
  return { way, far: await opening };
}

describe("the first guess of the store's time", () => {
  it.each([0.5, 0.7, 0.9])(
    "a process that misses one ping is not reported dead (way there: %d periods)",
    async (part) => {
      let loses = false;
      const holder = await bench.openWith((namespace) => ({
        ping: (slot, seq) => (loses ? never() : namespace.ping(slot, seq)),
      }));
      const { way, far } = await farAway(part * PERIOD_MS);
      await startAll(holder, ["k"]);
      await startAll(other, ["l"]);
      const heard: string[] = [];
      far.watcher().watch("k", (change) => heard.push(`${words(change)} at ${bench.now.toFixed(2)}`));
      let lapses = 0;
      holder.on("lapse", () => lapses++);
      await bench.periods(8.5 - bench.now);
      loses = true; // the pings of slot 9
      await bench.periods(9.95 - bench.now);
      loses = false;
      const vouched = ((holder.vouchedUntil?.getTime() ?? 0) - bench.clock.now()) / PERIOD_MS + bench.now;
      await bench.periods(10.5 - part / 2 - 0.01 - bench.now);
      way.ms = 0; // everything is quick from now on
      await bench.periods(4);
      expect({ heard, vouched, lapses, health: far.health.state }).toMatchObject({
        heard: [expect.anything()],
      });
    },
  );

  it("a crash is not reported before the `vouchedUntil` of its process", async () => {
    const { way, far } = await farAway(0.19 * PERIOD_MS);
    const { presence: crashing, link: away } = await bench.open();
    await startAll(crashing, ["k"]);
    await startAll(other, ["l"]);
    let deadAt = Infinity;
    far.watcher().watch("k", ({ alive }) => (deadAt = alive ? deadAt : bench.clock.now()));
    await bench.periods(8.5 - bench.now);
    away.fail();
    const vouched = crashing.vouchedUntil?.getTime() ?? 0;
    await bench.periods(10.38 - bench.now);
    way.ms = 0;
    await bench.periods(3);
    expect((deadAt - vouched) / PERIOD_MS).toBeGreaterThanOrEqual(0);
  });

  it("an open whose first answer was late moves nobody's slots, and gives nobody a lapse", async () => {
    const [clock, P] = [new ManualClock(), 100];
    const store = new MemoryStore({ clock });
    const [a, w] = [await Presence.open(store, { periodMs: P }), await Presence.open(store, { periodMs: P })];
    await a.pinger("k").start();
    let lapses = 0;
    for (const one of [a, w]) one.on("lapse", () => lapses++);
    await hear(w.watcher(), "k");
    await clock.advance(10 * P);
    let isSlow = true;
    const late = wrap(store, (namespace) => ({
      time: async () => {
        if (isSlow) await new Promise<void>((resolve) => void clock.setTimer(resolve, 600));
        isSlow = false;
        return namespace.time();
      },
    }));
    const opening = Presence.open(late, { periodMs: P });
    await clock.advance(600);
    await (await opening).pinger("l").start();
    await clock.advance(20 * P);
    expect([(await store.namespace("presence").config())?.offset, lapses]).toEqual([0, 0]);
  });
});

it.each([100, 200])(
  "a process whose answers were lost once follows the next step of the store's clock (period %d)",
  async (P) => {
    const clock = new ManualClock();
    let behindMs = 0;
    const ofStore = {
      now: () => clock.now() - behindMs,
      monotonic: () => clock.monotonic(),
      setTimer: (due: () => void, ms: number) => clock.setTimer(due, ms),
    };
    const store = new MemoryStore({ clock: ofStore });
    let loses = false;
    const a = await Presence.open(
      wrap(store, (namespace) => ({
        mail: async (slot, seqs) =>
          namespace.mail(slot, seqs).then(() => (loses ? never<void>() : undefined)),
        async *read(query) {
          if (loses) await never();
          yield* namespace.read(query);
        },
      })),
      { periodMs: P, clock },
    );
    await a.pinger("k").start();
    await clock.advance(6.1 * P);
    loses = true; // some answers, for one and a half periods
    behindMs += 4 * P;
    await clock.advance(1.5 * P);
    loses = false; // every call is answered at once from now on
    const [b, c] = [
      await Presence.open(store, { periodMs: P, clock }),
      await Presence.open(store, { periodMs: P, clock }),
    ];
    await b.pinger("l").start();
    const heard: string[] = [];
    c.watcher().watch("k", (change) => {
      const left = ((a.vouchedUntil?.getTime() ?? 0) - clock.now()) / P;
      heard.push(`${words(change)}, vouched for ${left.toFixed(1)} more`);
    });
    await clock.advance(5 * P);
    behindMs += 5 * P;
    await clock.advance(30 * P);
    expect(heard).toHaveLength(1);
  },
);
