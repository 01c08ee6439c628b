import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Health, type KeyState, Presence } from "../../src/index.ts";
import { FaultyStore, MemoryStore } from "../../src/testing/index.ts";
import { hear, PERIOD_MS, refusal } from "./support.ts";
import { begin, bench, link, other, otherLink, presence } from "./two-presences.ts";

const isAlive = ({ key, alive }: KeyState): unknown => [key, alive];

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

describe("a presence", () => {
  it("counts what `kill` has ended, though its first answer was lost", async () => {
    await presence.pinger("k").start();
    let kills = 0;
    otherLink.intercept((operation) =>
      operation === "kill" && kills++ === 0 ? "fail after it happened" : "pass",
    );
    const killing = other.kill("k");
    await bench.clock.advance(1000);
    expect(await killing).toBe(1);
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

  it("waits one period at most to be closed, for a store that never answers, and does not reject", async () => {
    await presence.pinger("k").start();
    link.pause();
    let closed = "";
    presence.on("close", () => (closed += "emitted, "));
    const closing = presence.close().then(() => (closed += "resolved"));
    await bench.periods(0.9);
    expect(closed).toBe("");
    await bench.periods(0.11);
    await closing;
    expect(closed).toBe("emitted, resolved");
  });

  it.each([
    { what: "answers nothing", when: () => true },
    { what: "does not tell its time", when: (operation: string) => operation === "time" },
  ])("a store that $what refuses it in a few seconds, however long the period", async ({ when }) => {
    const silent = new FaultyStore(new MemoryStore({ clock: bench.clock }));
    silent.intercept((operation) => {
      if (when(operation)) silent.pause();
      return "pass";
    });
    const opening = Presence.open(silent, { periodMs: 3_600_000 }).catch((error: unknown) => error);
    await bench.clock.advance(10_000);
    expect(await opening).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
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
    presence.watcher().watch({ all: true }, () => {});
    await presence.close();
    const before = bench.store.counts("presence");
    await bench.periods(5);
    expect(bench.store.counts("presence")).toEqual(before);
    expect(presence.vouchedUntil).toBe(null);
  });

  it("comes back from a lapse longer than the retention, when all of it has been pruned", async () => {
    await begin({ retentionSlots: 10 });
    await presence.pinger("k", { meta: "m" }).start();
    const heard = await hear(other.watcher(), "k");
    await bench.periods(4);
    link.pause();
    await bench.periods(40);
    await other.prune();
    expect((await other.list()).keys).toEqual([]);
    link.resume();
    await bench.periods(42);
    await other.prune();
    expect(heard.slice(0, 3)).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    expect(heard.slice(3).filter((line) => line.includes("dead"))).toEqual([]);
    expect((await other.list()).keys).toMatchObject([{ alive: true, holders: [{ meta: "m" }] }]);
    expect(bench.store.counts("presence")).toMatchObject({ sessions: 2, registrations: 1 });
  });

  it("is `stale`, with the reason and since when, while the store is away, and `healthy` again afterwards", async () => {
    const healths: Health[] = [];
    presence.on("health", (health) => healths.push(health));
    const watcher = presence.watcher();
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

  it.each([
    { how: "ends every key at once", linger: false, state: "killed" },
    { how: "with `linger` lets every key time out", linger: true, state: "stopped" },
  ])("`close` $how, with one write", async ({ linger, state }) => {
    const pingers = ["a", "b", "c"].map((key) => presence.pinger(key));
    await Promise.all(pingers.map((pinger) => pinger.start()));
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
    expect(heard.slice(3).toSorted()).toEqual(["a", "b", "c"].map((key) => `${key} dead ${state}`));
    expect(presence.vouchedUntil).toBe(null);
    await expect(presence.list()).rejects.toEqual(refusal("PRESENCE_CLOSED"));
  });

  it("`await using` closes a presence, and kills a pinger", async () => {
    {
      await using closed = await Presence.open(bench.store);
      await closed.pinger("a").start();
      await using pinger = other.pinger("b");
      await pinger.start();
      expect((await other.list()).keys.map(isAlive)).toEqual([
        ["a", true],
        ["b", true],
      ]);
    }
    expect((await other.list()).keys.map(({ alive }) => alive)).toEqual([false, false]);
  });

  it("an aborted signal closes it, and stops it from opening", async () => {
    const abort = new AbortController();
    const { presence: aborted } = await bench.open({ signal: abort.signal });
    let closed = false;
    aborted.on("close", () => (closed = true));
    abort.abort();
    await bench.periods(0.1);
    expect(closed).toBe(true);
    await expect(bench.open({ signal: abort.signal })).rejects.toEqual(refusal("PRESENCE_CLOSED"));
  });

  it("a signal aborted while it opens, on a store that does not answer, ends that at once", async () => {
    link.pause();
    const abort = new AbortController();
    const opening = Presence.open(link, { signal: abort.signal });
    const cause = new Error("enough");
    abort.abort(cause);
    await expect(opening).rejects.toMatchObject({ code: "PRESENCE_CLOSED", cause });
    link.resume();
    await bench.periods(1);
    expect((await other.list()).keys).toEqual([]);
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
      const keys = Array.from({ length: count }, (_, index) => `${count}-${index}-`.padEnd(length, "x"));
      const pingers = keys.map((key) => presence.pinger(key));
      await Promise.all(pingers.map((pinger) => pinger.start()));
      await Promise.all(pingers.map((pinger) => pinger.kill()));
      pingers.length = keys.length = 0;
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
    const pinger = presence.pinger("k");
    await pinger.start();
    await pinger.stop({ holdMs: 60_000 });
    await bench.periods(1);
    await other.drop();
    await bench.periods(6);
    expect(pinger.state).toBe("stopped");
    const since = new Date(bench.clock.now());
    await pinger.start();
    expect((await presence.list()).keys).toMatchObject([{ holders: [{ since }] }]);
  });

  it("a namespace of another period refuses it, and keeps its own", async () => {
    await expect(bench.open({ periodMs: 2000 })).rejects.toMatchObject({
      code: "CONFIG_MISMATCH",
      message: 'The namespace "presence" has a period of 5000 ms, but was opened with periodMs 2000.',
    });
    await expect(bench.open()).resolves.toBeDefined();
  });

  it.each([
    ["name", "", "a b", "x".repeat(65), "$cmd", 7],
    ["periodMs", 99, 3_600_001, Number.NaN, "5000", 1000.5],
    ["retentionSlots", 1],
    ["pollMs", 0],
    ["feed", "never"],
    ["clock", {}],
    ["signal", {}],
    ["logger", 5],
  ])("refuses a wrong %s, by its name", async (option, ...values) => {
    for (const value of values) {
      const opening = Presence.open(bench.store, { [option]: value });
      const error = { name: "HeartbitError", code: "INVALID_OPTION", retryable: false };
      await expect(opening).rejects.toMatchObject({ ...error, message: expect.stringContaining(option) });
    }
  });

  it("refuses a wrong target, and prints no password", async () => {
    const texts = ["", "redis://user:secret@host", "mongodb", "sqlite:", "memory:", "user:secret@host"];
    for (const target of [...texts, null, 7, {}, []])
      await expect(Presence.open(target as never)).rejects.toEqual(
        refusal("INVALID_OPTION", /^(?!.*secret)/s),
      );
  });

  it("refuses the store that it no longer has with the one to take instead", async () => {
    const opening = Presence.open("lmdb:/var/lib/app");
    await expect(opening).rejects.toEqual(refusal("INVALID_OPTION", /sqlite:<directory>/));
  });

  it("closing gives up what the store has not answered: nobody waits for it any more", async () => {
    await begin({ periodMs: 1000 });
    await presence.pinger("k").start();
    link.pause();
    const listing = presence.list().catch((error: unknown) => error);
    void presence.close();
    await bench.clock.advance(1000); // as long as closing takes; a listing would wait for 2 s
    const later = bench.clock.advance(0).then(() => "later");
    expect(await Promise.race([listing, later])).toMatchObject({ code: "PRESENCE_CLOSED" });
  });

  it("a listener that throws is logged and hurts nobody else; no event needs a listener", async () => {
    const lines: string[] = [];
    const logger = { error: (line: string) => lines.push(line) };
    const { presence: logging, link: failing } = await bench.open({ logger });
    let healths = 0;
    logging.on("health", () => {
      throw new Error("from the listener");
    });
    logging.once("health", () => healths++);
    const off = (): number => healths++;
    logging.on("health", off);
    logging.off("health", off);
    await logging.pinger("k").start();
    failing.fail();
    await bench.periods(4);
    failing.heal();
    await bench.periods(4);
    expect(healths).toBe(1);
    expect(lines).toEqual(Array(2).fill("heartbit presence: a listener of health threw: from the listener"));
  });

  it("a new one after a step back continues after the latest stored slot", async () => {
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

  it("one that cannot read the config during a step back follows the raised offset afterwards", async () => {
    await presence.pinger("a").start();
    await other.pinger("b").start();
    await bench.periods(5);
    otherLink.intercept((operation) => (operation === "config" ? "fail" : "pass"));
    bench.clock.step(-4 * PERIOD_MS);
    await bench.periods(6);
    otherLink.intercept();
    await bench.periods(4);
    expect((await presence.list()).keys.map(isAlive)).toEqual([
      ["a", true],
      ["b", true],
    ]);
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
        call.catch(({ code }: { code: string }) => outcomes.push(code));
      await bench.clock.advance(11_000);
    }
    expect(outcomes).toEqual(Array(8).fill("STORE_UNAVAILABLE"));
    void presence.close().then(() => outcomes.push("closed"));
    await bench.clock.advance(11_000);
    expect(outcomes.at(-1)).toBe("closed");
  });

  it("with a shorter retention does not prune a live key", async () => {
    const { presence: short } = await bench.open({ retentionSlots: 10 });
    const { presence: long } = await bench.open({ retentionSlots: 1000 });
    await long.pinger("k").start();
    await bench.periods(300);
    await short.prune();
    expect((await short.list()).keys.map(isAlive)).toEqual([["k", true]]);
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
    await Promise.all(keys.map((key) => presence.pinger(key).start()));
    const listed = (await presence.list()).keys.map(({ key }) => key);
    expect(listed).toEqual(keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
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

/** A presence of a store that gives these session numbers, as one does whose counter was lost. */
const openWithSeqs = (...seqs: number[]): Promise<Presence> =>
  bench.openWith(() => ({ nextSeq: async () => seqs.shift() ?? 1000 }));

async function sessions(): Promise<unknown> {
  const { keys } = await presence.list();
  return keys.map(({ key, holders }) => [key, ...holders.map(({ session }) => session)]);
}

describe("a server that has lost what it had acknowledged", () => {
  it("gives a number that another has: the next one is taken", async () => {
    const a = await openWithSeqs(1);
    await a.pinger("a").start();
    await bench.clock.advance(2000);
    const b = await openWithSeqs(1, 1, 2);
    await b.pinger("b").start();
    expect([a.session, b.session]).toEqual([1, 2]);
    await bench.periods(3);
    expect(await sessions()).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });

  it("has lost all sessions, and given the number of one to another: no key is reported dead, and both get numbers of their own", async () => {
    const [w, a, b] = [await openWithSeqs(5, 6), await openWithSeqs(7, 9), await openWithSeqs(7)];
    const watcher = w.watcher();
    await a.pinger("a").start();
    const heard = await hear(watcher, { all: true });
    await bench.periods(3.45);
    await bench.stored.prune({ beforeSlot: Infinity, beforeMs: Infinity, limit: 1e9 });
    await b.pinger("b").start();
    await bench.periods(6);
    expect([w.session, a.session, b.session]).toEqual([6, 9, 7]);
    expect(heard.filter((line) => line.includes("dead"))).toEqual([]);
    expect(heard).toContain("b alive joined");
    expect(await sessions()).toEqual([
      ["a", 9],
      ["b", 7],
    ]);
  });
});
