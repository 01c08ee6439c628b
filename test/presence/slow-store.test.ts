/** A store of any speed makes progress, and the heartbeat has right of way. */
import { expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { wrap } from "./support.ts";

const PERIOD_MS = 2000;

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
    const presence = await Presence.open(counting, { periodMs: PERIOD_MS });
    presence.on("lapse", () => this.lapses++);
    return presence;
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

function startKeys(presence: Presence, count: number): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, (_, index) => presence.pinger(`key/${index}`).start()));
}

it.each([
  { writesPerSecond: 50, keys: 1_000 },
  { writesPerSecond: 750, keys: 8_000 },
  { writesPerSecond: 12_000, keys: 20_000 },
  { writesPerSecond: 100_000, keys: 20_000 },
])("$keys keys start in the time that a store of $writesPerSecond writes a second needs", async (speed) => {
  const store = new SlowStore();
  const presence = await store.open();
  store.faulty.capacity({ writesPerSecond: speed.writesPerSecond });
  const tookMs = await store.timeOf(startKeys(presence, speed.keys));
  expect(tookMs / ((speed.keys / speed.writesPerSecond) * 1000)).toBeLessThan(1.5);
  expect(store.sent / speed.keys).toBeLessThan(1.2);
  expect(store.lapses).toBe(0);
});

it("a store that takes long for each write, however small, is sent larger batches, even after it was away", async () => {
  const store = new SlowStore();
  const presence = await store.open();
  store.faulty.delay(900);
  const starts = startKeys(presence, 20_000);
  await store.clock.advance(3000);
  store.faulty.pause(); // several batches are given up, each smaller than the one before
  await store.clock.advance(20_000);
  store.faulty.resume();
  expect(await store.timeOf(starts)).toBeLessThan(30_000);
});

it("a fleet whose records were all lost comes back in the time that the store needs", async () => {
  const store = new SlowStore();
  const fleet = await Promise.all(Array.from({ length: 20 }, () => store.open()));
  await Promise.all(fleet.map((presence) => startKeys(presence, 500)));
  await store.clock.advance(4 * PERIOD_MS);
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
  expect(store.clock.monotonic() - began).toBeLessThan(1.5 * (10_020 / 1_200) * 1000 + 5 * PERIOD_MS);
  expect(store.sent / 10_020).toBeLessThan(1.2);
  expect(store.lapses).toBeLessThanOrEqual(fleet.length); // for longer than the lease their keys were not stored
});

it("of many updates of a key only the latest waits, and others start beside them", async () => {
  const store = new SlowStore();
  const presence = await store.open();
  const busy = presence.pinger("busy");
  await busy.start();
  store.faulty.capacity({ writesPerSecond: 50 });
  store.sent = 0;
  const updates = Array.from({ length: 3000 }, (_, n) => busy.update({ n }));
  expect(await store.timeOf(presence.pinger("other").start())).toBeLessThan(PERIOD_MS);
  await store.timeOf(Promise.all(updates));
  expect(store.sent).toBeLessThan(5);
  expect((await presence.list()).keys.map(({ key, holders }) => [key, holders[0]?.meta])).toEqual([
    ["busy", { n: 2999 }],
    ["other", null],
  ]);
});

it.each(["auto", "poll"] as const)(
  "a crash is reported by a store whose every answer takes a tenth of the period (feed: %s)",
  async (feed) => {
    const slow = new SlowStore();
    const options = { periodMs: PERIOD_MS, feed };
    const watching = Presence.open(slow.faulty, options);
    const holding = Presence.open(slow.memory, options);
    await slow.clock.advance(0);
    const [watcher, holder] = [(await watching).watcher(), await holding];
    const told: string[] = [];
    watcher.watch("k", ({ cause }) => told.push(cause));
    const cut = new FaultyStore(slow.memory);
    const crashing = await Presence.open(cut, options);
    await crashing.pinger("k").start();
    await holder.pinger("l").start();
    slow.faulty.delay(PERIOD_MS / 20); // a read has a page or two
    await slow.clock.advance(10 * PERIOD_MS);
    cut.fail();
    await slow.clock.advance(4 * PERIOD_MS);
    expect(told.at(-1)).toBe("expired");
  },
);
