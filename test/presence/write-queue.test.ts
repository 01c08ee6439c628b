/** What waits to be written, and closing a presence of which much does. */
import { describe, expect, it } from "vitest";
import { GivenUp } from "../../src/core/errors.ts";
import { failing, hear, PERIOD_MS, restartable, startAll, texts } from "./support.ts";
import { bench, link, other, presence } from "./two-presences.ts";

it("a batch that failed is sent again, and is not called new then", async () => {
  const news: (boolean | undefined)[] = [];
  const noting = await bench.openWith((namespace) => ({
    write: (writes, signal) => {
      const registrations = writes.filter((one) => one.kind === "registration");
      news.push(...registrations.map(({ isNew }) => isNew));
      const fails = registrations.length > 0 && news.length === 1;
      return fails ? Promise.reject(new GivenUp("It is away.")) : namespace.write(writes, signal);
    },
  }));
  const pinger = noting.pinger("key");
  const started = pinger.start();
  await bench.periods(1);
  await started;
  await pinger.update(1);
  await pinger.kill();
  await pinger.start();
  expect(news).toEqual([true, false, false, true]);
});

it("what is written again after a long lapse is not called new, since it is stored", async () => {
  const news: (boolean | undefined)[] = [];
  let isAway = false;
  const lapsing = await bench.openWith(
    (namespace) => ({
      ping: (slot, seq) => (isAway ? Promise.reject(new GivenUp("It is away.")) : namespace.ping(slot, seq)),
      write: (writes, signal) => {
        for (const one of writes) if (one.kind === "registration") news.push(one.isNew);
        return namespace.write(writes, signal);
      },
    }),
    { retentionSlots: 10, name: "n" },
  );
  await lapsing.pinger("key").start();
  isAway = true;
  await bench.periods(8);
  isAway = false;
  await bench.periods(3);
  expect(news).toEqual([true, false]);
});

it.each(["write", "countOpen"] as const)(
  "while each %s fails, a presence that only holds stays stale",
  async (what) => {
    const pinger = presence.pinger("k");
    await pinger.start();
    const states: string[] = [];
    presence.on("health", ({ state }) => states.push(state));
    link.intercept(failing(what));
    void pinger.update(1);
    await bench.periods(20);
    link.intercept();
    await bench.periods(1);
    expect(states).toEqual(["stale", "healthy"]);
  },
);

it("a store that takes long for each write gets fewer at a time, and has them all in the end", async () => {
  const eachMs = 200; // the first batch takes twice as long as it may
  const sizes: number[] = [];
  const slow = await bench.openWith((namespace) => ({
    write: async (writes, signal) => {
      sizes.push(writes.length);
      await bench.after(writes.length * eachMs);
      if (signal?.aborted !== true) await namespace.write(writes, signal);
    },
  }));
  let areStarted = false;
  void startAll(slow, texts(100, "k")).then(() => (areStarted = true));
  await bench.periods(10);
  expect(areStarted).toBe(true);
  expect(Math.max(...sizes)).toBe(sizes[1]); // that of the session was the first
  expect(sizes.slice(2).every((size) => size < (sizes[1] ?? 0))).toBe(true);
});

it("in one batch the ends go before the starts", async () => {
  const batches: string[][] = [];
  const noting = await bench.openWith((namespace) => ({
    write: (writes, signal) => {
      batches.push(writes.map((one) => (one.kind === "registration" ? one.registration.key : one.kind)));
      return namespace.write(writes, signal);
    },
  }));
  const [ended, begun] = [noting.pinger("ended"), noting.pinger("begun")];
  await ended.start();
  batches.length = 0;
  await Promise.all([begun.start(), ended.kill()]);
  expect(batches).toEqual([["ended", "begun"]]);
});

it("what is held is written again where it is gone, and what is called after that takes effect, however much it is", async () => {
  let written = 0;
  const { presence: large, restart } = await restartable(bench, {}, (namespace) => ({
    // 400 records a second: more than the time that one bulk has.
    write: async (writes) => {
      written += writes.length;
      await bench.after(writes.length * 2.5);
      return namespace.write(writes);
    },
  }));
  const pingers = await bench.during(6, startAll(large, texts(5000, "k")));
  written = 0;
  restart();
  await bench.periods(5);
  expect(written).toBe(0); // everything is there
  bench.store.destroy("presence", { registration: () => true });
  restart();
  await bench.periods(0.1);
  await bench.during(10, pingers[0]!.kill());
  expect(large.health.state).toBe("healthy");
  expect(await bench.alive()).toHaveLength(pingers.length - 1);
  expect(written).toBeLessThan(3 * pingers.length); // each, and the end of the start before it
});

it("a presence that writes without a pause can still kill a key", async () => {
  await other.pinger("k").start();
  const busy = presence.pinger("a");
  await busy.start();
  link.delay(10);
  let isOver = false;
  const update = (count: number): void => {
    if (isOver) return;
    void busy.update(count);
    bench.clock.setTimer(() => update(count + 1), 7); // before the one before is acknowledged
  };
  update(0);
  await bench.periods(0.1);
  expect(await bench.during(2, presence.kill("k"))).toBe(1);
  isOver = true;
});

async function wait(): Promise<void> {
  const waiting = texts(10_000, "new/");
  link.capacity({ writesPerSecond: waiting.length / 2 / (PERIOD_MS / 1000) });
  presence.hold(waiting).catch(() => {}); // closed before all of them are written
  await bench.clock.advance(100);
}

describe("closing while two periods of writes wait", () => {
  it("ends its keys within a period", async () => {
    await presence.hold(["old/1", "old/2"]);
    const told = await hear(other.watcher(), { prefix: "old/" });
    await wait();
    void presence.close();
    await bench.periods(1);
    expect(told.slice(2)).toEqual(["old/1 dead killed", "old/2 dead killed"]);
  });

  it("a planned absence among them outlives it, and nobody is told of a death", async () => {
    const pinger = presence.pinger("away");
    await pinger.start();
    const told = await hear(other.watcher(), "away");
    await wait();
    const stopped = pinger.stop({ holdMs: 20 * PERIOD_MS });
    void presence.close();
    await bench.during(10, stopped);
    expect(told).toEqual(["away alive initial"]);
  });
});

it("what was asked for just before closing is done", async () => {
  const started = presence.pinger("k").start();
  await presence.close();
  await expect(started).resolves.toBeUndefined();
});
