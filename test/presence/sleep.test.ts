import { expect, it } from "vitest";
import { type Clock, HeartbitError, type Lapse, Presence, type PresenceOptions } from "../../src/index.ts";
import type { PingRecord } from "../../src/core/bits.ts";
import type { Pong, Store } from "../../src/core/store.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { hear, PERIOD_MS, wrap } from "./support.ts";

/**
 * The store and whoever opens it with `world`, and a machine of its own clock, which sleeps: the monotonic clock of Linux
 * stands still then, and only the wall clock has gone on.
 */
class Worlds {
  readonly world = new ManualClock();
  readonly own = new ManualClock();
  readonly store = new MemoryStore({ clock: this.world });

  awake(): Promise<Presence> {
    return Presence.open(this.store, { periodMs: PERIOD_MS, clock: this.world });
  }

  /** Opened on the machine that will sleep. */
  sleepy(store: Store = this.store, options: PresenceOptions = {}): Promise<Presence> {
    return Presence.open(store, { periodMs: PERIOD_MS, clock: this.own, ...options });
  }

  async sleep(periods: number): Promise<void> {
    await this.world.advance(periods * PERIOD_MS);
    this.own.step(periods * PERIOD_MS);
  }

  async together(periods: number): Promise<void> {
    for (let step = 0; step < Math.round(100 * periods); step++) await this.#step();
  }

  /** Goes on in steps of a hundredth of a period until something is so. */
  async until(isSo: () => boolean): Promise<void> {
    for (let step = 0; !isSo() && step < 500; step++) await this.#step();
    expect(isSo()).toBe(true);
  }

  async #step(): Promise<void> {
    await this.world.advance(PERIOD_MS / 100);
    await this.own.advance(PERIOD_MS / 100);
  }
}

/** Whether the key is alive; nothing where it is not known. */
async function aliveIn(presence: Presence, key: string): Promise<boolean[]> {
  return (await presence.list({ key })).keys.map(({ alive }) => alive);
}

/** The key `k`, held on the machine that will sleep, and another who is told of it, for five periods. */
async function holdAndWatch(
  worlds: Worlds,
  link: Store = worlds.store,
): Promise<{ presence: Presence; heard: string[]; lapses: Lapse[] }> {
  const [presence, watching] = [await worlds.sleepy(link), await worlds.awake()];
  const lapses: Lapse[] = [];
  presence.on("lapse", (lapse) => lapses.push(lapse));
  await presence.pinger("k").start();
  const hearing = hear(watching.watcher(), "k");
  await worlds.together(5);
  return { presence, heard: await hearing, lapses };
}

it.each([
  { slept: 3, unanswered: 0 },
  { slept: 10, unanswered: 0 },
  { slept: 100, unanswered: 0 },
  { slept: 1000, unanswered: 0 },
  { slept: 10, unanswered: 1 },
  { slept: 10, unanswered: 2 },
  { slept: 10, unanswered: 3 },
])(
  "a machine that slept for $slept periods learns once that it was reported dead, though $unanswered of its pings are lost then",
  async ({ slept, unanswered }) => {
    const worlds = new Worlds();
    let lost = 0;
    const link = wrap(worlds.store, (namespace) => ({
      ping: (slot, seq) => (lost-- > 0 ? new Promise<never>(() => {}) : namespace.ping(slot, seq)),
    }));
    const { presence, heard, lapses } = await holdAndWatch(worlds, link);
    const asleep = worlds.own.now();
    await worlds.sleep(slept);
    lost = unanswered;
    expect(presence.vouchedUntil?.getTime()).toBeLessThan(worlds.own.now());
    await worlds.together(6);
    expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    expect(lapses).toHaveLength(1);
    const [{ from, to } = { from: new Date(NaN), to: new Date(NaN) }] = lapses;
    expect(Math.abs(from.getTime() - asleep)).toBeLessThan(PERIOD_MS);
    const noticed = to.getTime() - asleep - slept * PERIOD_MS;
    // Each slot has two pings.
    expect(Math.abs(noticed)).toBeLessThan(PERIOD_MS * (1 + Math.ceil(unanswered / 2)));
  },
);

it.each([
  { what: "whose clock was set back by more", set: -8 },
  { what: "whose clocks both stood still, as those of a virtual machine do that is stopped", set: -4 },
  { what: "whose clock was set back by nearly as much", set: -4.01 },
  { what: "whose clock was set back by nearly as much, and less", set: -3.99 },
])("a machine that slept for four periods, and $what, learns that it was told dead", async ({ set }) => {
  const worlds = new Worlds();
  const { heard, lapses } = await holdAndWatch(worlds);
  await worlds.sleep(4);
  worlds.own.step(set * PERIOD_MS);
  await worlds.together(3);
  expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
  expect(lapses).toHaveLength(1);
  const [{ from, to } = { from: new Date(NaN), to: new Date(NaN) }] = lapses;
  expect((to.getTime() - from.getTime()) / PERIOD_MS).toBeGreaterThan(2.5);
});

it("a machine that slept learns that it was reported dead, even if its reads are from before that", async () => {
  const worlds = new Worlds();
  let stale: PingRecord[] | undefined;
  const link = wrap(worlds.store, (namespace) => ({
    pings: async (from) => stale ?? namespace.pings(from),
  }));
  const { heard, lapses } = await holdAndWatch(worlds, link);
  stale = await worlds.store.namespace("presence").pings(0);
  await worlds.sleep(4);
  await worlds.together(3);
  expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
  expect(lapses).toHaveLength(1);
});

it("what is started in the moment of waking is alive, and its planned absence over", async () => {
  const worlds = new Worlds();
  const [a, w] = [await worlds.sleepy(), await worlds.awake()];
  const pinger = a.pinger("k");
  await pinger.start();
  const hearing = hear(w.watcher(), "k");
  await worlds.together(5);
  const heard = await hearing;
  await pinger.stop({ holdMs: 50 * PERIOD_MS });
  await worlds.sleep(10);
  const starting = pinger.start();
  await worlds.together(6);
  await starting;
  expect(heard.filter((line) => line.includes("dead"))).toEqual([]);
});

it("a watcher that sleeps between a read and the report reports no key dead that came back meanwhile", async () => {
  const worlds = new Worlds();
  const [holder, watching] = [new FaultyStore(worlds.store), new FaultyStore(worlds.store)];
  const a = await Presence.open(holder, { periodMs: PERIOD_MS, clock: worlds.world });
  const [w, other] = [await worlds.sleepy(watching, { feed: "poll" }), await worlds.awake()];
  await a.pinger("k").start();
  await other.pinger("another").start();
  const hearing = hear(w.watcher(), "k");
  await worlds.together(8);
  const heard = await hearing;
  holder.fail();
  const asleep = { now: false };
  let readAt = -Infinity;
  watching.intercept((operation) => {
    if (operation === "read" && asleep.now) watching.pause(); // both are read, and neither is answered
    if (operation !== "pings") return "pass";
    // The second read of a slot is the one before a death is told.
    asleep.now ||= worlds.own.now() - readAt < PERIOD_MS / 2;
    readAt = worlds.own.now();
    return "pass";
  });
  await worlds.until(() => asleep.now);
  expect(heard).toEqual(["k alive initial"]);
  holder.heal();
  await worlds.sleep(5);
  watching.intercept();
  watching.resume();
  await worlds.together(6);
  expect(heard).toEqual(["k alive initial"]);
});

it("a planned absence that begins in the moment of waking lasts", async () => {
  const worlds = new Worlds();
  const [a, w] = [await worlds.sleepy(), await worlds.awake()];
  const pinger = a.pinger("k");
  await pinger.start();
  await w.pinger("another").start();
  await worlds.together(5);
  await worlds.sleep(10);
  const stopping = pinger.stop({ holdMs: 8 * PERIOD_MS });
  await worlds.together(4);
  await stopping;
  expect(await aliveIn(w, "k")).toEqual([true]);
});

it("a planned absence that is called for in the moment of waking lasts, though the presence is closed then", async () => {
  const worlds = new Worlds();
  let lost = 0;
  const link = wrap(worlds.store, (namespace) => ({
    ping: (slot, seq) => (lost-- > 0 ? new Promise<never>(() => {}) : namespace.ping(slot, seq)),
  }));
  const [a, w] = [await worlds.sleepy(link), await worlds.awake()];
  const pinger = a.pinger("k");
  await pinger.start();
  await w.pinger("another").start();
  await worlds.together(5);
  lost = 1; // its connection has not survived the sleep
  worlds.own.step(1000);
  const calls = Promise.all([pinger.stop({ holdMs: 20 * PERIOD_MS }), a.close()]);
  await worlds.together(4);
  await calls;
  expect(await aliveIn(w, "k")).toEqual([true]);
});

it("what is stopped in the moment of waking, before its namespace is dropped, is not written after that", async () => {
  const worlds = new Worlds();
  let isSlow = false;
  const later = (ms: number): Promise<void> =>
    new Promise((resolve) => void worlds.own.setTimer(resolve, ms));
  const link = wrap(worlds.store, (namespace) => ({
    ping: async (slot, seq) => {
      if (isSlow) await later(400);
      return namespace.ping(slot, seq);
    },
    drop: async () => {
      await namespace.drop();
      await later(800);
    },
  }));
  const a = await worlds.sleepy(link);
  const pinger = a.pinger("k");
  await pinger.start();
  await worlds.together(5.05);
  isSlow = true;
  worlds.own.step(1000);
  const calls = Promise.allSettled([pinger.stop(), a.drop()]);
  await worlds.together(4);
  await calls;
  expect(worlds.store.counts("presence")).toEqual({ sessions: 0, registrations: 0, pings: 0 });
});

it("a planned absence lasts, though the machine sleeps while its session is being opened", async () => {
  const worlds = new Worlds();
  let [isHeld, hasSlept] = [false, false];
  let answer: (() => void) | undefined;
  const link = wrap(worlds.store, (namespace) => ({
    ping: async (slot, seq) => {
      if (hasSlept) await new Promise<void>((resolve) => void worlds.own.setTimer(resolve, 50));
      return namespace.ping(slot, seq);
    },
    read: async function* (query) {
      if (isHeld) await new Promise<void>((resolve) => (answer = resolve));
      yield* namespace.read(query);
    },
  }));
  const [a, w] = [await worlds.sleepy(link), await worlds.awake()];
  await w.pinger("another").start();
  const pinger = a.pinger("k");
  isHeld = true;
  const calls = Promise.all([pinger.start(), pinger.stop({ holdMs: 8 * PERIOD_MS })]);
  await worlds.until(() => answer !== undefined);
  await worlds.sleep(10);
  [isHeld, hasSlept] = [false, true];
  answer?.();
  await worlds.together(4);
  await calls;
  expect(await aliveIn(w, "k")).toEqual([true]);
});

it("what another has dropped is not set up again by a write that was given up in the moment of waking", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const held = { ping: false, config: false };
  const answers: (() => void)[] = [];
  const wait = (): Promise<void> => new Promise((resolve) => answers.push(resolve));
  const link = wrap(store, (namespace) => ({
    ping: async (slot, seq) => {
      if (held.ping) await wait();
      return namespace.ping(slot, seq);
    },
    config: async () => {
      if (held.config) await wait();
      return namespace.config();
    },
  }));
  const a = await Presence.open(link, { periodMs: PERIOD_MS, clock });
  const pinger = a.pinger("k");
  await pinger.start();
  await clock.advance(8.05 * PERIOD_MS);
  await (await Presence.open(store, { periodMs: PERIOD_MS, clock })).drop();
  held.config = true;
  while (answers.length === 0) await clock.advance(PERIOD_MS / 100); // its records are gone: so it looks at the config
  const [...configs] = answers.splice(0);
  held.ping = true;
  clock.step(100);
  const stopping = pinger.stop().catch(() => {});
  await clock.advance(1);
  expect(answers).not.toEqual([]); // the ping, before the stop is written
  held.config = held.ping = false;
  for (const tell of configs) tell();
  await clock.advance(20);
  for (const tell of answers) tell();
  await clock.advance(4 * PERIOD_MS);
  await stopping;
  expect([await store.namespace("presence").config(), a.session]).toEqual([undefined, undefined]);
  expect(store.counts("presence").sessions).toBe(0);
});

it("many that are stopped in the moment of waking ping once before they are written", async () => {
  const worlds = new Worlds();
  let pings = 0;
  const link = wrap(worlds.store, (namespace) => ({
    ping: (slot, seq) => {
      pings++;
      return namespace.ping(slot, seq);
    },
  }));
  const a = await worlds.sleepy(link);
  const pingers = Array.from({ length: 1000 }, (_, index) => a.pinger(`k${index}`));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  await worlds.together(5);
  worlds.own.step(1000);
  pings = 0;
  const stopping = Promise.all(pingers.map((pinger) => pinger.stop()));
  await worlds.together(2);
  await stopping;
  expect(pings).toBeLessThanOrEqual(4); // two of them are those of the two slots
});

it("writes at the moment of waking succeed even if the session is being opened again", async () => {
  const worlds = new Worlds();
  let [refuses, isSlow] = [false, false];
  const waiting: (() => void)[] = [];
  const refusal = new HeartbitError("STORE_UNAVAILABLE", "It refuses.");
  const link = wrap(worlds.store, (namespace) => ({
    write: (writes) => (refuses ? Promise.reject(refusal) : namespace.write(writes)),
    ping: async (slot, seq) => {
      if (isSlow) await new Promise<void>((resolve) => waiting.push(resolve));
      return namespace.ping(slot, seq);
    },
  }));
  const [a, w] = [await worlds.sleepy(link), await worlds.awake()];
  const pinger = a.pinger("k");
  await pinger.start();
  await w.pinger("another").start();
  const hearing = hear(a.watcher(), { all: true });
  await worlds.together(5);
  await hearing;
  refuses = true;
  const stopping = pinger.stop({ holdMs: 100 * PERIOD_MS });
  await worlds.together(0.02);
  [refuses, isSlow] = [false, true];
  worlds.own.step(1000);
  await worlds.own.advance(PERIOD_MS / 18); // it is written again, after a ping
  await worlds.world.advance(PERIOD_MS / 18);
  const namespace = worlds.store.namespace("presence");
  await namespace.write([{ kind: "endSession", session: a.session ?? NaN, last: 0 }]);
  await Promise.resolve();
  isSlow = false;
  for (const answer of waiting) answer();
  await worlds.together(8);
  await stopping;
  expect(await aliveIn(w, "k")).toEqual([true]);
});

it("what is stopped and started again in the moment of waking is alive", async () => {
  const worlds = new Worlds();
  const [a, w] = [await worlds.sleepy(), await worlds.awake()];
  const pinger = a.pinger("k");
  await pinger.start();
  await worlds.together(5);
  await worlds.sleep(10);
  const calls = Promise.all([pinger.stop(), pinger.start()]);
  await worlds.together(4);
  await calls;
  expect(pinger.state).toBe("started");
  expect(await aliveIn(w, "k")).toEqual([true]);
});

it("`vouchedUntil` is no later than a watcher can tell, though the machine has slept for a moment before its ping", async () => {
  const worlds = new Worlds();
  const link = new FaultyStore(worlds.store);
  const [a, w] = [await worlds.sleepy(link), await worlds.awake()];
  await a.pinger("k").start();
  await w.pinger("another").start();
  const hearing = hear(w.watcher(), "k");
  await worlds.together(5);
  const heard = await hearing;
  await worlds.together(0.05); // in the slot, before the ping
  await worlds.sleep(0.049);
  const before = a.vouchedUntil?.getTime();
  await worlds.until(() => a.vouchedUntil?.getTime() !== before);
  link.fail();
  await worlds.until(() => heard.length === 2);
  expect(heard).toEqual(["k alive initial", "k dead expired"]);
  const until = a.vouchedUntil?.getTime() ?? NaN;
  expect(until - worlds.own.now()).toBeLessThan(PERIOD_MS / 100);
});

it("an answer to a ping from before a sleep, heard after it, moves nobody's slots", async () => {
  const worlds = new Worlds();
  let isLate = false;
  let answer: (() => void) | undefined;
  const link = wrap(worlds.store, (namespace) => ({
    ping: async (slot, seq) => {
      const pong = await namespace.ping(slot, seq);
      if (!isLate) return pong;
      isLate = false;
      return new Promise<Pong>((resolve) => (answer = () => resolve(pong)));
    },
  }));
  const [a, w] = [await worlds.sleepy(link), await worlds.awake()];
  await a.pinger("k").start();
  await w.pinger("another").start();
  await worlds.together(5);
  isLate = true;
  await worlds.until(() => answer !== undefined);
  await worlds.sleep(10);
  await worlds.together(0.9); // it has pinged again, and been answered
  answer?.();
  await worlds.together(6);
  expect((await worlds.store.namespace("presence").config())?.offset).toBe(0);
});

it("a process that was stopped while it pinged, and hears the answer before it gives up, moves nobody's slots", async () => {
  const worlds = new Worlds();
  let isHeld = false;
  let answer: (() => void) | undefined;
  const link = wrap(worlds.store, (namespace) => ({
    ping: async (slot, seq) => {
      if (isHeld) await new Promise<void>((resolve) => (answer = resolve));
      return namespace.ping(slot, seq);
    },
  }));
  let stoppedMs = 0; // its timers are as late
  const clock: Clock = {
    now: () => worlds.own.now() + stoppedMs,
    monotonic: () => worlds.own.monotonic() + stoppedMs,
    setTimer: (due, delayMs) => worlds.own.setTimer(due, delayMs),
  };
  const [a, w] = [await worlds.sleepy(link, { clock }), await worlds.awake()];
  const told: string[] = [];
  w.on("health", ({ reason = "healthy" }) => told.push(reason));
  await a.pinger("k").start();
  await w.pinger("another").start();
  await worlds.together(5);
  isHeld = true;
  await worlds.until(() => answer !== undefined);
  await worlds.world.advance(6 * PERIOD_MS);
  stoppedMs = 6 * PERIOD_MS;
  isHeld = false;
  answer?.();
  await worlds.together(6);
  expect((await worlds.store.namespace("presence").config())?.offset).toBe(0);
  expect(told).toEqual([]);
});

it("a clock that is set while a ping is under way is no suspicion", async () => {
  const worlds = new Worlds();
  let isSet = false;
  const link = wrap(worlds.store, (namespace) => ({
    ping: async (slot, seq) => {
      if (isSet) worlds.own.step(-3 * PERIOD_MS);
      isSet = false;
      return namespace.ping(slot, seq);
    },
  }));
  const presence = await worlds.sleepy(link);
  const told: string[] = [];
  presence.on("health", ({ reason = "healthy" }) => told.push(reason));
  await presence.pinger("k").start();
  await worlds.together(5);
  isSet = true;
  worlds.own.step(-2 * PERIOD_MS);
  await worlds.together(5);
  expect(told).toEqual([]);
});
