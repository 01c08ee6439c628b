import { describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { internalsOf } from "../../src/presence/internals.ts";
import { Bench, hear, PERIOD_MS, readThrough } from "./support.ts";

describe("a pinger", () => {
  it("that is killed and then started in one tick is alive: the kill comes first, though it takes longer", async () => {
    const bench = new Bench();
    const [{ presence }, { presence: other }] = [await bench.open(), await bench.open()];
    const heard = await hear(other.watcher(), "k");
    const pinger = presence.pinger("k");
    let killed = 0;
    pinger.on("killed", () => killed++);
    const calls = [pinger.kill(), pinger.start(), pinger.stop(), pinger.start(), pinger.update(1)];
    await bench.clock.advance(0);
    await Promise.all(calls);
    await bench.periods(3);
    expect([killed, pinger.state]).toEqual([0, "started"]);
    expect(heard.slice(0, 2)).toEqual(["k dead initial", "k alive joined"]);
    expect((await other.list()).keys).toMatchObject([{ alive: true, holders: [{ meta: 1 }] }]);
  });

  it("stops without the error of a kill that failed before", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const pinger = presence.pinger("k");
    link.fail();
    const killing = expect(pinger.kill()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await bench.periods(4);
    await killing;
    link.heal();
    await expect(pinger.stop()).resolves.toBeUndefined();
  });

  it("that is killed at any moment after an outage of more than half the retention is dead, and stays so", async () => {
    for (let afterMs = 0; afterMs < 1000; afterMs += 10) {
      const bench = new Bench();
      const options = { retentionSlots: 10 };
      const [{ presence, link }, { presence: other }] = [
        await bench.open(options),
        await bench.open(options),
      ];
      const [pinger, busy] = [presence.pinger("k"), presence.pinger("busy")];
      await Promise.all([pinger.start(), busy.start()]);
      link.fail();
      await bench.periods(7);
      link.heal();
      link.delay(95);
      void pinger.update("young");
      for (let ms = 0; ms < afterMs; ms += 10) {
        void busy.update(ms); // so that one write waits for another
        await bench.clock.advance(10);
      }
      const killed = pinger.kill();
      await bench.periods(4);
      await killed;
      const { keys } = await other.list();
      expect([afterMs, keys.filter(({ alive }) => alive).map(({ key }) => key)]).toEqual([afterMs, ["busy"]]);
    }
  });

  it("refuses options that are no object, and keeps its state", async () => {
    const { presence } = await new Bench().open();
    const pinger = presence.pinger("k");
    await expect(pinger.stop(null as never)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(() => presence.close(null as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    await pinger.start();
  });

  it("is seen as soon as `start` has resolved, with its meta", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    await a.pinger("k", { meta: { role: "web", port: 80 } }).start();
    const { keys, confirmed } = await b.list();
    expect(confirmed).toBe(true);
    expect(keys).toMatchObject([{ key: "k", alive: true }]);
    expect(keys[0]?.holders).toEqual([
      {
        session: a.session,
        host: expect.any(String),
        pid: process.pid,
        since: expect.any(Date),
        meta: { role: "web", port: 80 },
      },
    ]);
  });

  it("without a meta has null", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    await presence.pinger("k").start();
    expect((await presence.list()).keys[0]?.holders[0]?.meta).toBe(null);
  });

  it("has another meta after `update`, and an update is no death and no birth", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const pinger = a.pinger("k", { meta: 1 });
    await pinger.start();
    const watcher = b.watcher();
    const heard = await hear(watcher, "k");
    await watcher.sync();
    await pinger.update({ now: 2 });
    await watcher.sync();
    expect(heard).toEqual(["k alive initial", "k alive updated"]);
    expect((await b.list({ key: "k" })).keys[0]?.holders[0]?.meta).toEqual({ now: 2 });
    await pinger.stop();
    await pinger.update(3);
    expect((await b.list({ key: "k" })).keys[0]?.holders[0]?.meta).toEqual({ now: 2 });
    await pinger.start();
    expect((await b.list({ key: "k" })).keys[0]?.holders[0]?.meta).toBe(3);
  });

  it("given the same meta again, reports nothing", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("k", { meta: { a: 1 } });
    await pinger.start();
    const watcher = presence.watcher();
    const heard = await hear(watcher, "k");
    await watcher.sync();
    await pinger.update({ a: 1 });
    await watcher.sync();
    expect(heard).toEqual(["k alive initial"]);
  });

  it("calls take effect in the order of the calls, awaited or not", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const pinger = a.pinger("k");
    await Promise.all([pinger.start(), pinger.stop(), pinger.start(), pinger.kill(), pinger.kill()]);
    expect(pinger.state).toBe("killed");
    expect((await b.list({ key: "k" })).keys).toMatchObject([{ alive: false }]);
    await Promise.all([pinger.start(), pinger.update(7), pinger.stop(), pinger.start()]);
    expect(pinger.state).toBe("started");
    expect((await b.list({ key: "k" })).keys).toMatchObject([{ alive: true, holders: [{ meta: 7 }] }]);
  });

  it("killed in its planned absence, is dead at once", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const heard = await hear(b.watcher(), "k");
    const pinger = a.pinger("k");
    await pinger.start();
    await bench.periods(1);
    await pinger.stop({ holdMs: 3_600_000 });
    await bench.periods(10);
    await pinger.kill();
    await bench.periods(0.01);
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed"]);
  });

  it("restarted, is not reported dead by a watcher that reads its first start alone at first, as from a resumed feed", async () => {
    const bench = new Bench();
    const { presence: a } = await bench.open();
    let isLate = false;
    const store = readThrough(bench.store, (page) =>
      isLate ? { ...page, registrations: page.registrations.filter(({ start }) => start === 1) } : page,
    );
    const b = await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" });
    const watcher = b.watcher();
    const heard = await hear(watcher, "k");
    const pinger = a.pinger("k");
    await pinger.start();
    await watcher.sync();
    isLate = true;
    await pinger.stop({ holdMs: 100 * PERIOD_MS });
    await pinger.start();
    await watcher.sync();
    expect(heard).toEqual(["k dead initial", "k alive joined"]);
    isLate = false;
    b.watcher().watch("k", () => {}); // reads it whole
    await bench.periods(1);
    await pinger.kill(); // and the planned absence is over with it
    await watcher.sync();
    expect(heard.filter((line) => line.includes("dead"))).toEqual(["k dead initial", "k dead killed"]);
  });

  it("restarted after its last ping has run out, is reported dead and alive again", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const heard = await hear(b.watcher(), "k");
    const pinger = a.pinger("k");
    await pinger.start();
    await pinger.stop();
    await bench.periods(3);
    await pinger.start();
    await bench.periods(0.01);
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead stopped", "k alive joined"]);
  });

  it("stopped by its `killed` listener is not taken up again", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const heard = await hear(b.watcher(), "k");
    const pinger = a.pinger("k");
    pinger.on("killed", () => void pinger.stop());
    await pinger.start();
    await bench.periods(1);
    expect(await b.kill("k")).toBe(1);
    await bench.periods(5);
    expect(pinger.state).toBe("stopped");
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed"]);
  });

  it("restarted by the `killed` listener of another key that was killed with it is still watched over", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const [first, second] = [a.pinger("k1"), a.pinger("k2")];
    await Promise.all([first.start(), second.start()]);
    let killed = 0;
    first.once("killed", () => void Promise.all([second.stop(), second.start()]));
    second.on("killed", () => killed++);
    await Promise.all([b.kill("k1"), b.kill("k2")]);
    await bench.periods(3);
    expect([second.state, internalsOf(a).gauges().held]).toEqual(["started", 2]);
    await b.kill("k2");
    await bench.periods(1);
    expect([killed, second.state]).toEqual([1, "started"]);
  });

  it("its own stop and kill emit nothing; a listener that throws hurts nobody", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const pinger = a.pinger("k");
    let killed = 0;
    pinger.on("killed", () => {
      throw new Error("from the listener");
    });
    pinger.on("killed", () => killed++);
    await pinger.start();
    await pinger.kill();
    await pinger.start();
    await pinger.stop();
    await bench.periods(3);
    expect(killed).toBe(0);
    await pinger.start();
    await b.kill("k");
    await bench.periods(2);
    expect([killed, pinger.state]).toEqual([1, "started"]);
  });

  it("10,000 started in one tick are one session, few writes, and one ping a period", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const operations: string[] = [];
    link.intercept((operation) => {
      operations.push(operation);
      return "pass";
    });
    const pingers = Array.from({ length: 10_000 }, (_, index) => presence.pinger(`key-${index}`));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    expect(operations.filter((operation) => operation === "write").length).toBeLessThanOrEqual(9); // the session, and batches from 50 registrations on
    await bench.periods(2);
    operations.length = 0;
    await bench.periods(10);
    expect(operations.filter((operation) => operation === "ping")).toHaveLength(10);
    expect(operations.filter((operation) => operation === "write")).toHaveLength(0);
    expect((await presence.list()).keys.filter(({ alive }) => alive)).toHaveLength(10_000);
  });

  it("waits for a store that is away, and is visible when it is back", async () => {
    const bench = new Bench();
    const [{ presence: a, link }, { presence: b }] = [await bench.open(), await bench.open()];
    link.fail();
    const pinger = a.pinger("k");
    let started = false;
    const starting = pinger.start().then(() => (started = true));
    await bench.periods(4);
    expect([started, pinger.state]).toEqual([false, "started"]);
    link.heal();
    await bench.periods(0.1);
    await starting;
    expect((await b.list({ key: "k" })).keys).toMatchObject([{ alive: true }]);
  });

  it("rejects, and holds nothing, when the presence is closed", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("k");
    await presence.close();
    await expect(pinger.start()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
    expect(pinger.state).toBe("stopped");
    expect(() => presence.pinger("k")).toThrow(expect.objectContaining({ code: "PRESENCE_CLOSED" }));
  });

  it("`await using` kills", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    {
      await using pinger = presence.pinger("k");
      await pinger.start();
      expect((await presence.list()).keys).toMatchObject([{ alive: true }]);
    }
    expect((await presence.list()).keys).toMatchObject([{ alive: false }]);
  });

  it.each([
    ["", "INVALID_KEY"],
    ["x".repeat(1025), "INVALID_KEY"],
    ["é".repeat(513), "INVALID_KEY"],
    ["a\ud800b", "INVALID_KEY"],
    [42, "INVALID_KEY"],
    [null, "INVALID_KEY"],
  ])("refuses the key %j with %s", async (key, code) => {
    const bench = new Bench();
    const { presence } = await bench.open();
    expect(() => presence.pinger(key as string)).toThrow(expect.objectContaining({ code }));
    await expect(presence.kill(key as string)).rejects.toMatchObject({ code });
    await expect(presence.watcher().alive(key as string)).rejects.toMatchObject({ code });
  });

  const circular: { self?: unknown } = {};
  circular.self = circular;
  it.each([
    ["a function", () => {}],
    ["a Date", new Date(0)],
    ["a Map", new Map()],
    ["NaN", { a: Number.NaN }],
    ["a bigint", { a: 1n }],
    ["a symbol", { a: Symbol("a") }],
    ["a circle", circular],
    ["an undefined in an array", [undefined]],
    ["an array with toJSON", { list: Object.assign([1], { toJSON: () => undefined }) }],
    ["an object with toJSON", [{ toJSON: () => undefined }]],
    ["more than 16 KiB", "x".repeat(16 * 1024)],
  ])("refuses %s as meta", async (_, meta) => {
    const bench = new Bench();
    const { presence } = await bench.open();
    expect(() => presence.pinger("k", { meta })).toThrow(expect.objectContaining({ code: "INVALID_META" }));
    const pinger = presence.pinger("k");
    await expect(pinger.update(meta)).rejects.toMatchObject({ code: "INVALID_META" });
  });

  it("keeps any plain meta as it is", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const meta = JSON.parse(
      '{"$set":{"a.b":1},"__proto__":{"x":1},"\\u0000":"\\ud800","n":null,"l":[1,"a",false]}',
    ) as unknown;
    await presence.pinger("k", { meta }).start();
    const [state] = (await presence.list()).keys;
    expect(JSON.stringify(state?.holders[0]?.meta)).toBe(JSON.stringify(meta));
  });

  it("refuses a planned absence out of bounds", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("k");
    await pinger.start();
    for (const holdMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 31 * 24 * 3_600_000]) {
      await expect(pinger.stop({ holdMs })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
    expect(pinger.state).toBe("started");
    expect(PERIOD_MS).toBe(presence.periodMs);
  });
});

it("a key stays dead after its kill, though it was held in a planned absence that a kill had failed to end", async () => {
  const bench = new Bench();
  const { presence, link } = await bench.open({ retentionSlots: 10 });
  const pinger = presence.pinger("k");
  await pinger.start();
  await pinger.stop({ holdMs: 200 * PERIOD_MS });
  link.intercept((operation) => (operation === "kill" ? "fail" : "pass"));
  const failing = expect(pinger.kill()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  await bench.periods(3);
  await failing;
  link.intercept();
  await pinger.start();
  await bench.periods(2);
  await pinger.kill();
  const { presence: other } = await bench.open({ retentionSlots: 10 });
  const alive = async (): Promise<boolean> => (await other.list({ key: "k" })).keys[0]?.alive ?? false;
  expect(await alive()).toBe(false);
  await bench.periods(40);
  await other.prune();
  expect(await alive()).toBe(false);
});
