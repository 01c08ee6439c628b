/** Keeping a feed open on a store that does not keep one. */
import { beforeEach, describe, expect, it } from "vitest";
import { type Feed, HeartbitError } from "../../src/index.ts";
import { Bench, failing, hear, PERIOD_MS, type Replace, restartable } from "./support.ts";

let bench: Bench;
beforeEach(() => void (bench = new Bench()));

describe("a feed", () => {
  let openings = 0;
  let lose: () => void;
  let restart: () => void;
  beforeEach(async () => {
    openings = 0;
    const watching = await restartable(bench);
    ({ restart } = watching);
    const { presence, link } = watching;
    link.intercept((operation) => {
      if (operation === "feed") openings++;
      return "pass";
    });
    lose = () => {
      link.fail();
      link.heal();
    };
    await hear(presence.watcher(), "k");
  });

  it("that is lost as soon as it is open is opened ever more seldom", async () => {
    const opened: number[] = [];
    for (let twentieth = 1; twentieth <= 130; twentieth++) {
      lose();
      const before = openings;
      await bench.periods(1 / 20);
      if (openings > before) opened.push(twentieth);
    }
    expect(opened).toEqual([1, 3, 7, 15, 31, 63, 127]);
  });

  it("that has lived for a period is opened again at once when it is lost", async () => {
    lose();
    await bench.periods(1.1);
    lose();
    await bench.clock.advance(0);
    expect(openings).toBe(3);
  });

  it("is opened at once on a store that is found again", async () => {
    lose();
    await bench.clock.advance(0);
    expect(openings).toBe(1);
    restart();
    await bench.clock.advance(0);
    expect(openings).toBe(2);
  });
});

it("to ask once whether a key is alive opens no feed in place of the open one", async () => {
  const { presence, link } = await bench.open();
  const watcher = presence.watcher();
  await hear(watcher, { prefix: "watched/" });
  link.intercept(failing("feed"));
  await presence.pinger("k").start();
  expect(await Promise.all(["k", "l"].map((key) => watcher.alive(key)))).toEqual([true, false]);
  const heard = await hear(watcher, { prefix: "watched/" });
  await presence.pinger("watched/k").start();
  await bench.clock.advance(0);
  expect(heard).toEqual(["watched/k alive joined"]); // by the feed: nothing has been polled since
});

/** A feed that cannot be opened. */
const refused = (why: Error): Feed => ({ ready: Promise.reject(why), close: async () => {} });

it.each([5, 10, 20, 60, 600])(
  "a crash is told though the server ends each feed after a second (period %i s)",
  async (seconds) => {
    const periodMs = seconds * 1000;
    const ending: Replace = (namespace) => ({
      feed: (select, sink) => {
        const feed = namespace.feed!(select, sink);
        const cancel = bench.clock.setTimer(() => sink.lost(new Error("killed by an operator")), 1000);
        return { ready: feed.ready, close: () => feed.close().finally(cancel) };
      },
    });
    const { presence: crashing, link } = await bench.open({ periodMs });
    await crashing.pinger("k").start();
    const watching = await bench.openWith(ending, { periodMs });
    const heard = await hear(watching.watcher(), "k");
    await bench.clock.advance(10 * periodMs);
    link.fail();
    await bench.clock.advance(40 * periodMs);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
  },
  30_000,
);

it("a feed that is later than polling is polled too, and trusted again once it is on time", async () => {
  let lateMs = 0;
  let polls = 0;
  const warned: string[] = [];
  const late: Replace = (namespace) => ({
    feed: (selected, sink) =>
      namespace.feed!(selected, {
        page: (page) => void bench.clock.setTimer(() => sink.page(page), lateMs),
        lost: (error) => sink.lost(error),
      }),
    read: (query) => {
      polls++;
      return namespace.read(query);
    },
  });
  const presence = await bench.openWith(late, { logger: { warn: (message) => warned.push(message) } });
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
  let why = "no room";
  const warned: string[] = [];
  const refusing: Replace = () => ({ feed: () => refused(new HeartbitError("STORE_UNAVAILABLE", why)) });
  const presence = await bench.openWith(refusing, { logger: { warn: (message) => warned.push(message) } });
  await hear(presence.watcher(), { all: true });
  await bench.periods(20);
  why = "no time";
  await bench.periods(20);
  expect(warned).toEqual([expect.stringContaining("no room"), expect.stringContaining("no time")]);
});

it("a feed of more is opened after the one before is closed: there may be room for one alone", async () => {
  let open = 0;
  const presence = await bench.openWith((namespace) => ({
    feed: (selected, sink) => {
      if (open > 0) throw new Error("there is room for one");
      open++;
      const feed = namespace.feed!(selected, sink);
      return { ready: feed.ready, close: () => feed.close().then(() => void open--) };
    },
  }));
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
  let openings = 0;
  const refusing: Replace = (namespace) => ({
    feed: (selected, sink) =>
      ++openings > 1
        ? namespace.feed!(selected, sink)
        : refused(new HeartbitError("NOT_PERMITTED", "no changeStream")),
  });
  const presence = await bench.openWith(refusing, { retentionSlots: 20 });
  await hear(presence.watcher(), "a");
  await bench.periods(19);
  expect(openings).toBe(1);
  await bench.periods(2);
  expect(openings).toBe(2);
});
