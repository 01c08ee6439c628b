import { describe, expect, it } from "vitest";
import { type Change, Presence } from "../../src/index.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import { FaultyStore } from "../../src/testing/index.ts";
import { Bench, hear, PERIOD_MS, readThrough, words, wrap } from "./support.ts";

const wrong = (value: unknown): never => value as never;

describe("a watcher", () => {
  it("reports a crash 1.1 to 2.5 periods after it, once", async () => {
    for (let part = 0; part < 1; part += 0.05) {
      const bench = new Bench();
      const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
      await a.pinger("k").start();
      const heard = await hear(b.watcher(), "k");
      await bench.periods(5 + part);
      link.pause(); // for ever
      const crashed = bench.now;
      while (heard.length === 1) await bench.periods(0.01);
      expect(bench.now - crashed).toBeGreaterThanOrEqual(1.1);
      expect(bench.now - crashed).toBeLessThanOrEqual(2.51);
      await bench.periods(10);
      expect(heard).toEqual(["k alive initial", "k dead expired"]);
    }
  });

  it("pings as soon as it may write, though the very first write was refused", async () => {
    const bench = new Bench();
    let isRefused = true;
    let asked = 0;
    const refusing = wrap(bench.store, (namespace) => ({
      nextSeq: () => {
        asked++;
        if (!isRefused) return namespace.nextSeq();
        return Promise.reject(new HeartbitError("NOT_PERMITTED", "not authorized"));
      },
    }));
    const presence = await Presence.open(refusing, { periodMs: PERIOD_MS });
    await hear(presence.watcher(), "k");
    const stored = bench.store.namespace("presence");
    const pings = async (): Promise<number> => (await stored.pings(0)).length;
    await bench.periods(1000);
    expect([await pings(), presence.health.state]).toEqual([0, "stale"]);
    expect(asked).toBeLessThan(20); // a server logs each refusal
    isRefused = false;
    await bench.periods(125);
    expect(await pings()).toBeGreaterThan(0);
    expect(presence.health.state).toBe("healthy");
  });

  it("reports no death by a read that no write confirms: a primary that was cut off answers reads for a while", async () => {
    const bench = new Bench();
    const [{ presence: a, link }, { presence: b, link: own }] = [await bench.open(), await bench.open()];
    await a.pinger("k").start();
    const heard = await hear(b.watcher(), "k");
    await bench.periods(5.9); // a has pinged in slot 5
    link.pause(); // for ever
    await bench.periods(1.55); // and b in slot 7, in which the death would be told, at 7.5
    own.intercept((operation) => (operation === "ping" ? "fail" : "pass"));
    await bench.periods(0.2);
    expect(heard).toEqual(["k alive initial"]);
    expect(b.health.state).toBe("stale");
    own.intercept();
    await bench.periods(3);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
  });

  it("misses nothing that reads did not see while members of the server lagged", async () => {
    const bench = new Bench();
    const { presence: a } = await bench.open();
    let lags = false;
    const link = new FaultyStore(
      readThrough(bench.store, (page) =>
        lags ? { ...page, registrations: page.registrations.filter(({ key }) => key !== "late") } : page,
      ),
    );
    const b = await Presence.open(link, { periodMs: PERIOD_MS, feed: "poll" });
    const heard = await hear(b.watcher(), { all: true });
    await bench.periods(5);
    // What a majority has not got yet is not read, nor is a ping acknowledged.
    lags = true;
    link.intercept((operation) => (operation === "ping" ? "fail" : "pass"));
    await bench.periods(3);
    await a.pinger("late").start();
    await bench.periods(5);
    expect(heard).toEqual([]);
    lags = false;
    link.intercept();
    await bench.periods(2);
    expect(heard).toEqual(["late alive joined"]);
  });

  it("reads a stored meta that is not JSON as null: neither a watcher nor a list fails because of it", async () => {
    const bench = new Bench();
    const { presence: a } = await bench.open();
    const store = readThrough(bench.store, (page) => ({
      ...page,
      registrations: page.registrations.map((registration) => ({ ...registration, meta: "undefined" })),
    }));
    const b = await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" });
    await a.pinger("k", { meta: 1 }).start();
    const metas: unknown[] = [];
    const watcher = b.watcher();
    watcher.watch("k", ({ holders }) => metas.push(...holders.map(({ meta }) => meta)));
    const changes = watcher.changes("k");
    await watcher.sync();
    metas.push((await changes.next()).value?.holders[0]?.meta);
    metas.push((await b.list()).keys[0]?.holders[0]?.meta);
    expect(metas).toEqual([null, null, null]);
  });

  it("reports a join and a kill at once by the feed, and by polling within `pollMs`", async () => {
    for (const [feed, delayMs] of [
      ["auto", 1],
      ["poll", 500],
    ] as const) {
      const bench = new Bench();
      const [{ presence: a }, { presence: b }] = [
        await bench.open(),
        await bench.open({ feed, pollMs: 500 }),
      ];
      const heard = await hear(b.watcher(), "k");
      const pinger = a.pinger("k");
      await pinger.start();
      await bench.clock.advance(delayMs);
      expect(heard).toEqual(["k dead initial", "k alive joined"]);
      await bench.periods(1.3);
      await pinger.kill();
      await bench.clock.advance(delayMs);
      expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed"]);
    }
  });

  it("reads no registrations of keys that it does not watch", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    await Promise.all(Array.from({ length: 100 }, (_, index) => a.pinger(`key-${index}`).start()));
    const watcher = b.watcher();
    const heard = await hear(watcher, "key-7");
    expect(await watcher.alive("key-8")).toBe(true);
    await bench.periods(3);
    expect(heard).toEqual(["key-7 alive initial"]);
  });

  it("of a prefix reports each live key at first, then each change of it alone", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    await Promise.all(["web/1", "web/2", "db/1"].map((key) => a.pinger(key).start()));
    const gone = a.pinger("web/0");
    await gone.start();
    await gone.kill();
    const heard = await hear(b.watcher(), { prefix: "web/" });
    expect(heard.toSorted()).toEqual(["web/1 alive initial", "web/2 alive initial"]);
    await a.pinger("web/3").start();
    await a.pinger("db/2").start();
    await bench.periods(0.01);
    expect(heard.slice(2)).toEqual(["web/3 alive joined"]);
  });

  it("given more to watch, loads more: each listener gets its own present state once", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    await Promise.all(["a", "b", "c"].map((key) => a.pinger(key).start()));
    const watcher = b.watcher();
    const one = await hear(watcher, "a");
    const some = await hear(watcher, { prefix: "" });
    const all = await hear(watcher, { all: true });
    const again = await hear(watcher, "a");
    expect(one).toEqual(["a alive initial"]);
    expect(again).toEqual(["a alive initial"]);
    expect(some.toSorted()).toEqual(["a alive initial", "b alive initial", "c alive initial"]);
    expect(all.toSorted()).toEqual(["a alive initial", "b alive initial", "c alive initial"]);
  });

  it("a death and a return that were not consumed in between are no change, or an update of the holders", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const pinger = a.pinger("k");
    await pinger.start();
    const watcher = b.watcher();
    const changes = watcher.changes("k");
    await changes.next();
    await pinger.kill();
    await bench.periods(0.01);
    await pinger.start();
    await bench.periods(0.01);
    expect((await changes.next()).value).toMatchObject({ alive: true, cause: "updated" });
  });

  it("`changes` ends at break, at return, at abort and when the watcher stops", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const watcher = presence.watcher();
    for await (const change of watcher.changes("k")) {
      expect(words(change)).toBe("k dead initial");
      break;
    }
    const abort = new AbortController();
    const aborted = watcher.changes("k", { signal: abort.signal });
    await aborted.next();
    const pending = aborted.next();
    abort.abort();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await aborted.next()).toEqual({ done: true, value: undefined });
    expect(await watcher.changes("k", { signal: abort.signal }).next()).toEqual({
      done: true,
      value: undefined,
    });
    const stopped = watcher.changes({ all: true });
    const last = stopped.next();
    await watcher.stop();
    expect(await last).toEqual({ done: true, value: undefined });
    expect(() => watcher.changes("k")).toThrow(expect.objectContaining({ code: "WATCHER_STOPPED" }));
  });

  it("`sync` fills the buffers of `changes`, and hands everything to listeners that are slow or throw", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [
      await bench.open(),
      await bench.open({ feed: "poll", pollMs: 5000 }),
    ];
    const watcher = b.watcher();
    const changes = watcher.changes({ all: true });
    const heard: string[] = [];
    watcher.watch({ all: true }, () => {
      throw new Error("from the listener");
    });
    // oxlint-disable-next-line typescript/no-misused-promises -- users do give async listeners
    watcher.watch({ all: true }, async () => Promise.reject(new Error("from the listener")));
    watcher.watch({ all: true }, (change) => heard.push(words(change)));
    await watcher.sync();
    await Promise.all(["a", "b"].map((key) => a.pinger(key).start()));
    await watcher.sync();
    expect(heard.toSorted()).toEqual(["a alive joined", "b alive joined"]);
    expect([(await changes.next()).value?.key, (await changes.next()).value?.key]).toEqual(["a", "b"]);
  });

  it("nothing is delivered after `unwatch` or `stop`, by a listener that calls it either", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    await Promise.all(Array.from({ length: 20 }, (_, index) => a.pinger(`key-${index}`).start()));
    const watcher = b.watcher();
    let heard = 0;
    const listener = (): void => {
      heard++;
      if (heard === 5) watcher.unwatch({ all: true }, listener);
    };
    watcher.watch({ all: true }, listener);
    const other: Change[] = [];
    watcher.watch({ all: true }, (change) => {
      other.push(change);
      if (other.length === 7) void watcher.stop();
    });
    await watcher.dead;
    await bench.periods(3);
    expect([heard, other.length]).toEqual([5, 7]);
  });

  it("a change that a listener alters is not altered for the others", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
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

  it("refuses wrong options and event listeners at once, by their names", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const watcher = presence.watcher();
    const refused = { code: "INVALID_OPTION" };
    for (const value of [null, 5]) {
      expect(() => watcher.changes("k", wrong(value))).toThrow(expect.objectContaining(refused));
      expect(() => watcher.changes("k", wrong({ signal: 5 }))).toThrow(expect.objectContaining(refused));
      expect(() => presence.on("close", wrong(value))).toThrow(expect.objectContaining(refused));
      expect(() => presence.pinger("k").on("killed", wrong(value))).toThrow(expect.objectContaining(refused));
      expect(() => watcher.once("health", wrong(value))).toThrow(expect.objectContaining(refused));
    }
  });

  it("refuses wrong targets and listeners at once", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const watcher = presence.watcher();
    const listener = (): unknown => watcher;
    for (const target of [null, undefined, 7, {}, { all: false }, { all: 1 }]) {
      expect(() => watcher.watch(target as never, listener)).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION" }),
      );
    }
    for (const target of ["", { prefix: 7 }, { prefix: "a\udc00" }]) {
      expect(() => watcher.watch(target as never, listener)).toThrow(
        expect.objectContaining({ code: "INVALID_KEY" }),
      );
    }
    expect(() => watcher.watch("k", undefined as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
    watcher.watch({ prefix: "" }, listener);
    expect(() => watcher.watch({ all: true }, listener)).toThrow(
      expect.objectContaining({ code: "ALREADY_WATCHED" }),
    );
  });

  it("`sync` rejects when the store does not answer, `alive` and `watch` wait for it", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b, link }] = [await bench.open(), await bench.open()];
    await a.pinger("k").start();
    const watcher = b.watcher();
    await watcher.sync();
    link.fail();
    const other = b.watcher();
    const syncing = other.sync().catch((error: unknown) => error);
    await bench.periods(2);
    expect(await syncing).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    let alive: boolean | undefined;
    void other.alive("k").then((is) => (alive = is));
    const heard: string[] = [];
    other.watch("k", (change) => heard.push(words(change)));
    await bench.periods(3);
    expect([alive, heard]).toEqual([undefined, []]);
    link.heal();
    await bench.periods(0.2);
    expect([alive, heard]).toEqual([true, ["k alive initial"]]);
  });

  it("`sync` repeats for a period without an answer, and rejects at once if the store answers with an error", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const watcher = presence.watcher();
    const outcomes: string[] = [];
    const sync = async (): Promise<void> => {
      await watcher.sync().then(
        () => outcomes.push("done"),
        (error: unknown) => outcomes.push(String(error)),
      );
    };
    const noAnswer = expect.stringContaining("did not answer") as string;
    link.fail();
    void sync(); // before there is a session
    await bench.periods(1.1);
    expect(outcomes).toEqual([noAnswer]);
    link.heal();
    await bench.periods(0.1);
    await sync();
    link.pause();
    void sync();
    await bench.periods(0.5);
    link.resume();
    await bench.periods(0.3);
    expect(outcomes.slice(1)).toEqual(["done", "done"]);
    link.pause();
    void sync();
    await bench.periods(0.9);
    expect(outcomes.slice(3)).toEqual([]);
    await bench.periods(0.4);
    expect(outcomes.slice(3)).toEqual([noAnswer]);
    link.fail();
    await bench.periods(0.3);
    await sync();
    expect(outcomes.slice(4)).toEqual(["HeartbitError: The store was told to fail."]);
  });

  it("calls on one that has stopped are refused; `dead` has resolved", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const watcher = presence.watcher();
    await presence.close();
    await watcher.dead;
    expect([watcher.state, watcher.error]).toEqual(["stopped", null]);
    expect(() => watcher.watch("k", () => {})).toThrow(expect.objectContaining({ code: "WATCHER_STOPPED" }));
    await expect(watcher.sync()).rejects.toMatchObject({ code: "WATCHER_STOPPED" });
    watcher.startSync();
    expect(() => presence.watcher()).toThrow(expect.objectContaining({ code: "PRESENCE_CLOSED" }));
  });
});
