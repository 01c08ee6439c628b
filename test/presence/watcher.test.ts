import { describe, expect, it } from "vitest";
import { type Change, HeartbitError, Presence } from "../../src/index.ts";
import { FaultyStore } from "../../src/testing/index.ts";
import { failing, hear, PERIOD_MS, readThrough, refusal, startAll, texts, words, wrap } from "./support.ts";
import { begin, bench, link, other, otherLink, presence } from "./two-presences.ts";

describe("a watcher", () => {
  it("reports a crash 1.1 to 2.5 periods after it, once, and as soon as `vouchedUntil` has passed", async () => {
    for (let part = 0; part < 1; part += 0.05) {
      await begin();
      await presence.pinger("k").start();
      const heard = await hear(other.watcher(), "k");
      await bench.periods(5 + part);
      link.pause(); // for ever
      const crashed = bench.now;
      const until = presence.vouchedUntil?.getTime() ?? NaN;
      await bench.clock.advance(until - 1 - bench.clock.now());
      expect(heard).toHaveLength(1);
      await bench.clock.advance(2);
      expect(heard).toEqual(["k alive initial", "k dead expired"]);
      expect(presence.vouchedUntil?.getTime()).toBe(until);
      expect(bench.now - crashed).toBeGreaterThanOrEqual(1.1);
      expect(bench.now - crashed).toBeLessThanOrEqual(2.51);
      await bench.periods(10);
      expect(heard).toHaveLength(2);
    }
  });

  it("pings as soon as it may write, though the very first write was refused", async () => {
    let isRefused = true;
    let asked = 0;
    const refusing = new HeartbitError("NOT_PERMITTED", "not authorized");
    const refused = await bench.openWith((namespace) => ({
      nextSeq: () => (asked++, isRefused ? Promise.reject(refusing) : namespace.nextSeq()),
    }));
    await hear(refused.watcher(), "k");
    await bench.periods(1000);
    expect([await bench.stored.pings(0), refused.health.state]).toEqual([[], "stale"]);
    expect(asked).toBeLessThan(20); // a server logs each refusal
    isRefused = false;
    await bench.periods(125);
    expect(await bench.stored.pings(0)).not.toEqual([]);
    expect(refused.health.state).toBe("healthy");
  });

  it("that may only read reports no death right after an outage in which it asked for the time", async () => {
    const periodMs = 1000;
    await begin({ periodMs });
    const readerLink = new FaultyStore(bench.store);
    const no = new HeartbitError("NOT_PERMITTED", "It may only read.");
    const readOnly = wrap(readerLink, () => ({ nextSeq: () => Promise.reject(no) }));
    const reader = await Presence.open(readOnly, { periodMs });
    await startAll(presence, ["k"]);
    await startAll(other, ["other"]);
    const heard = await hear(reader.watcher(), "k");
    await bench.clock.advance(20.85 * periodMs);
    for (const one of [link, otherLink, readerLink]) one.pause();
    await bench.clock.advance(1.87 * periodMs);
    otherLink.resume();
    readerLink.resume();
    await bench.clock.advance(0.04 * periodMs);
    expect(reader.health.reason).toMatch("a read took 1");
    link.resume();
    await bench.clock.advance(10 * periodMs);
    expect(heard).toEqual(["k alive initial"]);
    expect(reader.health.state).toBe("healthy");
  });

  it("first reports a key alive whose holder pings late in each slot, whenever it begins to watch it", async () => {
    for (let part = 2; part < 4; part += 0.1) {
      await begin();
      await startAll(presence, ["k"]);
      await startAll(other, ["own"]);
      await hear(other.watcher(), "own");
      await bench.periods(5);
      link.delay(0.94 * PERIOD_MS);
      await bench.periods(part);
      expect([part, await hear(other.watcher(), "k")]).toEqual([part, ["k alive initial"]]);
    }
  });

  it("reports no death by a read that no write confirms: a primary that was cut off answers reads for a while", async () => {
    await presence.pinger("k").start();
    const heard = await hear(other.watcher(), "k");
    await bench.periods(5.9); // the holder has pinged in slot 5
    link.pause(); // for ever
    await bench.periods(1.55); // and the watcher in slot 7, in which the death would be reported, at 7.5
    otherLink.intercept(failing("ping"));
    await bench.periods(0.2);
    expect(heard).toEqual(["k alive initial"]);
    expect(other.health.state).toBe("stale");
    otherLink.intercept();
    await bench.periods(3);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
  });

  it("misses nothing that reads did not see while members of the server lagged", async () => {
    let lags = false;
    const lagging = new FaultyStore(
      readThrough(bench.store, (page) => ({
        ...page,
        registrations: page.registrations.filter(({ key }) => !lags || key !== "late"),
      })),
    );
    const watching = await Presence.open(lagging, { periodMs: PERIOD_MS, feed: "poll" });
    const heard = await hear(watching.watcher(), { all: true });
    await bench.periods(5);
    // What a majority has not got yet is not read, nor is a ping acknowledged.
    lags = true;
    lagging.intercept(failing("ping"));
    await bench.periods(3);
    await presence.pinger("late").start();
    await bench.periods(5);
    expect(heard).toEqual([]);
    lags = false;
    lagging.intercept();
    await bench.periods(2);
    expect(heard).toEqual(["late alive joined"]);
  });

  it("reads a stored meta that is not JSON as null: neither a watcher nor a list fails because of it", async () => {
    const store = readThrough(bench.store, (page) => ({
      ...page,
      registrations: page.registrations.map((registration) => ({ ...registration, meta: "undefined" })),
    }));
    const reading = await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" });
    await presence.pinger("k", { meta: 1 }).start();
    const watcher = reading.watcher();
    const metas: unknown[] = [];
    watcher.watch("k", ({ holders }) => metas.push(...holders.map(({ meta }) => meta)));
    await watcher.sync();
    metas.push((await reading.list()).keys[0]?.holders[0]?.meta);
    expect(metas).toEqual([null, null]);
  });

  it("given more to watch, loads more: each listener gets the live keys of its own target once", async () => {
    const gone = presence.pinger("web/0");
    await gone.start();
    await gone.kill();
    await startAll(presence, ["a", "web/1", "web/2"]);
    const watcher = other.watcher();
    const heard: string[][] = [];
    for (const target of ["a", { prefix: "web/" }, { prefix: "" }, { all: true } as const, "a"])
      heard.push((await hear(watcher, target)).toSorted());
    const all = ["a alive initial", "web/1 alive initial", "web/2 alive initial"];
    expect(heard).toEqual([[all[0]], all.slice(1), all, all, [all[0]]]);
  });

  it("a death and a return that were not consumed in between are an update of the holders", async () => {
    const pinger = presence.pinger("k");
    await pinger.start();
    const changes = other.watcher().changes("k");
    await changes.next();
    await pinger.kill();
    await bench.periods(0.01);
    await pinger.start();
    await bench.periods(0.01);
    expect((await changes.next()).value).toMatchObject({ alive: true, cause: "updated" });
  });

  it("`changes` ends at break, at return, at abort and when the watcher stops", async () => {
    const watcher = presence.watcher();
    for await (const change of watcher.changes("k")) {
      expect(words(change)).toBe("k dead initial");
      break;
    }
    const ended = { done: true, value: undefined };
    const abort = new AbortController();
    const aborted = watcher.changes("k", { signal: abort.signal });
    await aborted.next();
    const pending = aborted.next();
    abort.abort();
    expect([await pending, await aborted.next()]).toEqual([ended, ended]);
    expect(await watcher.changes("k", { signal: abort.signal }).next()).toEqual(ended);
    const last = watcher.changes({ all: true }).next();
    await watcher.stop();
    expect(await last).toEqual(ended);
  });

  it("`sync` fills the buffers of `changes`, and hands everything to listeners that are slow or throw", async () => {
    const { presence: polling } = await bench.open({ feed: "poll", pollMs: 5000 });
    const watcher = polling.watcher();
    const changes = watcher.changes({ all: true });
    watcher.watch({ all: true }, () => {
      throw new Error("from the listener");
    });
    // oxlint-disable-next-line typescript/no-misused-promises -- users do give async listeners
    watcher.watch({ all: true }, async () => Promise.reject(new Error("from the listener")));
    const heard = await hear(watcher, { all: true });
    await startAll(presence, ["a", "b"]);
    await watcher.sync();
    expect(heard.toSorted()).toEqual(["a alive joined", "b alive joined"]);
    expect([(await changes.next()).value?.key, (await changes.next()).value?.key]).toEqual(["a", "b"]);
  });

  it("nothing is delivered after `unwatch` or `stop`, by a listener that calls it either", async () => {
    await startAll(presence, texts(20, "key-"));
    const watcher = other.watcher();
    const [until5, until7]: [Change[], Change[]] = [[], []];
    const listener = (change: Change): void => {
      if (until5.push(change) === 5) watcher.unwatch({ all: true }, listener);
    };
    watcher.watch({ all: true }, listener);
    watcher.watch({ all: true }, (change) => {
      if (until7.push(change) === 7) void watcher.stop();
    });
    await watcher.dead;
    await bench.periods(3);
    expect([until5.length, until7.length]).toEqual([5, 7]);
  });

  it("a change that a listener alters is not altered for the others", async () => {
    await presence.pinger("k", { meta: { a: 1 } }).start();
    const watcher = presence.watcher();
    const metas: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      watcher.watch("k", ({ holders }) => {
        const meta = holders[0]?.meta as { a: number };
        metas.push(meta.a++);
      });
    }
    await watcher.sync();
    expect(metas).toEqual([1, 1]);
  });

  it("refuses wrong targets, listeners and options at once", () => {
    const watcher = presence.watcher();
    const listener = (): unknown => watcher;
    for (const target of [null, undefined, 7, {}, { all: false }, { all: 1 }])
      expect(() => watcher.watch(target as never, listener)).toThrow(refusal("INVALID_OPTION"));
    for (const target of ["", { prefix: 7 }, { prefix: "a\udc00" }])
      expect(() => watcher.watch(target as never, listener)).toThrow(refusal("INVALID_KEY"));
    for (const value of [null, 5] as never[]) {
      for (const call of [
        () => watcher.watch("k", value),
        () => watcher.once("health", value),
        () => presence.on("close", value),
        () => presence.pinger("k").on("killed", value),
        () => watcher.changes("k", value),
        () => watcher.changes("k", { signal: 5 as never }),
      ])
        expect(call).toThrow(refusal("INVALID_OPTION"));
    }
    watcher.watch({ prefix: "" }, listener);
    expect(() => watcher.watch({ all: true }, listener)).toThrow(refusal("ALREADY_WATCHED"));
  });

  it("`sync` repeats for a period without an answer, and rejects at once if the store answers with an error", async () => {
    const watcher = presence.watcher();
    const outcomes: string[] = [];
    const sync = (): Promise<unknown> =>
      watcher.sync().then(
        () => outcomes.push("done"),
        ({ code, retryable, message }: HeartbitError) => outcomes.push(`${code} ${retryable}: ${message}`),
      );
    const noAnswer = expect.stringMatching(/^STORE_UNAVAILABLE true: .* did not answer/) as string;
    link.fail();
    await bench.during(1.1, sync()); // before there is a session
    link.heal();
    await bench.periods(0.1);
    await sync();
    link.pause();
    void sync();
    await bench.periods(0.5);
    link.resume();
    await bench.periods(0.3);
    link.pause();
    void sync();
    await bench.periods(0.9);
    expect(outcomes).toEqual([noAnswer, "done", "done"]);
    await bench.periods(0.4);
    link.fail();
    await bench.periods(0.3);
    await sync();
    expect(outcomes.slice(3)).toEqual([noAnswer, expect.stringMatching(/The store was told to fail\.$/)]);
  });
});

it("what was destroyed while a watcher was away is forgotten once it has read everything again", async () => {
  await begin({ retentionSlots: 10 }); // it was away for more than half of that
  const pinger = presence.pinger("k");
  await pinger.start();
  const heard = await hear(other.watcher(), "k");
  await pinger.stop({ holdMs: 100 * PERIOD_MS });
  await bench.periods(3);
  otherLink.fail();
  bench.store.destroy("presence", { registration: ({ key }) => key === "k" });
  await bench.periods(6);
  otherLink.heal();
  await bench.periods(8);
  expect(heard).toEqual(["k alive initial", expect.stringMatching(/^k dead/)]);
});

it("a watcher whose first read of the records is refused fails", async () => {
  const error = new HeartbitError("NOT_PERMITTED", "not authorized");
  const watching = await bench.openWith(() => ({
    // oxlint-disable-next-line require-yield
    async *read() {
      throw error;
    },
  }));
  const watcher = watching.watcher();
  watcher.watch("k", () => {});
  await bench.periods(20);
  expect([watcher.state, watcher.error]).toMatchObject(["failed", { code: "NOT_PERMITTED" }]);
});
