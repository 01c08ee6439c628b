import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Health, HeartbitError, Presence } from "../../src/index.ts";
import { FaultyStore, MemoryStore } from "../../src/testing/index.ts";
import { aliveFor, first, hear, PERIOD_MS, refusal, restartable, startAll, texts } from "./support.ts";
import { begin, bench, link, other, otherLink, presence } from "./two-presences.ts";

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

describe("a presence", () => {
  it("counts what `kill` has ended, though its first answer was lost", async () => {
    await presence.pinger("k").start();
    otherLink.intercept(first(1, "kill", "fail after it happened"));
    expect(await bench.during(0.2, other.kill("k"))).toBe(1);
  });

  it("whose session another has ended by mistake takes a new number, and holds what it held", async () => {
    const heard = await hear(other.watcher(), "k");
    await presence.pinger("k").start();
    const { session = NaN } = presence;
    await bench.stored.write([{ kind: "endSession", session, last: 0 }]);
    await bench.periods(6);
    expect(presence.session).not.toBe(session);
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed", "k alive joined"]);
  });

  it("waits a period at most to be closed, for a store that never answers, and gives up what it was asked for", async () => {
    await begin({ periodMs: 1000 });
    await presence.pinger("k").start();
    link.pause();
    const events: string[] = [];
    presence.on("close", () => events.push("close"));
    presence.list().catch(({ code }: HeartbitError) => events.push(code)); // it would wait for 2 s
    void presence.close().then(() => events.push("closed"));
    await bench.clock.advance(900);
    expect(events).toEqual([]);
    await bench.clock.advance(110);
    expect(events).toEqual(["close", "closed", "PRESENCE_CLOSED"]);
  });

  it("waits only a fifth of a period to be closed if it holds nothing, since nobody misses it", async () => {
    await begin({ periodMs: 10_000 });
    await hear(presence.watcher(), "k");
    link.pause();
    let isClosed = false;
    void presence.close().then(() => (isClosed = true));
    await bench.clock.advance(2010);
    expect(isClosed).toBe(true);
  });

  it.each([
    { what: "answers nothing", when: () => true },
    { what: "does not give its time", when: (operation: string) => operation === "time" },
  ])("a store that $what refuses it in a few seconds, however long the period", async ({ when }) => {
    const silent = new FaultyStore(new MemoryStore({ clock: bench.clock }));
    silent.intercept((operation) => {
      if (when(operation)) silent.pause();
      return "pass";
    });
    const opening = bench.during(2, Presence.open(silent, { periodMs: 3_600_000 }));
    await expect(opening).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("with a period of an hour nobody waits that long for a store that does not answer", async () => {
    await begin({ periodMs: 3_600_000 });
    await presence.pinger("k").start();
    const watcher = presence.watcher();
    await watcher.sync();
    const outcomes: string[] = [];
    for (const trouble of ["fail", "pause"] as const) {
      link[trouble]();
      for (const call of [presence.list(), presence.kill("k"), presence.prune(), watcher.sync()])
        call.catch(({ code }: HeartbitError) => outcomes.push(code));
      await bench.clock.advance(11_000);
    }
    expect(outcomes).toEqual(Array(8).fill("STORE_UNAVAILABLE"));
    void presence.close().then(() => outcomes.push("closed"));
    await bench.clock.advance(11_000);
    expect(outcomes.at(-1)).toBe("closed");
  });

  it("has no session before something is held or watched, and then has one", async () => {
    const { presence: agents } = await bench.open({ name: "agents" });
    const { name, periodMs, health, vouchedUntil } = agents;
    expect([name, periodMs, health, vouchedUntil]).toEqual(["agents", 5000, { state: "healthy" }, null]);
    await agents.list();
    expect(agents.session).toBe(undefined);
    await agents.pinger("k").start();
    expect(agents.session).toBe(1);
  });

  it("leaves one session, however often its opening failed after it had happened", async () => {
    link.intercept(first(5, "write", "fail after it happened"));
    await bench.during(1, presence.pinger("a").start());
    expect(bench.store.counts("presence")).toMatchObject({ sessions: 1, registrations: 1 });
  });

  it("closed while its session is being opened does not ping afterwards", async () => {
    presence.watcher().watch({ all: true }, () => {});
    await presence.close();
    const before = bench.store.counts("presence");
    await bench.periods(5);
    expect(bench.store.counts("presence")).toEqual(before);
  });

  it.each([
    { how: "ends every key at once", linger: false, state: "killed" },
    { how: "with `linger` lets every key time out", linger: true, state: "stopped" },
  ])("`close` $how, with one write", async ({ linger, state }) => {
    const keys = ["a", "b", "c"];
    const pingers = await startAll(presence, keys);
    const heard = await hear(other.watcher(), { all: true });
    await bench.periods(3);
    const done: string[] = [];
    link.intercept((operation) => (operation === "write" && done.push("write") > 9 ? "fail" : "pass"));
    presence.on("close", () => done.push("close"));
    const closing = presence.close({ linger });
    expect(presence.close()).toBe(closing);
    await closing;
    await bench.clock.advance(1);
    expect(done).toEqual(["write", "close"]);
    expect(pingers.map((pinger) => pinger.state)).toEqual([state, state, state]);
    expect(heard).toHaveLength(linger ? 3 : 6);
    await bench.periods(3);
    expect(heard.slice(3).toSorted()).toEqual(keys.map((key) => `${key} dead ${state}`));
    expect(presence.vouchedUntil).toBe(null);
  });

  it("takes no calls once it has closed, nor do its pingers, watchers and holdings", async () => {
    const [pinger, watcher, holding] = [presence.pinger("k"), presence.watcher(), await presence.hold(["l"])];
    await presence.close();
    await watcher.dead;
    expect([pinger.state, watcher.state, watcher.error]).toEqual(["stopped", "stopped", null]);
    for (const call of [
      () => presence.list(),
      () => presence.hold(["m"]),
      () => pinger.start(),
      () => holding.add(["m"]),
      () => holding.update("l", 1),
      () => holding.leave(["l"]),
    ])
      await expect(call()).rejects.toEqual(refusal("PRESENCE_CLOSED"));
    for (const call of [() => presence.pinger("k"), () => presence.watcher()])
      expect(call).toThrow(refusal("PRESENCE_CLOSED"));
    await expect(watcher.sync()).rejects.toEqual(refusal("WATCHER_STOPPED"));
    for (const call of [() => watcher.watch("k", () => {}), () => watcher.changes("k")])
      expect(call).toThrow(refusal("WATCHER_STOPPED"));
    watcher.startSync();
  });

  it("`await using` closes a presence, and kills a pinger", async () => {
    {
      await using closed = await Presence.open(bench.store);
      await closed.pinger("a").start();
      await using pinger = other.pinger("b");
      await pinger.start();
      expect(await aliveFor(other)).toEqual(["a", "b"]);
    }
    expect(await aliveFor(other)).toEqual([]);
  });

  it("an aborted signal closes it, stops it from opening, and ends an opening that the store does not answer", async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const { presence: aborted } = await bench.open({ signal });
    let closed = false;
    aborted.on("close", () => (closed = true));
    link.pause();
    const opening = Presence.open(link, { signal });
    const cause = new Error("enough");
    abort.abort(cause);
    await expect(opening).rejects.toMatchObject({ code: "PRESENCE_CLOSED", cause });
    await bench.periods(0.1);
    expect(closed).toBe(true);
    await expect(bench.open({ signal })).rejects.toEqual(refusal("PRESENCE_CLOSED"));
  });

  it("keeps no pinger that is not started, so that a program may make as many as it likes", async () => {
    const states = ["new", "stopped", "killed", "started"];
    const pingers = await Promise.all(
      states.map(async (state) => {
        const pinger = presence.pinger(state);
        if (state !== "new") await pinger.start();
        if (state === "stopped") await pinger.stop();
        if (state === "killed") await pinger.kill();
        return new WeakRef(pinger);
      }),
    );
    await bench.periods(1);
    garbageCollector()();
    expect(states.filter((_, index) => pingers[index]?.deref() !== undefined)).toEqual(["started"]);
    await presence.close();
  });

  it("keeps nothing of a key that it released more than a retention ago", async () => {
    await begin({ retentionSlots: 10 });
    const gc = garbageCollector();
    const length = 1000;
    const heapAfter = async (count: number): Promise<number> => {
      const pingers = await startAll(
        presence,
        texts(count, `${count}-`).map((key) => key.padEnd(length, "x")),
      );
      await Promise.all(pingers.map((pinger) => pinger.kill()));
      pingers.length = 0;
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

  it("a namespace of another period refuses it, and keeps its own", async () => {
    await expect(bench.open({ periodMs: 2000 })).rejects.toMatchObject({
      code: "CONFIG_MISMATCH",
      message: 'The namespace "presence" has a period of 5000 ms, but was opened with periodMs 2000.',
    });
    await expect(bench.open()).resolves.toBeDefined();
  });

  it("after a step back of the clock a new one continues after the latest stored slot", async () => {
    await presence.pinger("old").start();
    await bench.periods(5);
    link.pause();
    otherLink.pause();
    bench.clock.step(-20 * PERIOD_MS);
    const { presence: newcomer } = await bench.open();
    await newcomer.pinger("new").start();
    const heard = await hear(newcomer.watcher(), { all: true });
    await bench.periods(8);
    expect(heard.toSorted()).toEqual(["new alive initial", "old alive initial", "old dead expired"]);
  });

  it("with a shorter retention does not prune a live key", async () => {
    const { presence: short } = await bench.open({ retentionSlots: 10 });
    const { presence: long } = await bench.open({ retentionSlots: 1000 });
    await long.pinger("k").start();
    await bench.periods(300);
    await short.prune();
    expect(await aliveFor(short)).toEqual(["k"]);
  });
});

describe("the health of a presence", () => {
  it("is `stale`, with the reason and since when, while the store is away, and `healthy` again afterwards", async () => {
    const healths: Health[] = [];
    const watcher = presence.watcher();
    presence.on("health", (health) => healths.push(health));
    watcher.on("health", (health) => healths.push(health));
    await hear(watcher, "k");
    await bench.periods(3);
    expect(healths).toEqual([]);
    const since = new Date(bench.clock.now());
    link.fail();
    await bench.periods(2);
    const reason = expect.stringContaining("The store was told to fail") as string;
    expect(presence.health).toMatchObject({ state: "stale", reason, since });
    link.heal();
    await bench.periods(3);
    expect(presence.health).toEqual({ state: "healthy" });
    expect(healths.map(({ state }) => state)).toEqual(["stale", "stale", "healthy", "healthy"]);
  });

  it("is told to each listener, though one throws, which is logged; no event needs a listener", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line) };
    const { presence: logging, link: away } = await bench.open({ logger });
    let healths = 0;
    logging.on("health", () => {
      throw new Error("from the listener");
    });
    logging.once("health", () => healths++);
    const off = (): number => healths++;
    logging.on("health", off);
    logging.off("health", off);
    await logging.pinger("k").start();
    away.fail();
    await bench.periods(4);
    away.heal();
    await bench.periods(4);
    expect(healths).toBe(1);
    expect(lines).toEqual(Array(2).fill("heartbit presence: a listener of health threw: from the listener"));
  });

  // No ping and no evaluation shows then that the store answers.
  it("that neither holds nor watches is good again once the store is found", async () => {
    const { presence: idle, restart } = await restartable(bench);
    restart();
    await bench.periods(20);
    await idle.list();
    expect(idle.health).toEqual({ state: "healthy" });
  });

  it("is good again after a start that was refused for good", async () => {
    let error = new HeartbitError("STORE_UNAVAILABLE", "It is away.");
    const refused = await bench.openWith(() => ({ ping: () => Promise.reject(error) }));
    const starting = refused.pinger("k").start();
    starting.catch(() => {});
    await bench.periods(1);
    expect(refused.health.state).toBe("stale");
    error = new HeartbitError("NOT_PERMITTED", "It refuses.");
    await expect(bench.during(1, starting)).rejects.toEqual(refusal("NOT_PERMITTED"));
    expect(refused.health).toEqual({ state: "healthy" });
  });
});

describe("an opening refuses", () => {
  it.each([
    ["name", "", "a b", "x".repeat(65), "$cmd", 7],
    ["periodMs", 99, 3_600_001, Number.NaN, "5000", 1000.5],
    ["retentionSlots", 1],
    ["pollMs", 0],
    ["feed", "never"],
    ["clock", {}],
    ["signal", {}],
    ["logger", 5],
  ])("a wrong %s, by its name", async (option, ...values) => {
    for (const value of values) {
      const opening = Presence.open(bench.store, { [option]: value });
      const error = { name: "HeartbitError", code: "INVALID_OPTION", retryable: false };
      await expect(opening).rejects.toMatchObject({ ...error, message: expect.stringContaining(option) });
    }
  });

  it("a wrong target, without its password, and says what to take in place of a store that is no more", async () => {
    const targets = ["", "redis://user:secret@host", "mongodb", "sqlite:", "memory:", "user:secret@host"];
    for (const target of [...targets, null, 7, {}, []] as never[])
      await expect(Presence.open(target)).rejects.toEqual(refusal("INVALID_OPTION", /^(?!.*secret)/s));
    const opening = Presence.open("lmdb:/var/lib/app");
    await expect(opening).rejects.toEqual(refusal("INVALID_OPTION", /sqlite:<directory>/));
  });
});

describe("`list`", () => {
  it("returns live and recently dead keys, with since and holders, in order", async () => {
    await other.pinger("zebra").start();
    const killed = other.pinger("killed");
    await killed.start();
    await presence.pinger("crashed").start();
    await bench.periods(3.5);
    link.pause();
    const killedAt = bench.clock.now();
    await killed.kill();
    await bench.periods(5);
    const { keys, asOf, confirmed } = await other.list();
    expect([confirmed, asOf.getTime()]).toEqual([true, bench.clock.now()]);
    expect(keys.map(({ key, alive, holders }) => [key, alive, holders.length])).toEqual([
      ["crashed", false, 0],
      ["killed", false, 0],
      ["zebra", true, 1],
    ]);
    expect(keys[1]?.since.getTime()).toBe(killedAt);
    expect(((keys[0]?.since.getTime() ?? 0) - killedAt) / PERIOD_MS).toBeCloseTo(2); // in slot 3, at 5.5
    expect((await other.list({ prefix: "z" })).keys.map(({ key }) => key)).toEqual(["zebra"]);
    expect((await other.list({ key: "never" })).keys).toEqual([]);
    await expect(other.list({ key: "" })).rejects.toEqual(refusal("INVALID_KEY"));
    await expect(other.list({ prefix: null as never })).rejects.toEqual(refusal("INVALID_KEY"));
    await expect(other.list(null as never)).rejects.toEqual(refusal("INVALID_OPTION"));
  });

  it("orders keys by code points, as the stores do", async () => {
    const keys = ["a", "a\0b", "\uE000", "\uFFFF", "\u{1F600}", "\u{10FFFF}", "a\u{1F600}", "a\uFFFF"];
    await startAll(presence, keys);
    const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await aliveFor(presence)).toEqual(inOrder);
  });

  it("is not confirmed when nobody has pinged lately", async () => {
    expect(await other.list()).toMatchObject({ confirmed: true, keys: [] });
    await presence.pinger("k").start();
    expect(await other.list()).toMatchObject({ confirmed: true, keys: [{ alive: true }] });
    await bench.periods(11);
    expect(await other.list()).toMatchObject({ confirmed: true });
    link.pause();
    await bench.periods(10);
    expect(await other.list()).toMatchObject({ confirmed: false, keys: [{ alive: true }] });
    await bench.periods(130); // longer than the retention: there is no ping any more
    expect(await other.list()).toMatchObject({ confirmed: false, keys: [{ key: "k" }] });
    expect(await other.list({ key: "nobody's" })).toMatchObject({ confirmed: true, keys: [] });
    await other.pinger("l").start(); // the first that is back is not the only one that lives
    expect(await other.list()).toMatchObject({ confirmed: false, keys: [{ alive: false }, { alive: true }] });
    link.resume();
    await bench.periods(3);
    expect(await other.list()).toMatchObject({ confirmed: true, keys: [{ alive: true }, { alive: true }] });
  });

  it("rejects with STORE_UNAVAILABLE when the store stays away, and waits out a short absence", async () => {
    link.fail();
    await expect(bench.during(3, presence.list())).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
    const waiting = presence.list();
    await bench.periods(0.3);
    link.heal();
    expect(await bench.during(0.3, waiting)).toMatchObject({ keys: [] });
  });
});

/** A presence of a store that gives these session numbers, as one does whose counter was lost. */
const openWithSeqs = (...seqs: number[]): Promise<Presence> =>
  bench.openWith(() => ({ nextSeq: async () => seqs.shift() ?? 1000 }));

async function holdersOfAll(): Promise<unknown> {
  const { keys } = await presence.list();
  return keys.map((state) => [state.key, ...state.holders.map(({ session }) => session)].join(" "));
}

describe("a server that has lost what it had acknowledged", () => {
  it("gives a number that another has: the next one is taken", async () => {
    const a = await openWithSeqs(1);
    await a.pinger("a").start();
    await bench.clock.advance(2000);
    await (await openWithSeqs(1, 1, 2)).pinger("b").start();
    await bench.periods(3);
    expect(await holdersOfAll()).toEqual(["a 1", "b 2"]);
  });

  it("and gives the number of one to another: no key is reported dead, and both get numbers of their own", async () => {
    const [w, a, b] = [await openWithSeqs(5, 6), await openWithSeqs(7, 9), await openWithSeqs(7)];
    const watcher = w.watcher();
    await a.pinger("a").start();
    const heard = await hear(watcher, { all: true });
    await bench.periods(3.45);
    await bench.stored.prune({ beforeSlot: Infinity, beforeMs: Infinity, limit: 1e9 });
    await b.pinger("b").start();
    await bench.periods(6);
    expect(w.session).toBe(6);
    expect(heard.filter((line) => line.includes("dead"))).toEqual([]);
    expect(heard).toContain("b alive joined");
    expect(await holdersOfAll()).toEqual(["a 9", "b 7"]);
  });

  it("and one writes a key under the number that is the other's by now: the other's key is held, too", async () => {
    const b = await openWithSeqs(7);
    await hear(b.watcher(), { all: true });
    const record = { key: "a", since: 0, slot: Math.floor(bench.clock.now() / PERIOD_MS), meta: "null" };
    const registration = { session: 7, pinger: 0, start: 1, revision: 0, ...record };
    await bench.stored.write([{ kind: "registration", registration }]);
    await b.pinger("b").start();
    await bench.periods(3);
    expect(await holdersOfAll()).toEqual(["b 7"]);
  });
});
