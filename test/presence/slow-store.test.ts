/** A store of any speed makes progress, and the heartbeat has right of way. */
import { expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { hear, PERIOD_MS, startAll, texts, wrap } from "./support.ts";
import { bench, link, other, otherLink, presence } from "./two-presences.ts";

const SHORT_MS = 2000;

/** A store of limited capacity for many processes. Counts the registrations that it is sent. */
class SlowStore {
  readonly clock = new ManualClock();
  readonly memory = new MemoryStore({ clock: this.clock });
  readonly faulty = new FaultyStore(this.memory);
  sent = 0;
  lapses = 0;

  async open(): Promise<Presence> {
    const counting = wrap(this.faulty, (namespace) => ({
      write: (writes, signal) => {
        this.sent += writes.length;
        return namespace.write(writes, signal);
      },
    }));
    const opened = await Presence.open(counting, { periodMs: SHORT_MS });
    opened.on("lapse", () => this.lapses++);
    return opened;
  }

  /** How many ms of its clock pass until the work is done. */
  async timeOf(work: Promise<unknown>): Promise<number> {
    const began = this.clock.monotonic();
    const done = { at: -1 };
    void work.then(() => (done.at = this.clock.monotonic()));
    while (done.at < 0) await this.clock.advance(100);
    return done.at - began;
  }
}

const startKeys = (holder: Presence, count: number): Promise<unknown> =>
  startAll(holder, texts(count, "key/"));

it.each([
  { writesPerSecond: 50, keys: 1_000 },
  { writesPerSecond: 750, keys: 8_000 },
  { writesPerSecond: 12_000, keys: 20_000 },
  { writesPerSecond: 100_000, keys: 20_000 },
])("$keys keys start in the time that a store of $writesPerSecond writes a second needs", async (speed) => {
  const store = new SlowStore();
  const holder = await store.open();
  store.faulty.capacity({ writesPerSecond: speed.writesPerSecond });
  const tookMs = await store.timeOf(startKeys(holder, speed.keys));
  expect(tookMs / ((speed.keys / speed.writesPerSecond) * 1000)).toBeLessThan(1.5);
  expect(store.sent / speed.keys).toBeLessThan(1.2);
  expect(store.lapses).toBe(0);
});

it("a store that takes long for each write, however small, is sent larger batches, even after it was away", async () => {
  const store = new SlowStore();
  const holder = await store.open();
  store.faulty.delay(900);
  const starts = startKeys(holder, 20_000);
  await store.clock.advance(3000);
  store.faulty.pause(); // several batches are given up, each smaller than the one before
  await store.clock.advance(20_000);
  store.faulty.resume();
  expect(await store.timeOf(starts)).toBeLessThan(30_000);
});

it("a fleet whose records were all lost comes back in the time that the store needs", async () => {
  const store = new SlowStore();
  const fleet = await Promise.all(Array.from({ length: 20 }, () => store.open()));
  await Promise.all(fleet.map((one) => startKeys(one, 500)));
  await store.clock.advance(4 * SHORT_MS);
  store.faulty.capacity({ writesPerSecond: 1_200 });
  [store.sent, store.lapses] = [0, 0];
  store.memory.destroy("presence", { registration: () => true, session: () => true });
  const isBack = async (): Promise<boolean> => {
    const namespace = store.memory.namespace("presence");
    const open = await Promise.all(fleet.map(({ session }) => namespace.countOpen(session ?? NaN)));
    return open.every(({ count }) => count === 501);
  };
  const began = store.clock.monotonic();
  while (!(await isBack())) await store.clock.advance(500);
  // The loss is noticed by a count in the fourth slot at the latest.
  expect(store.clock.monotonic() - began).toBeLessThan(1.5 * (10_020 / 1_200) * 1000 + 5 * SHORT_MS);
  expect(store.sent / 10_020).toBeLessThan(1.2);
  expect(store.lapses).toBeLessThanOrEqual(fleet.length); // for longer than the lease their keys were not stored
});

it("of many updates of a key only the latest waits, and others start beside them", async () => {
  const store = new SlowStore();
  const holder = await store.open();
  const busy = holder.pinger("busy");
  await busy.start();
  store.faulty.capacity({ writesPerSecond: 50 });
  store.sent = 0;
  const updates = Array.from({ length: 3000 }, (_, n) => busy.update(n));
  expect(await store.timeOf(holder.pinger("other").start())).toBeLessThan(SHORT_MS);
  await store.timeOf(Promise.all(updates));
  expect(store.sent).toBeLessThan(5);
  expect((await holder.list({ key: "busy" })).keys).toMatchObject([{ holders: [{ meta: 2999 }] }]);
});

it.each(["auto", "poll"] as const)(
  "a crash is reported by a store whose every answer takes a tenth of the period (feed: %s)",
  async (feed) => {
    const { presence: watching, link: slow } = await bench.open({ feed });
    await presence.pinger("k").start();
    await other.pinger("l").start();
    const heard = await hear(watching.watcher(), "k");
    slow.delay(PERIOD_MS / 20); // a read has a page or two
    await bench.periods(10);
    link.fail();
    await bench.periods(4);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
  },
);

it.each(["auto", "poll"] as const)(
  "a watcher that has to read everything again, which takes most of a period, is healthy after it (feed: %s)",
  async (feed) => {
    const { presence: watching, link: slow } = await bench.open({ feed });
    await startAll(presence, texts(12_000, "k"));
    await other.pinger("crashes").start();
    const heard = await hear(watching.watcher(), "crashes");
    await hear(watching.watcher(), { all: true });
    await bench.periods(5);
    slow.delay(PERIOD_MS * 0.05); // each page, of a thousand keys
    bench.clock.step(3 * PERIOD_MS);
    await bench.periods(6);
    expect(watching.health.state).toBe("healthy");
    otherLink.pause(); // for ever
    await bench.periods(3);
    expect(heard).toEqual(["crashes alive initial", "crashes dead expired"]);
  },
);

/** Acknowledged late by more than a period. */
async function late<T>(work: Promise<T>): Promise<T> {
  const result = await work;
  await bench.after(1.2 * PERIOD_MS);
  return result;
}

it("writes wait for a majority that lags by more than a period, and are sent once or twice", async () => {
  let sent = 0;
  const lagging = await bench.openWith((namespace) => ({
    ping: (slot, seq) => late(namespace.ping(slot, seq)),
    write: (writes, signal) => {
      sent++;
      return late(namespace.write(writes, signal));
    },
  }));
  const pinger = lagging.pinger("k");
  const done: string[] = [];
  void pinger.start().then(() => done.push("started"));
  await bench.periods(5);
  void pinger.update(1).then(() => done.push("updated"));
  await bench.periods(2);
  void pinger.kill().then(() => done.push("killed"));
  await bench.periods(2);
  expect(done).toEqual(["started", "updated", "killed"]);
  expect(sent).toBeLessThan(8); // the session, a start, a meta and an end
});

it("a ping that nobody answers is sent once more, so a connection that is dead makes nobody lapse", async () => {
  const sent = new Map<number, number>();
  let losesPings = false;
  const holder = await bench.openWith((namespace) => ({
    ping: (slot, seq) => {
      if (!losesPings) return namespace.ping(slot, seq);
      const count = (sent.get(slot) ?? 0) + 1;
      sent.set(slot, count);
      return count === 1 ? new Promise(() => {}) : namespace.ping(slot, seq);
    },
  }));
  await holder.pinger("k").start();
  await bench.periods(2);
  losesPings = true;
  let lapses = 0;
  holder.on("lapse", () => lapses++);
  await bench.periods(8);
  expect(lapses).toBe(0);
  expect(holder.health).toEqual({ state: "healthy" });
  expect(new Set([...sent.values()].slice(0, -1))).toEqual(new Set([2]));
});
