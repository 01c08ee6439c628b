import { expect, it } from "vitest";
import type { RegistrationRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import { type Clock, type Lapse, type Pinger, Presence, type PresenceOptions } from "../../src/index.ts";
import type { Pong, Store } from "../../src/core/store.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { aliveFor, hear, PERIOD_MS, type Replace, startAll, texts, wrap } from "./support.ts";

/** Calls that wait while it is closed. */
class Gate {
  isClosed = false;
  readonly waiting: (() => void)[] = [];

  async pass(): Promise<void> {
    if (this.isClosed) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  open(): void {
    this.isClosed = false;
    for (const goOn of this.waiting.splice(0)) goOn();
  }
}

/**
 * The store and whoever opens it with `world`, and a machine of its own clock, which sleeps: the monotonic clock of Linux
 * stands still then, and only the wall clock has gone on.
 */
class Worlds {
  readonly world = new ManualClock();
  readonly own = new ManualClock();
  readonly store = new MemoryStore({ clock: this.world });
  /** Of the machine that will sleep: its pings wait here before they happen, `sent` of them, and the next `lost` never do. */
  readonly pings = new Gate();
  sent = 0;
  lost = 0;

  awake(): Promise<Presence> {
    return Presence.open(this.store, { periodMs: PERIOD_MS, clock: this.world });
  }

  /** Opened on the machine that will sleep. */
  sleepy(store: Store = this.store, options: PresenceOptions = {}): Promise<Presence> {
    const link = wrap(store, (namespace) => ({
      ping: async (slot, seq) => {
        this.sent++;
        if (this.lost-- > 0) return new Promise<never>(() => {});
        await this.pings.pass();
        return namespace.ping(slot, seq);
      },
    }));
    return Presence.open(link, { periodMs: PERIOD_MS, clock: this.own, ...options });
  }

  /** For five periods the machine that will sleep holds `k`, and another holds a key of its own, and watches `k`. */
  async begin({ store = this.store, options = {} }: { store?: Store; options?: PresenceOptions } = {}) {
    const [presence, other] = [await this.sleepy(store, options), await this.awake()];
    const lapses: Lapse[] = [];
    presence.on("lapse", (lapse) => lapses.push(lapse));
    const healths: string[] = [];
    for (const one of [presence, other]) one.on("health", ({ reason = "healthy" }) => healths.push(reason));
    const pinger = presence.pinger("k");
    await Promise.all([pinger.start(), other.pinger("another").start()]);
    const hearing = hear(other.watcher(), "k");
    await this.together(5);
    return { presence, other, pinger, lapses, healths, heard: await hearing };
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

  /** By how many slots the slots were moved. */
  async offset(): Promise<number | undefined> {
    return (await this.store.namespace("presence").config())?.offset;
  }
}

it.each([
  { slept: 3, unanswered: 0 },
  { slept: 10, unanswered: 0 },
  { slept: 1000, unanswered: 0 },
  { slept: 10, unanswered: 1 },
  { slept: 10, unanswered: 2 },
  { slept: 10, unanswered: 3 },
])(
  "a machine that slept for $slept periods learns once that it was reported dead, though $unanswered of its pings are lost then",
  async ({ slept, unanswered }) => {
    const worlds = new Worlds();
    const { presence, heard, lapses } = await worlds.begin();
    const asleep = worlds.own.now();
    await worlds.sleep(slept);
    worlds.lost = unanswered;
    expect(presence.vouchedUntil?.getTime()).toBeLessThan(worlds.own.now());
    await worlds.together(6);
    expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    expect(lapses).toHaveLength(1);
    const { from, to } = lapses[0] as Lapse;
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
  const { heard, lapses } = await worlds.begin();
  await worlds.sleep(4);
  worlds.own.step(set * PERIOD_MS);
  await worlds.together(3);
  expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
  expect(lapses).toHaveLength(1);
  const { from, to } = lapses[0] as Lapse;
  expect((to.getTime() - from.getTime()) / PERIOD_MS).toBeGreaterThan(2.5);
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

it("a watcher whose clock is set ahead in the moment of reporting a crash reports it in time", async () => {
  const worlds = new Worlds();
  const [holder, watching] = [new FaultyStore(worlds.store), new FaultyStore(worlds.store)];
  const a = await Presence.open(holder, { periodMs: PERIOD_MS, clock: worlds.world });
  const [w, other] = [await worlds.sleepy(watching), await worlds.awake()];
  await startAll(a, ["k"]);
  await startAll(other, ["another"]);
  const hearing = hear(w.watcher(), "k");
  await worlds.together(8);
  const heard = await hearing;
  let [reads, most, since] = [0, 0, -Infinity];
  watching.intercept((operation) => {
    if (operation !== "pings") return "pass";
    reads = worlds.own.monotonic() - since < PERIOD_MS / 2 ? reads + 1 : 1;
    since = worlds.own.monotonic();
    most = Math.max(most, reads);
    if (reads === 3) worlds.own.step(3 * PERIOD_MS); // in the one that confirms the death
    return "pass";
  });
  holder.fail();
  await worlds.together(2.55);
  expect(heard).toEqual(["k alive initial", "k dead expired"]);
  expect(most).toBe(4);
});

const absence = { holdMs: 8 * PERIOD_MS };
it.each([
  { what: "its planned absence begins", slept: 10, calls: (pinger: Pinger) => [pinger.stop(absence)] },
  {
    what: "it is stopped and started",
    slept: 10,
    calls: (pinger: Pinger) => [pinger.stop(), pinger.start()],
  },
  {
    what: "its planned absence begins, and the presence is closed,",
    slept: 0.2,
    calls: (pinger: Pinger, presence: Presence) => [pinger.stop(absence), presence.close()],
  },
])(
  "a key is alive when $what in the moment of waking, though a ping is lost then",
  async ({ slept, calls }) => {
    const worlds = new Worlds();
    const { presence, pinger, other } = await worlds.begin();
    await worlds.sleep(slept);
    worlds.lost = 1; // its connection has not survived the sleep
    const called = Promise.all(calls(pinger, presence));
    await worlds.together(4);
    await called;
    expect(await aliveFor(other)).toContain("k");
  },
);

it("a planned absence lasts, though the machine sleeps while its session is being opened", async () => {
  const worlds = new Worlds();
  const reads = new Gate();
  const reading: Replace = (namespace) => ({
    read: async function* (query) {
      await reads.pass();
      yield* namespace.read(query);
    },
  });
  const [sleepy, other] = [await worlds.sleepy(wrap(worlds.store, reading)), await worlds.awake()];
  await other.pinger("another").start();
  const pinger = sleepy.pinger("k");
  reads.isClosed = true;
  const calls = Promise.all([pinger.start(), pinger.stop(absence)]);
  await worlds.until(() => reads.waiting.length > 0);
  await worlds.sleep(5);
  worlds.pings.isClosed = true;
  worlds.own.setTimer(() => worlds.pings.open(), 50);
  reads.open();
  await worlds.together(4);
  await calls;
  expect(await aliveFor(other)).toContain("k");
  await worlds.together(3);
  expect(await aliveFor(other)).not.toContain("k"); // the sleep counts
});

it("what another has dropped is not set up again by a write that was given up in the moment of waking", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const [pings, configs] = [new Gate(), new Gate()];
  const link = wrap(store, (namespace) => ({
    ping: (slot, seq) => pings.pass().then(() => namespace.ping(slot, seq)),
    config: () => configs.pass().then(() => namespace.config()),
  }));
  const a = await Presence.open(link, { periodMs: PERIOD_MS, clock });
  const pinger = a.pinger("k");
  await pinger.start();
  await clock.advance(8.05 * PERIOD_MS);
  await (await Presence.open(store, { periodMs: PERIOD_MS, clock })).drop();
  configs.isClosed = true;
  while (configs.waiting.length === 0) await clock.advance(PERIOD_MS / 100); // its records are gone: so it looks at it
  pings.isClosed = true;
  clock.step(100);
  const stopping = pinger.stop().catch(() => {});
  await clock.advance(1);
  expect(pings.waiting).not.toEqual([]); // before the stop is written
  configs.open();
  await clock.advance(20);
  pings.open();
  await clock.advance(4 * PERIOD_MS);
  await stopping;
  expect([await store.namespace("presence").config(), a.session]).toEqual([undefined, undefined]);
  expect(store.counts("presence").sessions).toBe(0);
});

it("many that are stopped in the moment of waking ping once before they are written", async () => {
  const worlds = new Worlds();
  const { presence } = await worlds.begin();
  const pingers = await startAll(presence, texts(1000, "k"));
  worlds.own.step(1000);
  worlds.sent = 0;
  const stopping = Promise.all(pingers.map((pinger) => pinger.stop()));
  await worlds.together(2);
  await stopping;
  expect(worlds.sent).toBeLessThanOrEqual(4); // two of them are those of the two slots
});

it("`vouchedUntil` is no later than a watcher can tell, though the machine has slept for a moment before its ping", async () => {
  const worlds = new Worlds();
  const link = new FaultyStore(worlds.store);
  const { presence, heard } = await worlds.begin({ store: link });
  await worlds.together(0.05); // in the slot, before the ping
  await worlds.sleep(0.049);
  const before = presence.vouchedUntil?.getTime();
  await worlds.until(() => presence.vouchedUntil?.getTime() !== before);
  link.fail();
  await worlds.until(() => heard.length === 2);
  expect(heard).toEqual(["k alive initial", "k dead expired"]);
  const until = presence.vouchedUntil?.getTime() ?? NaN;
  expect(until - worlds.own.now()).toBeLessThan(PERIOD_MS / 100);
});

it("an answer to a ping from before a sleep, heard after it, moves nobody's slots", async () => {
  const worlds = new Worlds();
  const answers = new Gate();
  let pong: Promise<Pong> | undefined;
  const answering: Replace = (namespace) => ({
    ping: async (slot, seq) => {
      pong = namespace.ping(slot, seq);
      await answers.pass();
      return pong;
    },
  });
  await worlds.begin({ store: wrap(worlds.store, answering) });
  answers.isClosed = true;
  await worlds.until(() => answers.waiting.length > 0);
  answers.isClosed = false;
  await worlds.sleep(10);
  await worlds.together(0.9); // it has pinged again, and been answered
  answers.open();
  await worlds.together(6);
  expect(await worlds.offset()).toBe(0);
});

it("a process that was stopped while it pinged, and hears the answer before it gives up, moves nobody's slots", async () => {
  const worlds = new Worlds();
  let stoppedMs = 0; // its timers are as late
  const clock: Clock = {
    now: () => worlds.own.now() + stoppedMs,
    monotonic: () => worlds.own.monotonic() + stoppedMs,
    setTimer: (due, delayMs) => worlds.own.setTimer(due, delayMs),
  };
  const { other } = await worlds.begin({ options: { clock } });
  const reasons: string[] = [];
  other.on("health", ({ reason = "healthy" }) => reasons.push(reason));
  worlds.pings.isClosed = true;
  await worlds.until(() => worlds.pings.waiting.length > 0);
  await worlds.world.advance(6 * PERIOD_MS);
  stoppedMs = 6 * PERIOD_MS;
  worlds.pings.open();
  await worlds.together(6);
  expect(await worlds.offset()).toBe(0);
  expect(reasons).toEqual([]);
});

it("a clock that is set while a ping is under way is no suspicion", async () => {
  const worlds = new Worlds();
  const { healths } = await worlds.begin();
  worlds.own.step(-2 * PERIOD_MS);
  worlds.pings.isClosed = true;
  await worlds.until(() => worlds.pings.waiting.length > 0);
  worlds.own.step(-3 * PERIOD_MS);
  worlds.pings.open();
  await worlds.together(5);
  expect(healths).toEqual([]);
});

it.each([0, 4])(
  "a key stopped for %d periods is held no longer because its machine slept before that was written",
  async (periods) => {
    const worlds = new Worlds();
    const link = new FaultyStore(worlds.store);
    const { pinger } = await worlds.begin({ store: link });
    link.fail();
    const slot = Math.floor(worlds.world.now() / PERIOD_MS);
    const stopped = pinger.stop({ holdMs: periods * PERIOD_MS });
    await worlds.together(0.2);
    await worlds.sleep(100);
    link.heal();
    await worlds.together(1);
    await stopped;
    const stored: RegistrationRecord[] = [];
    const query = { select: EVERYTHING };
    for await (const page of worlds.store.namespace("presence").read(query))
      stored.push(...page.registrations);
    const last = stored.find(({ key }) => key === "k")?.last ?? 0;
    expect(last - slot).toBeLessThanOrEqual(periods);
  },
);

it.each(["pinger", "hold"] as const)(
  "a key that is taken as soon as its machine wakes up is held since then (%s)",
  async (how) => {
    const worlds = new Worlds();
    const { presence, other } = await worlds.begin();
    await worlds.sleep(50);
    await other.pinger("duty", { meta: "leader" }).start();
    await worlds.sleep(50);
    const woke = worlds.world.now();
    const meta = "just woken up";
    const taken =
      how === "hold" ? presence.hold([{ key: "duty", meta }]) : presence.pinger("duty", { meta }).start();
    await worlds.together(3);
    await taken;
    const holders = (await other.list({ key: "duty" })).keys[0]?.holders ?? []; // oldest first
    expect(holders.map((holder) => holder.meta)).toEqual(["leader", meta]);
    expect(holders[1]?.since.getTime()).toBeGreaterThanOrEqual(woke);
  },
);
