import { describe, expect, it } from "vitest";
import type { RegistrationRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import { type HeartbitError, type Pinger, Presence } from "../../src/index.ts";
import { Slices } from "../../src/lib/timers.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { aliveFor, hear, PERIOD_MS, startAll, texts, words, wrap } from "./support.ts";
import { bench, link, other, presence } from "./two-presences.ts";

const never = <T>(): Promise<T> => new Promise<T>(() => {});

describe("retentions that differ", () => {
  it.each([
    [120, 10],
    [1000, 120],
  ])(
    "a process that comes back is seen by every watcher (retention of the holder %d, of the watcher %d)",
    async (holds, watches) => {
      const { presence: holder, link: away } = await bench.open({ retentionSlots: holds });
      const { presence: watching } = await bench.open({ retentionSlots: watches });
      await holder.pinger("k").start();
      const heard = await hear(watching.watcher(), "k");
      await bench.periods(20);
      away.fail();
      await bench.periods(holds * 0.4);
      away.heal();
      await bench.periods(200);
      expect([await aliveFor(other), heard]).toEqual([
        ["k"],
        ["k alive initial", "k dead expired", "k alive joined"],
      ]);
    },
  );
});

/** A watcher whose pings, and questions for the time, are `ms` on their way to the store; reads are quick. */
async function farAway(ms: number) {
  const way = { ms };
  const go = async (): Promise<void> => {
    if (way.ms > 0) await new Promise<void>((resolve) => void bench.clock.setTimer(resolve, way.ms));
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
    await startAll(presence, ["k"]);
    await startAll(other, ["l"]);
    let deadAt = Infinity;
    far.watcher().watch("k", ({ alive }) => (deadAt = alive ? deadAt : bench.clock.now()));
    await bench.periods(8.5 - bench.now);
    link.fail();
    const vouched = presence.vouchedUntil?.getTime() ?? 0;
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

describe("a drop that fails", () => {
  it("a key that another process kills meanwhile is taken up again", async () => {
    const pinger = presence.pinger("k");
    let killed = 0;
    pinger.on("killed", () => killed++);
    await pinger.start();
    await hear(presence.watcher(), "k"); // its feed tells of the kill at once
    await bench.periods(3);
    link.intercept((operation) => (operation === "drop" ? "fail" : "pass"));
    const dropped = presence.drop().catch((error: unknown) => error);
    await bench.periods(0.1);
    expect(await other.kill("k")).toBe(1);
    await bench.periods(2);
    expect(await dropped).toMatchObject({ code: "STORE_UNAVAILABLE" });
    await bench.periods(30);
    expect([pinger.state, killed, await bench.alive()]).toEqual(["started", 1, ["k"]]);
  });
});

describe("short periods: an activity waits two seconds for one lost answer", () => {
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
});

/** A store and a process that is awake, and one whose machine sleeps: its clock stands still then. */
class Sleeper {
  readonly world = new ManualClock();
  readonly own = new ManualClock();
  readonly store = new MemoryStore({ clock: this.world });
  readonly link = new FaultyStore(this.store);
  readonly sleepy = Presence.open(this.link, { periodMs: PERIOD_MS, clock: this.own });
  readonly awake = Presence.open(this.store, { periodMs: PERIOD_MS, clock: this.world });

  async together(periods: number): Promise<void> {
    for (let step = 0; step < periods * 20; step++) {
      await this.world.advance(PERIOD_MS / 20);
      await this.own.advance(PERIOD_MS / 20);
    }
  }

  async sleep(periods: number): Promise<void> {
    await this.world.advance(periods * PERIOD_MS);
    this.own.step(periods * PERIOD_MS);
  }
}

describe("times after a sleep", () => {
  it.each([0, 4])(
    "a key that was stopped for %d periods is not held longer because its machine slept before that was written",
    async (periods) => {
      const one = new Sleeper();
      const pinger = (await one.sleepy).pinger("k");
      await pinger.start();
      await (await one.awake).pinger("l").start();
      await one.together(5);
      one.link.fail();
      const slot = Math.floor(one.world.now() / PERIOD_MS);
      const stopped = pinger.stop({ holdMs: periods * PERIOD_MS });
      await one.together(0.2);
      await one.sleep(100);
      one.link.heal();
      await one.together(1);
      await stopped;
      const stored: RegistrationRecord[] = [];
      const query = { select: EVERYTHING };
      for await (const page of one.store.namespace("presence").read(query))
        stored.push(...page.registrations);
      const last = stored.find(({ key }) => key === "k")?.last ?? 0;
      expect(last - slot).toBeLessThanOrEqual(periods);
    },
  );

  it.each(["pinger", "hold"] as const)(
    "a key that is taken as soon as its machine wakes up is held since then (%s)",
    async (how) => {
      const one = new Sleeper();
      const [sleepy, awake] = [await one.sleepy, await one.awake];
      await sleepy.pinger("x").start();
      await one.together(5);
      await one.world.advance(50 * PERIOD_MS);
      await awake.pinger("duty", { meta: "leader" }).start();
      await one.world.advance(50 * PERIOD_MS);
      one.own.step(100 * PERIOD_MS);
      const woke = one.world.now();
      const meta = "just woken up";
      const taken =
        how === "hold" ? sleepy.hold([{ key: "duty", meta }]) : sleepy.pinger("duty", { meta }).start();
      await one.together(3);
      await taken;
      const holders = (await awake.list({ key: "duty" })).keys[0]?.holders ?? []; // oldest first
      expect(holders.map((holder) => holder.meta)).toEqual(["leader", meta]);
      expect(holders[1]?.since.getTime()).toBeGreaterThanOrEqual(woke);
    },
  );

  it("a key that was killed in a planned absence, and is started again, is held since then", async () => {
    const pinger = presence.pinger("k");
    await pinger.start();
    await bench.periods(2);
    await pinger.stop({ holdMs: 100 * PERIOD_MS });
    await bench.periods(2);
    expect(await other.kill("k")).toBe(1);
    await bench.periods(20);
    const started = bench.clock.now();
    await pinger.start();
    const { keys } = await other.list({ key: "k" });
    expect(keys[0]?.since.getTime()).toBeGreaterThanOrEqual(started);
  });
});

const restarting = async (): Promise<Pinger> => {
  const [a, b] = (await startAll(presence, ["a", "b"])) as [Pinger, Pinger];
  a.once("killed", () => void Promise.all([b.stop(), b.start()]));
  await bench.periods(2);
  await other.drop();
  await bench.periods(10);
  return b;
};

describe("a drop by another, and calls in the `killed` listeners", () => {
  it("a pinger that one of them restarts is started", async () => {
    const b = await restarting();
    expect([b.state, await bench.alive()]).toEqual(["started", ["b"]]);
  });

  it("a pinger that one of them restarts can be ended", async () => {
    const b = await restarting();
    await b.kill();
    await bench.periods(10);
    expect(await bench.alive()).toEqual([]);
  });

  it("a pinger that one of them stops has no `killed`", async () => {
    const [a, b] = (await startAll(presence, ["a", "b"])) as [Pinger, Pinger];
    let killed = 0;
    b.on("killed", () => killed++);
    a.once("killed", () => void b.stop());
    await bench.periods(2);
    await other.drop();
    await bench.periods(10);
    expect(killed).toBe(0);
  });

  it("a start that waited for a kill by key, and is refused because of the drop, leaves the pinger stopped", async () => {
    const pinger = presence.pinger("k");
    await startAll(presence, ["x"]);
    await hear(presence.watcher(), "x"); // notices the drop soon
    await bench.periods(2.45);
    link.intercept((operation) => (operation === "kill" ? "fail" : "pass"));
    pinger.kill().catch(() => {});
    const refused = pinger.start().then(
      () => "started",
      (error: HeartbitError) => error.code,
    );
    await other.drop();
    await bench.periods(4);
    link.intercept();
    await bench.periods(4);
    expect(await refused).toBe("CONFIG_MISMATCH");
    expect(pinger.state).not.toBe("started");
  });
});

describe("calls that reject after a while", () => {
  it.each([5000, 60_000, 3_600_000])(
    "kills do, and hold up no list, while reads are answered and writes are not (period %d)",
    async (P) => {
      let isAway = false;
      const p = await bench.openWith(
        (namespace) => ({
          ping: (slot, seq) => (isAway ? never() : namespace.ping(slot, seq)),
          write: (writes, signal) => (isAway ? never() : namespace.write(writes, signal)),
          kill: (key) => (isAway ? never() : namespace.kill(key)),
        }),
        { periodMs: P, name: "n" },
      );
      await p.pinger("k").start();
      await bench.clock.advance(P * 1.05);
      isAway = true; // its majority is
      await bench.clock.advance(P * 0.45); // a ping is under way
      const began = bench.clock.monotonic();
      const took: number[] = [];
      const note = (): unknown => took.push(bench.clock.monotonic() - began);
      for (let count = 0; count < 3; count++) p.kill("k").then(note, note);
      p.list().then(note, note);
      await bench.clock.advance(4 * P + 60_000);
      expect(took).toHaveLength(4);
      expect(Math.max(...took)).toBeLessThanOrEqual(10_500);
    },
  );

  it.each([
    [5000, 5500],
    [3_600_000, 10_500],
  ])("a sync does, though a load was under way before it (period %d)", async (P, mostMs) => {
    const { presence: p, link: away } = await bench.open({ periodMs: P, name: "n" });
    const watcher = p.watcher();
    await hear(watcher, "x");
    await bench.clock.advance(1000);
    away.pause();
    watcher.watch("y", () => {});
    await bench.clock.advance(1000);
    const began = bench.clock.monotonic();
    let took = Infinity;
    watcher.sync().catch(() => (took = bench.clock.monotonic() - began));
    await bench.clock.advance(1_000_000);
    expect(took).toBeLessThanOrEqual(mostMs);
  });

  it.each([5000, 3_600_000])(
    "a close ends its keys though one call of the store fails (period %d)",
    async (P) => {
      const { presence: p, link: l } = await bench.open({ periodMs: P, name: "n" });
      const { presence: o } = await bench.open({ periodMs: P, name: "n" });
      await p.pinger("k").start();
      await bench.clock.advance(P * 3);
      let left = 1;
      l.intercept((operation) => (operation === "write" && left-- > 0 ? "fail" : "pass"));
      const closing = p.close();
      await bench.clock.advance(11_000);
      await closing;
      expect(await aliveFor(o)).toEqual([]);
    },
  );
});

describe("a feed that is live", () => {
  it("a kill is reported at once, though another subscription is just getting its state", async () => {
    const isOver = Object.getOwnPropertyDescriptor(Slices.prototype, "isOver")!;
    const { presence: watching } = await bench.open();
    await presence.hold([...texts(3000, "k"), "m"]);
    const watcher = watching.watcher();
    const heard = await hear(watcher, "m");
    await bench.periods(1.3);
    Object.defineProperty(Slices.prototype, "isOver", { get: () => true, configurable: true }); // a turn after each step
    let isFirst = true;
    watcher.watch({ prefix: "k" }, () => {
      if (isFirst) void bench.stored.kill("m"); // by another process
      isFirst = false;
    });
    for (let turns = 0; turns < 5000; turns++) await new Promise((resolve) => setImmediate(resolve));
    await bench.periods(0.1);
    Object.defineProperty(Slices.prototype, "isOver", isOver);
    expect(heard).toEqual(["m alive initial", "m dead killed"]);
  });
});
