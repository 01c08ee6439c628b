/** Keeping a feed open on a store that does not keep one. */
import { expect, it } from "vitest";
import type { FeedSink, StoreNotice } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
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
