/** Of many: what would take minutes, were its time the square of their number. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, type Listing, Presence, type WatchTarget } from "../../src/index.ts";
import type { Page } from "../../src/core/store.ts";
import { internalsOf } from "../../src/presence/internals.ts";
import { Roster } from "../../src/core/roster.ts";
import { Subscription } from "../../src/core/subscriptions.ts";
import { pingsOf, registrationOf, rosterOf } from "../core/histories.ts";
import { hear, readThrough, slicing, startAll, texts, words } from "./support.ts";
import { bench, other, presence } from "./two-presences.ts";

const MANY = 20_000;
const nothing = (): void => {};
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("many", () => {
  let before: NodeJS.CpuUsage;
  beforeEach(() => void (before = process.cpuUsage()));
  // Time on a processor: others on this machine lengthen what a clock says.
  afterEach(() => expect(process.cpuUsage(before).user / 1e6).toBeLessThan(15));

  it.each([
    ["keys", texts(MANY, "key-")],
    ["prefixes", texts(MANY, "prefix-").map((prefix) => ({ prefix: `${prefix}-` }))],
  ])("%s are watched and left one by one", async (_what, targets: WatchTarget[]) => {
    await presence.hold(texts(MANY, "prefix-").map((prefix) => `${prefix}-key`));
    const watcher = presence.watcher();
    for (const isLast of [false, true]) {
      for (const target of targets) watcher.watch(target, nothing);
      await watcher.sync();
      if (isLast) await watcher.stop();
      else for (const target of targets) watcher.unwatch(target, nothing);
    }
    await presence.close();
  });

  it("holders of one key that come one by one: each makes one holder for a receiver, not all of them again", async () => {
    let [reports, latest] = [0, [] as readonly object[]];
    const seen = new Set<object>();
    other.watcher().watch("room", ({ holders }) => {
      reports++;
      latest = holders;
      for (const holder of holders) seen.add(holder);
    });
    await other.watcher().sync();
    const joins = 200;
    for (let index = 0; index < joins; index++) {
      await presence.pinger("room", { meta: { index } }).start();
      await other.watcher().sync();
    }
    expect(reports).toBe(joins + 1);
    expect(latest).toMatchObject(Array.from({ length: joins }, (_, index) => ({ meta: { index } })));
    expect(seen.size).toBeLessThan(4 * joins);
  });

  it("keys that came and went while nobody took leave nothing that waits", async () => {
    const changes = other.watcher().changes({ all: true });
    await other.watcher().sync();
    for (let round = 0; round < 3; round++) {
      const pingers = await startAll(presence, texts(100, `key-${round}-`));
      await other.watcher().sync();
      expect(internalsOf(other).gauges().watching?.undelivered).toBe(100);
      await Promise.all(pingers.map((pinger) => pinger.kill()));
      await other.watcher().sync();
      expect(internalsOf(other).gauges().watching?.undelivered).toBe(0);
    }
    await presence.pinger("last").start();
    await other.watcher().sync();
    expect(words((await changes.next()).value)).toBe("last alive joined");
  });

  it("keys are killed one by one", async () => {
    const pingers = await startAll(presence, texts(5 * MANY, "key-"));
    await Promise.all(pingers.map((pinger) => pinger.kill()));
  });

  it("keys are listed in slices", async () => {
    const keys = Array.from({ length: 3000 }, (_, index) => `key-${(index * 7919) % 3000}`);
    await startAll(presence, keys);
    const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
    let turns = 0;
    const listings: Listing[] = [];
    void slicer.list().then((listing) => listings.push(listing));
    for (; listings.length === 0; turns++) await turn();
    expect(listings[0]?.keys.map(({ key }) => key)).toEqual(keys.toSorted());
    expect(turns).toBeGreaterThan(60); // of each 100 keys: when they are read, and when their states are made
  });

  it("small pieces of work share the slice of their turn: hundreds of prefixes are begun and forgotten in slices", async () => {
    const prefixes = Array.from({ length: 300 }, (_, index) => ({ prefix: `user/${index}/` }));
    await presence.hold(prefixes.map(({ prefix }) => `${prefix}key`));
    const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
    let turns = 0;
    let counting = true;
    const count = (): void => void (turns++, counting && setImmediate(count));
    setImmediate(count);
    const watcher = slicer.watcher();
    for (const prefix of prefixes) watcher.watch(prefix, nothing);
    await watcher.sync();
    expect(turns).toBeGreaterThan(100);
    turns = 0;
    for (const prefix of prefixes) watcher.unwatch(prefix, nothing);
    await watcher.sync();
    expect(turns).toBeGreaterThan(100);
    counting = false;
  });

  it("holders of one key are reported, and go with their presence", async () => {
    const watcher = other.watcher();
    await startAll(presence, Array<string>(MANY).fill("k"));
    const counts: number[] = [];
    watcher.watch("k", ({ holders }) => counts.push(holders.length));
    await watcher.sync();
    const second = other.watcher();
    second.watch("k", nothing);
    await watcher.stop();
    second.unwatch("k", nothing); // forgets all of them
    const again = await hear(other.watcher(), "k");
    await presence.close();
    await other.watcher().sync();
    expect([counts, again]).toEqual([[MANY], ["k alive initial", "k dead killed"]]);
  });

  it("changes are taken, by a few and one by one", () => {
    const roster = rosterOf(texts(5 * MANY, "key-"));
    const subscription = new Subscription({ all: true }, nothing);
    while (roster.isTouched) for (const change of roster.changes(50)) subscription.push(change, 0);
    let count = 0;
    while (subscription.take() !== undefined) count++;
    expect(count).toBe(5 * MANY);
  });

  it("keys are loaded, reported and ended in slices while others start and end keys: alive and dead alternate", async () => {
    const keys = texts(1500, "key-");
    const pingers = await startAll(presence, keys);
    const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
    const told = new Map<string, string[]>();
    slicer.watcher().watch({ all: true }, ({ key, alive }) => {
      told.set(key, [...(told.get(key) ?? []), alive ? "alive" : "dead"]);
    });
    let turns = 0;
    for (; told.size < keys.length; turns++) {
      await turn();
      const pinger = pingers[(turns * 37) % pingers.length];
      if (pinger?.state === "started") void pinger.kill();
      else void pinger?.start();
      if (told.size === 0) await bench.clock.advance(1);
    }
    await presence.close();
    while ([...told.values()].some((states) => states.at(-1) !== "dead")) await turn();
    expect(turns).toBeGreaterThan(20);
    for (const [key, states] of told) {
      const inTurn = states.map((_, index) => (index % 2 === 0 ? "alive" : "dead"));
      expect(states, key).toEqual(inTurn);
    }
  });

  it("keys that have ended are compared in slices when there is mail", async () => {
    let [looks, most] = [0, 0];
    const see = (page: Page): Page => ({
      ...page,
      registrations: page.registrations.map((registration) => ({
        ...registration,
        get key() {
          if (looks++ === 0) setImmediate(() => (looks = 0));
          most = Math.max(most, looks);
          return registration.key;
        },
      })),
    });
    const sliced = slicing(bench.clock);
    let clock: Clock = bench.clock;
    const current: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      setTimer: (due, delayMs) => clock.setTimer(due, delayMs),
    };
    const holder = await Presence.open(readThrough(bench.store, see), { clock: current, periodMs: 5000 });
    const holding = await holder.hold(texts(5000, "key-"));
    await holding.leave();
    const killed: number[] = [];
    await holder
      .pinger("k")
      .on("killed", () => killed.push(bench.now))
      .start();
    await other.kill("k");
    clock = sliced;
    for (let turns = 0; killed.length === 0 && turns < 2000; turns++)
      await (turns % 20 === 0 ? bench.clock.advance(500) : turn());
    clock = bench.clock;
    expect(killed).toHaveLength(1);
    expect(most).toBeGreaterThan(100);
    expect(most).toBeLessThan(2000);
    await holder.close();
  });

  it("the end of a process with many keys, as a feed reports it, is taken in slices", async () => {
    const keys = texts(10_000, "key-");
    await presence.hold(keys);
    const { presence: slicer } = await bench.open({ clock: slicing(bench.clock), feed: "auto" });
    const dead = new Set<string>();
    const watcher = slicer.watcher();
    watcher.watch({ all: true }, ({ key, alive }) => void (alive || dead.add(key)));
    await watcher.sync();
    await presence.close();
    let turns = 0;
    for (; dead.size === 0; turns++) await turn(); // nothing is reported before all is taken
    expect(turns).toBeGreaterThan(20);
    while (dead.size < keys.length) await turn();
    expect(watcher.state).toBe("running");
    await slicer.close(); // its time runs on while it is open
  });

  it("the end of many processes, as a feed reports it, is taken in slices", async () => {
    for (let process = 0; process < 10; process++) {
      const { presence: holder } = await bench.open();
      await holder.hold(texts(300, `key-${process}-`));
    }
    const { presence: slicer } = await bench.open({ clock: slicing(bench.clock), feed: "auto" });
    const dead = new Set<string>();
    const sessions = new Set<number>();
    const watcher = slicer.watcher();
    watcher.watch({ all: true }, ({ key, alive, holders }) => {
      if (!alive) dead.add(key);
      for (const { session } of holders) sessions.add(session);
    });
    await watcher.sync();
    await bench.stored.write([...sessions].map((session) => ({ kind: "endSession", session, last: 0 })));
    let turns = 0;
    for (; dead.size === 0; turns++) await turn();
    expect(turns).toBeGreaterThan(5); // nothing is reported before all is taken
    await slicer.close();
  });

  it("planned absences and new keys cost an evaluation nothing, and the end of another session either", () => {
    const roster = new Roster();
    const slots = 500;
    for (let seq = 1; seq <= slots; seq++) roster.addSession({ seq, host: "h", pid: 1, opened: 0, slot: 10 });
    for (let pinger = 0; pinger < 5 * MANY; pinger++)
      roster.addRegistration({
        ...registrationOf(pinger, `key-${pinger}`),
        ...(pinger % 2 === 0 ? { last: 5000 } : { slot: 5000 }),
      });
    for (let slot = 10; slot < slots; slot++) {
      roster.addPings(pingsOf(slot, [1]));
      expect(roster.wouldFindDeath(slot, 1)).toBe(false);
      roster.evaluate(slot, 1);
      roster.addSession({ seq: slot, host: "h", pid: 1, opened: 0, slot: 10, last: 0 });
    }
  });

  it.each<[string, WatchTarget]>([
    ["all", { all: true }],
    ["a prefix", { prefix: "k" }],
  ])("keys that are left and watched again while they are loaded are told whole: %s", async (_, target) => {
    const count = 600;
    await presence.hold(texts(count, "k"));
    const told: number[] = [];
    for (let turns = 0; turns < 20; turns++) {
      const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
      const watcher = slicer.watcher();
      watcher.watch(target, nothing);
      for (let passed = 0; passed < turns; passed++) await turn();
      watcher.unwatch(target, nothing);
      const living = new Set<string>();
      watcher.watch(target, ({ key }) => living.add(key));
      await watcher.sync();
      told.push(living.size);
      await slicer.close();
    }
    expect(told).toEqual(told.map(() => count));
  });

  it("streams on one signal are one listener of it, so that Node warns of nothing", async () => {
    const watcher = presence.watcher();
    const warnings: Error[] = [];
    const warned = (warning: Error): number => warnings.push(warning);
    process.on("warning", warned);
    const { signal } = new AbortController();
    for (let index = 0; index < 50; index++) watcher.changes("k", { signal });
    await watcher.sync();
    await turn(); // warnings come in a turn of their own
    process.off("warning", warned);
    expect(warnings).toEqual([]);
    await presence.close();
  });
});
