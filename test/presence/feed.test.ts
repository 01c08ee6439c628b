/** Keeping a feed open on a store that does not keep one. */
import { expect, it } from "vitest";
import type { FeedSink, StoreNotice } from "../../src/core/store.ts";
import { HeartbitError, Presence } from "../../src/index.ts";
import { Bench, hear, PERIOD_MS, wrap } from "./support.ts";

/** A presence that watches, on a store that opens every feed, and keeps it until the test loses it. */
class Watching {
  readonly bench = new Bench();
  openings = 0;
  #sink: FeedSink | undefined;
  #notice: ((notice: StoreNotice) => void) | undefined;

  async start(): Promise<this> {
    const store = wrap(this.bench.store, () => ({
      feed: (_, sink) => {
        this.openings++;
        this.#sink = sink;
        return { ready: Promise.resolve(), close: async () => {} };
      },
      notices: (listener) => {
        this.#notice = listener;
        return () => {};
      },
    }));
    const presence = await Presence.open(store, { periodMs: PERIOD_MS });
    presence.watcher().watch("k", () => {});
    await this.bench.clock.advance(0);
    return this;
  }

  /** Loses the feed, where one is open. */
  lose(): void {
    this.#sink?.lost(new Error("the server keeps none"));
    this.#sink = undefined;
  }

  /** The store was away, and is found again. */
  returns(): void {
    this.#notice?.({ kind: "lost", reason: "the primary was lost" });
    this.#notice?.({ kind: "found" });
  }
}

it("a feed that is lost as soon as it is open is opened ever more seldom", async () => {
  const watching = await new Watching().start();
  const opened: number[] = [];
  for (let twentieth = 1; twentieth <= 130; twentieth++) {
    watching.lose();
    const before = watching.openings;
    await watching.bench.periods(1 / 20);
    if (watching.openings > before) opened.push(twentieth);
  }
  expect(opened).toEqual([1, 3, 7, 15, 31, 63, 127]);
});

it("a feed that has lived for a period is opened again at once when it is lost", async () => {
  const watching = await new Watching().start();
  watching.lose();
  await watching.bench.periods(1.1);
  watching.lose();
  await watching.bench.clock.advance(0);
  expect(watching.openings).toBe(3);
});

it("a store that is found again is asked for a feed at once", async () => {
  const watching = await new Watching().start();
  watching.lose();
  await watching.bench.clock.advance(0);
  expect(watching.openings).toBe(1);
  watching.returns();
  await watching.bench.clock.advance(0);
  expect(watching.openings).toBe(2);
});

it.each([5, 10, 20, 60, 600])(
  "a crash is told though the server ends each feed after a second (period %i s)",
  async (seconds) => {
    const bench = new Bench();
    const periodMs = seconds * 1000;
    const store = wrap(bench.store, (namespace) => ({
      feed: (select, sink) => {
        const feed = namespace.feed!(select, sink);
        const cancel = bench.clock.setTimer(() => sink.lost(new Error("killed by an operator")), 1000);
        return {
          ready: feed.ready,
          close: () => {
            cancel();
            return feed.close();
          },
        };
      },
    }));
    const { presence: crashing, link } = await bench.open({ periodMs });
    await crashing.pinger("k").start();
    const watching = await Presence.open(store, { periodMs });
    const heard = await hear(watching.watcher(), "k");
    await bench.clock.advance(10 * periodMs);
    link.fail();
    await bench.clock.advance(40 * periodMs);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
  },
  30_000,
);

it("a feed that is later than polling is polled too, and trusted again once it is on time", async () => {
  const bench = new Bench();
  let lateMs = 0;
  let polls = 0;
  const warned: string[] = [];
  const store = wrap(bench.store, (namespace) => ({
    feed: (selected, sink) =>
      namespace.feed!(selected, {
        page: (page) => void bench.clock.setTimer(() => sink.page(page), lateMs),
        lost: (error) => sink.lost(error),
      }),
    read: (query) => {
      polls++;
      return namespace.read(query);
    },
  }));
  const logger = { warn: (message: string) => warned.push(message) };
  const presence = await Presence.open(store, { periodMs: PERIOD_MS, logger });
  const heard = await hear(presence.watcher(), { all: true });
  const { presence: other } = await bench.open();
  /** How many periods a join of this key takes to be reported, at most. */
  const delay = async (key: string): Promise<number> => {
    const starting = other.pinger(key).start();
    await bench.periods(0);
    await starting;
    for (let tenth = 0; ; tenth++) {
      if (heard.includes(`${key} alive joined`)) return tenth / 10;
      await bench.periods(0.1);
    }
  };
  const readsIn = async (periods: number): Promise<number> => {
    const before = polls;
    await bench.periods(periods);
    return polls - before;
  };
  expect(await delay("early")).toBe(0);
  const whenInTime = await readsIn(10);
  lateMs = 2 * PERIOD_MS;
  await delay("found out");
  await bench.periods(3);
  for (const key of ["a", "b", "c"]) expect(await delay(key)).toBeLessThanOrEqual(0.3);
  expect(warned.filter((line) => line.includes("late"))).toEqual([
    expect.stringMatching(/change feed is 1000\d ms late, so changes are polled, too$/),
  ]);
  lateMs = 0;
  await bench.periods(3);
  await delay("d");
  await bench.periods(3);
  expect(await readsIn(10)).toBe(whenInTime);
});

it("a feed that cannot be opened is logged as a warning once, and again when that has another cause", async () => {
  const bench = new Bench();
  let why = "no room";
  const warned: string[] = [];
  const store = wrap(bench.store, () => ({
    feed: () => ({
      ready: Promise.reject(new HeartbitError("STORE_UNAVAILABLE", why)),
      close: async () => {},
    }),
  }));
  const logger = { warn: (message: string) => warned.push(message) };
  const presence = await Presence.open(store, { periodMs: PERIOD_MS, logger });
  await hear(presence.watcher(), { all: true });
  await bench.periods(20);
  why = "no time";
  await bench.periods(20);
  expect(warned).toEqual([expect.stringContaining("no room"), expect.stringContaining("no time")]);
});

it("a feed of more is opened after the one before is closed: there may be room for one alone", async () => {
  const bench = new Bench();
  let open = 0;
  const store = wrap(bench.store, (namespace) => ({
    feed: (selected, sink) => {
      if (open > 0) throw new Error("there is room for one");
      open++;
      const feed = namespace.feed!(selected, sink);
      return { ready: feed.ready, close: () => feed.close().then(() => void open--) };
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS });
  const watcher = presence.watcher();
  const heard = [await hear(watcher, "a"), await hear(watcher, "b")];
  const { presence: other } = await bench.open();
  for (const key of ["a", "b"]) {
    const starting = other.pinger(key).start();
    await bench.periods(0);
    await starting;
  }
  expect(heard.map((words) => words.slice(1))).toEqual([["a alive joined"], ["b alive joined"]]);
});

it("a right that was refused is asked for again after a retention, and a store without a feed is not asked often", async () => {
  const bench = new Bench();
  let openings = 0;
  const store = wrap(bench.store, (namespace) => ({
    feed: (selected, sink) => {
      if (++openings > 1) return namespace.feed!(selected, sink);
      return {
        ready: Promise.reject(new HeartbitError("NOT_PERMITTED", "no changeStream")),
        close: async () => {},
      };
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS, retentionSlots: 20 });
  await hear(presence.watcher(), "a");
  await bench.periods(19);
  expect(openings).toBe(1);
  await bench.periods(2);
  expect(openings).toBe(2);
});
