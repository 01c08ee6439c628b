import { describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";

import { internalsOf } from "../../src/presence/internals.ts";
import { failing, hear, PERIOD_MS, readThrough, refusal } from "./support.ts";
import { begin, bench, link, other, presence } from "./two-presences.ts";

describe("a pinger", () => {
  it("that is killed and then started in one tick is alive: the kill comes first, though it takes longer", async () => {
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
    const pinger = presence.pinger("k");
    link.fail();
    const killing = expect(pinger.kill()).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
    await bench.periods(4);
    await killing;
    link.heal();
    await expect(pinger.stop()).resolves.toBeUndefined();
  });

  it("that is killed at any moment after an outage of more than half the retention is dead, and stays so", async () => {
    for (let afterMs = 0; afterMs < 1000; afterMs += 10) {
      await begin({ retentionSlots: 10 });
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

  it("is seen as soon as `start` has resolved, with its meta", async () => {
    await presence.pinger("k", { meta: { role: "web", port: 80 } }).start();
    const { keys, confirmed } = await other.list();
    expect(confirmed).toBe(true);
    expect(keys).toMatchObject([{ key: "k", alive: true }]);
    expect(keys[0]?.holders).toEqual([
      {
        session: presence.session,
        host: expect.any(String),
        pid: process.pid,
        since: expect.any(Date),
        meta: { role: "web", port: 80 },
      },
    ]);
  });

  it("has another meta after `update`, which is reported unless it is the same, and also counts while it is stopped", async () => {
    const pinger = presence.pinger("k", { meta: { a: 1 } });
    await pinger.start();
    const heard = await hear(other.watcher(), "k");
    await pinger.update({ a: 1 });
    await bench.periods(0.01);
    expect(heard).toEqual(["k alive initial"]);
    await pinger.update({ now: 2 });
    await bench.periods(0.01);
    expect(heard).toEqual(["k alive initial", "k alive updated"]);
    await pinger.stop();
    await pinger.update(3);
    expect((await other.list()).keys).toMatchObject([{ holders: [{ meta: { now: 2 } }] }]);
    await pinger.start();
    expect((await other.list()).keys).toMatchObject([{ holders: [{ meta: 3 }] }]);
  });

  it("restarted, is not reported dead by a watcher that reads its first start alone at first, as from a resumed feed", async () => {
    let isLate = false;
    const store = readThrough(bench.store, (page) =>
      isLate ? { ...page, registrations: page.registrations.filter(({ start }) => start === 1) } : page,
    );
    const b = await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" });
    const watcher = b.watcher();
    const heard = await hear(watcher, "k");
    const pinger = presence.pinger("k");
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

  it("stopped by its `killed` listener is not taken up again", async () => {
    const heard = await hear(other.watcher(), "k");
    const pinger = presence.pinger("k");
    pinger.on("killed", () => void pinger.stop());
    await pinger.start();
    await bench.periods(1);
    expect(await other.kill("k")).toBe(1);
    await bench.periods(5);
    expect(pinger.state).toBe("stopped");
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed"]);
  });

  it("restarted by the `killed` listener of another key that was killed with it is still watched over", async () => {
    const [first, second] = [presence.pinger("k1"), presence.pinger("k2")];
    await Promise.all([first.start(), second.start()]);
    let killed = 0;
    first.once("killed", () => void Promise.all([second.stop(), second.start()]));
    second.on("killed", () => killed++);
    await Promise.all([other.kill("k1"), other.kill("k2")]);
    await bench.periods(3);
    expect([second.state, internalsOf(presence).gauges().held]).toEqual(["started", 2]);
    await other.kill("k2");
    await bench.periods(1);
    expect([killed, second.state]).toEqual([1, "started"]);
  });

  it("waits for a store that is away, and is visible when it is back", async () => {
    link.fail();
    const pinger = presence.pinger("k");
    let started = false;
    const starting = pinger.start().then(() => (started = true));
    await bench.periods(4);
    expect([started, pinger.state]).toEqual([false, "started"]);
    link.heal();
    await bench.periods(0.1);
    await starting;
    expect((await other.list({ key: "k" })).keys).toMatchObject([{ alive: true }]);
  });

  it("rejects, and holds nothing, when the presence is closed", async () => {
    const pinger = presence.pinger("k");
    await presence.close();
    await expect(pinger.start()).rejects.toEqual(refusal("PRESENCE_CLOSED"));
    expect(pinger.state).toBe("stopped");
    expect(() => presence.pinger("k")).toThrow(refusal("PRESENCE_CLOSED"));
  });

  it.each(["", "x".repeat(1025), "é".repeat(513), "a\ud800b", 42, null])(
    "refuses the key %j",
    async (key) => {
      expect(() => presence.pinger(key as string)).toThrow(refusal("INVALID_KEY"));
      await expect(presence.kill(key as string)).rejects.toEqual(refusal("INVALID_KEY"));
      await expect(presence.watcher().alive(key as string)).rejects.toEqual(refusal("INVALID_KEY"));
    },
  );

  const circular: { self?: unknown } = {};
  circular.self = circular;
  it.each([
    ["a function", () => {}],
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
    expect(() => presence.pinger("k", { meta })).toThrow(refusal("INVALID_META"));
    await expect(presence.pinger("k").update(meta)).rejects.toEqual(refusal("INVALID_META"));
  });

  it("keeps any plain meta as it is", async () => {
    const meta = JSON.parse(
      '{"$set":{"a.b":1},"__proto__":{"x":1},"\\u0000":"\\ud800","n":null,"l":[1,"a",false]}',
    ) as unknown;
    await presence.pinger("k", { meta }).start();
    const [state] = (await presence.list()).keys;
    expect(JSON.stringify(state?.holders[0]?.meta)).toBe(JSON.stringify(meta));
  });

  it("refuses a planned absence out of bounds and options that are no object, and keeps its state", async () => {
    const pinger = presence.pinger("k");
    await pinger.start();
    for (const holdMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 31 * 24 * 3_600_000])
      await expect(pinger.stop({ holdMs })).rejects.toEqual(refusal("INVALID_OPTION"));
    await expect(pinger.stop(null as never)).rejects.toEqual(refusal("INVALID_OPTION"));
    expect(() => presence.close(null as never)).toThrow(refusal("INVALID_OPTION"));
    expect(pinger.state).toBe("started");
  });
});

it("a key stays dead after its kill, though it was held in a planned absence that a kill had failed to end", async () => {
  await begin({ retentionSlots: 10 });
  const pinger = presence.pinger("k");
  await pinger.start();
  await pinger.stop({ holdMs: 200 * PERIOD_MS });
  link.intercept(failing("kill"));
  const killing = expect(pinger.kill()).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
  await bench.periods(3);
  await killing;
  link.intercept();
  await pinger.start();
  await bench.periods(2);
  await pinger.kill();
  expect((await other.list()).keys).toMatchObject([{ alive: false }]);
  await bench.periods(40);
  await other.prune();
  expect((await other.list()).keys.filter(({ alive }) => alive)).toEqual([]);
});
