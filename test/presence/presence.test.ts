import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Health, type Lapse, Presence, type Store } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { Bench, hear, PERIOD_MS } from "./support.ts";

describe("a presence", () => {
  it("counts what `kill` has ended, though its first answer was lost", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b, link }] = [await bench.open(), await bench.open()];
    await a.pinger("k").start();
    let kills = 0;
    link.intercept((operation) =>
      operation === "kill" && kills++ === 0 ? "fail after it happened" : "pass",
    );
    const killing = b.kill("k");
    await bench.clock.advance(1000);
    expect(await killing).toBe(1);
  });

  it("whose session another has ended by mistake takes a new number, and holds what it held", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const heard = await hear(b.watcher(), "k");
    await a.pinger("k").start();
    const { session } = a;
    const namespace = bench.store.namespace("presence");
    await namespace.write([{ kind: "endSession", session: session!, last: 0 }]);
    await bench.periods(6);
    expect(a.session).not.toBe(session);
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed", "k alive joined"]);
  });

  it("waits one period at most to be closed, for a store that never answers nor closes", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    await presence.pinger("k").start();
    link.pause();
    let isClosed = false;
    presence.on("close", () => (isClosed = true));
    void presence.close();
    await bench.periods(1.01);
    expect(isClosed).toBe(true);
  });

  it("is not opened for long where the store does not tell its time, however long the period", async () => {
    const clock = new ManualClock();
    const link = new FaultyStore(new MemoryStore({ clock }));
    link.intercept((operation) => {
      if (operation === "time") link.pause();
      return "pass";
    });
    const opening = expect(Presence.open(link, { periodMs: 3_600_000 })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    await clock.advance(10_000);
    await opening;
  });

  it("has no session before something is held or watched, and then has one", async () => {
    const bench = new Bench();
    const { presence } = await bench.open({ name: "agents" });
    expect([presence.session, presence.vouchedUntil]).toEqual([undefined, null]);
    expect([presence.name, presence.periodMs, presence.health]).toEqual([
      "agents",
      PERIOD_MS,
      { state: "healthy" },
    ]);
    await presence.list();
    expect(presence.session).toBe(undefined);
    await presence.pinger("k").start();
    expect(presence.session).toBe(1);
  });

  it("leaves one session, however often its opening failed after it had happened", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    let writes = 0;
    link.intercept((operation) =>
      operation === "write" && ++writes <= 5 ? "fail after it happened" : "pass",
    );
    const started = presence.pinger("a").start();
    await bench.periods(1);
    await started;
    expect(writes).toBeGreaterThan(5);
    expect(bench.store.counts("presence")).toMatchObject({ sessions: 1, registrations: 1 });
  });

  it("closed while its session is being opened does not ping afterwards", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    presence.watcher().watch({ all: true }, () => {});
    await presence.close();
    const before = bench.store.counts("presence");
    await bench.periods(5);
    expect(bench.store.counts("presence")).toEqual(before);
    expect(presence.vouchedUntil).toBe(null);
  });

  it("`vouchedUntil` is the earliest time at which a watcher could tell its keys dead", async () => {
    for (let part = 0; part < 1; part += 0.1) {
      const bench = new Bench();
      const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
      await a.pinger("k").start();
      const heard = await hear(b.watcher(), "k");
      await bench.periods(4 + part);
      link.pause();
      const until = a.vouchedUntil?.getTime() ?? 0;
      expect(until).toBeGreaterThan(bench.clock.now());
      await bench.clock.advance(until - 1 - bench.clock.now());
      expect(heard).toHaveLength(1);
      await bench.clock.advance(2);
      expect(heard).toHaveLength(2);
      expect(a.vouchedUntil?.getTime()).toBe(until);
    }
  });

  it("emits `lapse` once when it could not ping for so long, and brings its keys back when it can", async () => {
    const bench = new Bench();
    const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
    const lapses: Lapse[] = [];
    a.on("lapse", (lapse) => lapses.push(lapse));
    await a.pinger("k").start();
    const heard = await hear(b.watcher(), "k");
    await bench.periods(4);
    link.fail();
    await bench.periods(1.4); // last vouched for in slot 3, so until 5.5
    expect(lapses).toHaveLength(0);
    await bench.periods(10);
    expect(lapses).toHaveLength(1);
    const { from, to } = lapses[0] as Lapse;
    expect((to.getTime() - from.getTime()) / PERIOD_MS).toBeGreaterThan(2);
    expect((to.getTime() - from.getTime()) / PERIOD_MS).toBeLessThan(2.5);
    expect(heard).toEqual(["k alive initial", "k dead expired"]);
    link.heal();
    await bench.periods(0.2);
    expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    link.fail();
    await bench.periods(4);
    expect(lapses).toHaveLength(2);
  });

  it("comes back from a lapse longer than the retention, when all of it has been pruned", async () => {
    const bench = new Bench();
    const options = { retentionSlots: 10 };
    const [{ presence: a, link }, { presence: b }] = [await bench.open(options), await bench.open(options)];
    await a.pinger("k", { meta: "m" }).start();
    const heard = await hear(b.watcher(), "k");
    await bench.periods(4);
    link.pause();
    await bench.periods(40);
    await b.prune();
    expect((await b.list()).keys).toEqual([]);
    link.resume();
    await bench.periods(2);
    expect(heard.slice(0, 3)).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    expect(heard.slice(3).filter((line) => line.includes("dead"))).toEqual([]);
    await bench.periods(40);
    await b.prune();
    expect((await b.list()).keys).toMatchObject([
      { alive: true, holders: [{ session: a.session, meta: "m" }] },
    ]);
    expect(bench.store.counts("presence")).toMatchObject({ sessions: 2, registrations: 1 });
  });

  it("is `stale`, with the reason and since when, while the store is away, and `healthy` again afterwards", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const told: Health[] = [];
    presence.on("health", (health) => told.push(health));
    const watcher = presence.watcher();
    watcher.on("health", (health) => told.push(health));
    await hear(watcher, "k");
    await bench.periods(3);
    expect(told).toEqual([]);
    const failed = bench.clock.now();
    link.fail();
    await bench.periods(2);
    expect(presence.health).toMatchObject({
      state: "stale",
      reason: expect.stringContaining("The store was told to fail"),
    });
    expect(presence.health.since?.getTime()).toBe(failed);
    link.heal();
    await bench.periods(3);
    expect(presence.health).toEqual({ state: "healthy" });
    expect(told.map(({ state }) => state)).toEqual(["stale", "stale", "healthy", "healthy"]);
  });

  it("reports no expiry while the store is away for all, nor after it", async () => {
    const bench = new Bench();
    const clients = await Promise.all(Array.from({ length: 5 }, () => bench.open()));
    await Promise.all(clients.map(({ presence }, index) => presence.pinger(`key-${index}`).start()));
    const heard = await hear(clients[0]!.presence.watcher(), { all: true });
    await bench.periods(4);
    for (const { link } of clients) link.pause();
    await bench.periods(200);
    for (const { link } of clients) {
      link.resume();
      await bench.periods(0.2);
    }
    await bench.periods(10);
    expect(heard).toHaveLength(5);
  });

  it("`close` ends every key at once, with one write; with `linger` they time out", async () => {
    for (const linger of [false, true]) {
      const bench = new Bench();
      const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
      const pingers = ["a", "b", "c"].map((key) => a.pinger(key));
      await Promise.all(pingers.map((pinger) => pinger.start()));
      const heard = await hear(b.watcher(), { all: true });
      await bench.periods(3);
      let writes = 0;
      link.intercept((operation) => {
        if (operation === "write") writes++;
        return "pass";
      });
      let closes = 0;
      a.on("close", () => closes++);
      const closing = a.close({ linger });
      expect(a.close()).toBe(closing);
      await closing;
      await bench.clock.advance(1);
      expect([writes, closes]).toEqual([1, 1]);
      expect(pingers.map(({ state }) => state)).toEqual(Array(3).fill(linger ? "stopped" : "killed"));
      expect(heard).toHaveLength(linger ? 3 : 6);
      await bench.periods(3);
      expect(heard.slice(3).toSorted()).toEqual(
        ["a", "b", "c"].map((key) => `${key} dead ${linger ? "stopped" : "killed"}`),
      );
      expect(a.vouchedUntil).toBe(null);
      await expect(a.list()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
    }
  });

  it("`close` waits at most one period for a store that is away, and does not reject", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    await presence.pinger("k").start();
    link.pause();
    let closed = false;
    const closing = presence.close().then(() => (closed = true));
    await bench.periods(0.9);
    expect(closed).toBe(false);
    await bench.periods(0.2);
    await closing;
  });

  it("`await using` closes", async () => {
    const bench = new Bench();
    const { presence: b } = await bench.open();
    {
      await using presence = await Presence.open(bench.store);
      await presence.pinger("k").start();
    }
    expect((await b.list()).keys).toMatchObject([{ key: "k", alive: false }]);
  });

  it("an aborted signal closes it, and stops it from opening", async () => {
    const bench = new Bench();
    const abort = new AbortController();
    const { presence } = await bench.open({ signal: abort.signal });
    let closed = false;
    presence.on("close", () => (closed = true));
    abort.abort();
    await bench.periods(0.1);
    expect(closed).toBe(true);
    await expect(bench.open({ signal: abort.signal })).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
  });

  it("a signal aborted while it opens, on a store that does not answer, ends that at once", async () => {
    const bench = new Bench();
    const link = new FaultyStore(bench.store);
    link.pause();
    const abort = new AbortController();
    const opening = Presence.open(link, { signal: abort.signal });
    const reason = new Error("enough");
    abort.abort(reason);
    await expect(opening).rejects.toMatchObject({ code: "PRESENCE_CLOSED", cause: reason });
    link.resume();
    await bench.periods(1);
    expect((await (await bench.open()).presence.list()).keys).toEqual([]);
  });

  it("keeps no pinger that is not started, so that a program may make as many as it likes", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const made = async (state: string): Promise<WeakRef<object>> => {
      const pinger = presence.pinger(state);
      if (state !== "new") await pinger.start();
      if (state === "stopped") await pinger.stop();
      if (state === "killed") await pinger.kill();
      return new WeakRef(pinger);
    };
    const states = ["new", "stopped", "killed", "started"];
    const made4 = await Promise.all(states.map(made));
    await bench.periods(1);
    setFlagsFromString("--expose-gc");
    (runInNewContext("gc") as () => void)();
    expect(states.filter((_, index) => made4[index]?.deref() !== undefined)).toEqual(["started"]);
    await presence.close();
  });

  it("keeps nothing of a key that it released more than a retention ago", async () => {
    const bench = new Bench();
    const { presence } = await bench.open({ retentionSlots: 10 });
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const length = 1000;
    const comeAndGo = async (count: number): Promise<void> => {
      const keys = Array.from({ length: count }, (_, index) => `${count}-${index}-`.padEnd(length, "x"));
      const pingers = keys.map((key) => presence.pinger(key));
      await Promise.all(pingers.map((pinger) => pinger.start()));
      await Promise.all(pingers.map((pinger) => pinger.kill()));
    };
    const heapAfter = async (count: number): Promise<number> => {
      await comeAndGo(count);
      await bench.periods(60);
      await presence.prune();
      gc();
      return process.memoryUsage().heapUsed;
    };
    const [few, many] = [100, 10_000];
    await heapAfter(few); // what is made once
    const before = await heapAfter(few);
    expect((await heapAfter(many)) - before).toBeLessThan((many * length) / 4);
    await presence.close();
  });

  it("nothing of what was held before a drop goes on after it", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("k");
    await pinger.start();
    await pinger.stop({ holdMs: 60_000 });
    await bench.periods(1);
    const { presence: other } = await bench.open();
    await other.drop();
    await bench.periods(6);
    expect(pinger.state).toBe("stopped");
    const again = bench.clock.now();
    await pinger.start();
    expect((await presence.list()).keys[0]?.holders[0]?.since.getTime()).toBe(again);
  });

  it("a namespace of another period refuses it, and keeps its own", async () => {
    const bench = new Bench();
    await bench.open({ periodMs: 1000 });
    await expect(bench.open({ periodMs: 2000 })).rejects.toMatchObject({
      code: "CONFIG_MISMATCH",
      message: 'The namespace "presence" has a period of 1000 ms, but was opened with periodMs 2000.',
    });
    await expect(bench.open({ periodMs: 1000 })).resolves.toBeDefined();
  });

  it.each([
    [{ name: "" }],
    [{ name: "a b" }],
    [{ name: "x".repeat(65) }],
    [{ name: "$cmd" }],
    [{ name: 7 }],
    [{ periodMs: 99 }],
    [{ periodMs: 3_600_001 }],
    [{ periodMs: Number.NaN }],
    [{ periodMs: "5000" }],
    [{ periodMs: 1000.5 }],
    [{ retentionSlots: 1 }],
    [{ pollMs: 0 }],
    [{ feed: "never" }],
    [{ clock: {} }],
    [{ signal: {} }],
    [{ logger: 5 }],
  ])("refuses the options %j", async (options) => {
    const error = await Presence.open(new MemoryStore({ clock: new ManualClock() }), options as never).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ name: "HeartbitError", code: "INVALID_OPTION", retryable: false });
    expect((error as Error).message).toContain(Object.keys(options)[0]);
  });

  it.each([
    "",
    "redis://user:secret@host",
    "mongodb",
    "sqlite:",
    "memory:",
    "user:secret@host",
    null,
    7,
    {},
    [],
  ])("refuses the target %j, and prints no password", async (target) => {
    const error = await Presence.open(target as never).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "INVALID_OPTION" });
    expect((error as Error).message).not.toContain("secret");
  });

  it("refuses the store that it no longer has with the one to take instead", async () => {
    await expect(Presence.open("lmdb:/var/lib/app")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("sqlite:<directory>"),
    });
  });

  it("a store that does not answer refuses it in a few seconds", async () => {
    const bench = new Bench();
    const { link } = await bench.open();
    link.pause();
    const error = Presence.open(link).catch((e: unknown) => e);
    await bench.clock.advance(10_000);
    expect(await error).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("closing gives up what the store has not answered: nobody waits for it any more", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open({ periodMs: 1000 });
    await presence.pinger("k").start();
    link.pause();
    const listing = presence.list().catch((error: unknown) => error);
    void presence.close();
    await bench.clock.advance(1000); // as long as closing takes; a listing would wait for 2 s
    const later = bench.clock.advance(0).then(() => "later");
    expect(await Promise.race([listing, later])).toMatchObject({ code: "PRESENCE_CLOSED" });
  });

  it("a listener that throws is logged and hurts nobody else; no event needs a listener", async () => {
    const bench = new Bench();
    const lines: string[] = [];
    const { presence, link } = await bench.open({ logger: { error: (line) => lines.push(line) } });
    let healths = 0;
    presence.on("health", () => {
      throw new Error("from the listener");
    });
    presence.once("health", () => healths++);
    const off = (): number => healths++;
    presence.on("health", off);
    presence.off("health", off);
    await presence.pinger("k").start();
    link.fail();
    await bench.periods(4);
    link.heal();
    await bench.periods(4);
    expect(healths).toBe(1);
    expect(lines).toEqual(Array(2).fill("heartbit presence: a listener of health threw: from the listener"));
  });

  it("a new one after a step back continues after the latest stored slot", async () => {
    const bench = new Bench();
    const { presence: a, link } = await bench.open();
    await a.pinger("old").start();
    await bench.periods(5);
    link.pause();
    bench.clock.step(-20 * PERIOD_MS);
    const { presence: b } = await bench.open();
    await b.pinger("new").start();
    const heard = await hear(b.watcher(), { all: true });
    await bench.periods(8);
    expect(heard.toSorted()).toEqual(["new alive initial", "old alive initial", "old dead expired"]);
  });

  it("one that cannot read the config during a step back follows the raised offset afterwards", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b, link }] = [await bench.open(), await bench.open()];
    await a.pinger("a").start();
    await b.pinger("b").start();
    await bench.periods(5);
    link.intercept((operation) => (operation === "config" ? "fail" : "pass"));
    bench.clock.step(-4 * PERIOD_MS);
    await bench.periods(6);
    link.intercept();
    await bench.periods(4);
    expect((await a.list()).keys.map(({ key, alive }) => [key, alive])).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });
});

describe("`list`", () => {
  it("returns live and recently dead keys, with since and holders, in order", async () => {
    const bench = new Bench();
    const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
    await b.pinger("zebra").start();
    const killed = b.pinger("killed");
    await killed.start();
    await a.pinger("crashed").start();
    await bench.periods(3.5);
    link.pause();
    const killedAt = bench.clock.now();
    await killed.kill();
    await bench.periods(5);
    const { keys, asOf, confirmed } = await b.list();
    expect(confirmed).toBe(true);
    expect(asOf.getTime()).toBe(bench.clock.now());
    expect(keys.map(({ key, alive, holders }) => [key, alive, holders.length])).toEqual([
      ["crashed", false, 0],
      ["killed", false, 0],
      ["zebra", true, 1],
    ]);
    expect(keys[1]?.since.getTime()).toBe(killedAt);
    expect((keys[0]!.since.getTime() - killedAt) / PERIOD_MS).toBeCloseTo(2); // in slot 3, at 5.5
    expect((await b.list({ prefix: "z" })).keys.map(({ key }) => key)).toEqual(["zebra"]);
    expect((await b.list({ key: "never" })).keys).toEqual([]);
    await expect(b.list({ key: "" })).rejects.toMatchObject({ code: "INVALID_KEY" });
    await expect(b.list({ prefix: null as never })).rejects.toMatchObject({ code: "INVALID_KEY" });
    await expect(b.list(null as never)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it("orders keys by code points, as the stores do", async () => {
    const { presence } = await new Bench().open();
    const keys = ["a", "a\0b", "\uE000", "\uFFFF", "\u{1F600}", "\u{10FFFF}", "a\u{1F600}", "a\uFFFF"];
    await Promise.all(keys.map((key) => presence.pinger(key).start()));
    const listed = (await presence.list()).keys.map(({ key }) => key);
    expect(listed).toEqual(keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  });

  it("is not confirmed when nobody has pinged lately", async () => {
    const bench = new Bench();
    const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
    expect(await b.list()).toMatchObject({ confirmed: true, keys: [] });
    await a.pinger("k").start();
    expect(await b.list()).toMatchObject({ confirmed: true, keys: [{ alive: true }] });
    await bench.periods(1);
    expect(await b.list()).toMatchObject({ confirmed: true });
    await bench.periods(10);
    expect(await b.list()).toMatchObject({ confirmed: true });
    link.pause();
    await bench.periods(10);
    expect(await b.list()).toMatchObject({ confirmed: false, keys: [{ alive: true }] });
    await bench.periods(130); // longer than the retention: there is no ping any more
    expect(await b.list()).toMatchObject({ confirmed: false, keys: [{ key: "k" }] });
    expect(await b.list({ key: "nobody's" })).toMatchObject({ confirmed: true, keys: [] });
  });

  it("rejects with STORE_UNAVAILABLE when the store stays away, and waits out a short absence", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    link.fail();
    const failing = presence.list().catch((error: unknown) => error);
    await bench.periods(3);
    expect(await failing).toMatchObject({ code: "STORE_UNAVAILABLE" });
    const waiting = presence.list();
    await bench.periods(0.3);
    link.heal();
    await bench.periods(0.3);
    expect(await waiting).toMatchObject({ keys: [] });
  });
});

it("with a period of an hour nobody waits that long for a store that does not answer", async () => {
  const bench = new Bench();
  const { presence, link } = await bench.open({ periodMs: 3_600_000 });
  await presence.pinger("k").start();
  const watcher = presence.watcher();
  await watcher.sync();
  for (const trouble of ["fail", "pause"] as const) {
    const outcomes: string[] = [];
    link[trouble]();
    for (const call of [presence.list(), presence.kill("k"), presence.prune(), watcher.sync()]) {
      call.catch(({ code }: { code: string }) => outcomes.push(code));
    }
    await bench.clock.advance(11_000);
    expect(outcomes).toEqual(Array.from({ length: 4 }, () => "STORE_UNAVAILABLE"));
  }
  let closed = false;
  void presence.close().then(() => (closed = true));
  await bench.clock.advance(11_000);
  expect(closed).toBe(true);
});

describe("storage", () => {
  it("of a live key is not pruned by a presence with a shorter retention", async () => {
    const bench = new Bench();
    const { presence: short } = await bench.open({ retentionSlots: 10 });
    const { presence: long } = await bench.open({ retentionSlots: 1000 });
    await long.pinger("k").start();
    await bench.periods(300);
    await short.prune();
    expect((await short.list()).keys).toMatchObject([{ key: "k", alive: true }]);
  });
});

/** A store that gives session numbers as it is told, as one does whose counter was lost. */
function withSeqs(store: MemoryStore, seqs: number[]): Store {
  return {
    kind: store.kind,
    clock: store.clock,
    close: () => store.close(),
    namespace: (name) => {
      const namespace = store.namespace(name);
      namespace.nextSeq = async () => seqs.shift() ?? 1000;
      return namespace;
    },
  };
}

describe("a server that has lost what it had acknowledged", () => {
  it("gives a number that another has: the next one is taken", async () => {
    const bench = new Bench();
    const a = await Presence.open(withSeqs(bench.store, [1]));
    await a.pinger("a").start();
    await bench.clock.advance(2000);
    const b = await Presence.open(withSeqs(bench.store, [1, 1, 2]));
    await b.pinger("b").start();
    expect([a.session, b.session]).toEqual([1, 2]);
    await bench.periods(3);
    const { keys } = await b.list();
    expect(keys.map(({ key, alive, holders }) => [key, alive, holders[0]?.session])).toEqual([
      ["a", true, 1],
      ["b", true, 2],
    ]);
  });

  it("has lost all sessions, and given the number of one to another: no key is reported dead, and both get numbers of their own", async () => {
    const bench = new Bench();
    const w = await Presence.open(withSeqs(bench.store, [5, 6]));
    const watcher = w.watcher();
    const a = await Presence.open(withSeqs(bench.store, [7, 9]));
    const pinger = a.pinger("a");
    await pinger.start();
    const heard = await hear(watcher, { all: true });
    await bench.periods(3.45);
    await bench.store.namespace("presence").prune({ beforeSlot: Infinity, beforeMs: Infinity, limit: 1e9 });
    const b = await Presence.open(withSeqs(bench.store, [7]));
    await b.pinger("b").start();
    await bench.periods(6);
    expect([w.session, a.session, b.session]).toEqual([6, 9, 7]);
    expect(heard.filter((line) => line.includes("dead"))).toEqual([]);
    expect(heard).toContain("b alive joined");
    const { keys } = await a.list();
    expect(
      keys.map(({ key, alive, holders }) => [key, alive, holders.map(({ session }) => session)]),
    ).toEqual([
      ["a", true, [9]],
      ["b", true, [7]],
    ]);
  });
});
