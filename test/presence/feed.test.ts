/** Keeping a feed open on a store that does not keep one. */
import { describe, expect, it } from "vitest";
import { type Feed, HeartbitError } from "../../src/index.ts";
import { failing, hear, PERIOD_MS, type Replace, restartable, slicing, texts } from "./support.ts";
import { bench, other, presence } from "./two-presences.ts";

/** A watching presence, how often its feed was opened, and ways to lose the feed and to find the store again. */
async function watching() {
  const { presence: watcher, link, restart } = await restartable(bench);
  let openings = 0;
  link.intercept((operation) => {
    if (operation === "feed") openings++;
    return "pass";
  });
  await hear(watcher.watcher(), "k");
  const lose = (): void => {
    link.fail();
    link.heal();
  };
  return { lose, restart, openings: () => openings };
}

/** The server ends each feed after a second. */
const ending: Replace = (namespace) => ({
  feed: (select, sink) => {
    const feed = namespace.feed!(select, sink);
    const cancel = bench.clock.setTimer(() => sink.lost(new Error("killed by an operator")), 1000);
    return { ready: feed.ready, close: () => feed.close().finally(cancel) };
  },
});

describe("a feed", () => {
  it("that is lost as soon as it is open is opened ever more seldom", async () => {
    const { lose, openings } = await watching();
    const opened: number[] = [];
    for (let twentieth = 1; twentieth <= 130; twentieth++) {
      lose();
      const before = openings();
      await bench.periods(1 / 20);
      if (openings() > before) opened.push(twentieth);
    }
    expect(opened).toEqual([1, 3, 7, 15, 31, 63, 127]);
  });

  it("is opened at once when it had lived for a period, and on a store that is found again", async () => {
    const { lose, restart, openings } = await watching();
    lose();
    await bench.periods(0);
    expect(openings()).toBe(1);
    restart();
    await bench.periods(0);
    expect(openings()).toBe(2);
    await bench.periods(1.1);
    lose();
    await bench.periods(0);
    expect(openings()).toBe(3);
  });

  it("in place of the open one is not opened to ask once whether a key is alive", async () => {
    const { presence: asking, link } = await bench.open();
    const watcher = asking.watcher();
    await hear(watcher, { prefix: "watched/" });
    link.intercept(failing("feed"));
    await presence.pinger("k").start();
    expect(await Promise.all(["k", "l"].map((key) => watcher.alive(key)))).toEqual([true, false]);
    const heard = await hear(watcher, { prefix: "watched/" });
    await bench.during(0, presence.pinger("watched/k").start());
    expect(heard).toEqual(["watched/k alive joined"]); // by the feed: nothing has been polled since
  });

  it("of more is opened after the one before is closed: there may be room for one alone", async () => {
    let open = 0;
    const alone = await bench.openWith((namespace) => ({
      feed: (selected, sink) => {
        if (open > 0) throw new Error("there is room for one");
        open++;
        const feed = namespace.feed!(selected, sink);
        return { ready: feed.ready, close: () => feed.close().then(() => void open--) };
      },
    }));
    const watcher = alone.watcher();
    const heard = [await hear(watcher, "a"), await hear(watcher, "b")];
    for (const key of ["a", "b"]) await bench.during(0, other.pinger(key).start());
    expect(heard.map((words) => words.slice(1))).toEqual([["a alive joined"], ["b alive joined"]]);
  });

  it.each([5, 10, 20, 60, 600])(
    "that the server ends after a second hides no crash (period %i s)",
    async (s) => {
      const options = { periodMs: s * 1000, name: "short" };
      const { presence: crashing, link } = await bench.open(options);
      await crashing.pinger("k").start();
      const heard = await hear((await bench.openWith(ending, options)).watcher(), "k");
      await bench.clock.advance(10 * options.periodMs);
      link.fail();
      await bench.clock.advance(40 * options.periodMs);
      expect(heard).toEqual(["k alive initial", "k dead expired"]);
    },
  );

  it("that is later than polling is polled too, and trusted again once it is on time", async () => {
    let [lateMs, polls] = [0, 0];
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
    const polling = await bench.openWith(late, { logger: { warn: (message) => warned.push(message) } });
    const heard = await hear(polling.watcher(), { all: true });
    /** How many periods a join of this key takes to be reported, at most. */
    const delay = async (key: string): Promise<number> => {
      await bench.during(0, other.pinger(key).start());
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
});

/** A feed that cannot be opened. */
const refused = (why: Error): Feed => ({ ready: Promise.reject(why), close: async () => {} });

it("a feed that cannot be opened is logged as a warning once, and again when that has another cause", async () => {
  let why = "no room";
  const warned: string[] = [];
  const refusing: Replace = () => ({ feed: () => refused(new HeartbitError("STORE_UNAVAILABLE", why)) });
  const logging = await bench.openWith(refusing, { logger: { warn: (message) => warned.push(message) } });
  await hear(logging.watcher(), { all: true });
  await bench.periods(20);
  why = "no time";
  await bench.periods(20);
  expect(warned).toEqual([expect.stringContaining("no room"), expect.stringContaining("no time")]);
});

it("a right that was refused is asked for again after a retention, and a store without a feed is not asked often", async () => {
  let openings = 0;
  const no = new HeartbitError("NOT_PERMITTED", "no changeStream");
  const refusing: Replace = (namespace) => ({
    feed: (selected, sink) => (++openings > 1 ? namespace.feed!(selected, sink) : refused(no)),
  });
  const denied = await bench.openWith(refusing, { retentionSlots: 20, name: "denied" });
  await hear(denied.watcher(), "a");
  await bench.periods(19);
  expect(openings).toBe(1);
  await bench.periods(2);
  expect(openings).toBe(2);
});

it("a kill is reported at once by a live feed, though another subscription is just getting its state", async () => {
  const { presence: watches } = await bench.open({ clock: slicing(bench.clock) });
  await presence.hold([...texts(3000, "k"), "m"]);
  const watcher = watches.watcher();
  const heard = await hear(watcher, "m");
  await bench.periods(1.3);
  let isFirst = true;
  watcher.watch({ prefix: "k" }, () => {
    if (isFirst) void bench.stored.kill("m"); // by another process
    isFirst = false;
  });
  for (let turns = 0; turns < 5000; turns++) await new Promise((resolve) => setImmediate(resolve));
  await bench.periods(0.1);
  expect(heard).toEqual(["m alive initial", "m dead killed"]);
});
