import { describe, expect, it } from "vitest";
import { type Pinger, Presence } from "../../src/index.ts";
import { internalsOf } from "../../src/presence/internals.ts";
import { failing, hear, PERIOD_MS, readThrough, refusal, startAll } from "./support.ts";
import { begin, bench, link, other, otherLink, presence } from "./two-presences.ts";

describe("a pinger", () => {
  it("that is killed and then started in one tick is alive: the kill comes first, though it takes longer", async () => {
    const heard = await hear(other.watcher(), "k");
    const pinger = presence.pinger("k");
    let killed = 0;
    pinger.on("killed", () => killed++);
    const calls = [pinger.kill(), pinger.start(), pinger.stop(), pinger.start(), pinger.update(1)];
    await bench.during(0, Promise.all(calls));
    await bench.periods(3);
    expect([killed, pinger.state]).toEqual([0, "started"]);
    expect(heard.slice(0, 2)).toEqual(["k dead initial", "k alive joined"]);
    expect((await other.list()).keys).toMatchObject([{ alive: true, holders: [{ meta: 1 }] }]);
  });

  it("is dead after its kill, though a planned absence came before that a kill had failed to end", async () => {
    await begin({ retentionSlots: 10 });
    const pinger = presence.pinger("k");
    await pinger.start();
    await pinger.stop({ holdMs: 200 * PERIOD_MS });
    link.intercept(failing("kill"));
    await expect(bench.during(3, pinger.kill())).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
    link.intercept();
    await pinger.stop(); // without the error of the kill
    await pinger.start();
    await bench.periods(2);
    await pinger.kill();
    expect((await other.list()).keys).toMatchObject([{ alive: false }]);
    await bench.periods(40);
    await other.prune();
    expect((await other.list()).keys.filter(({ alive }) => alive)).toEqual([]);
  });

  it("is seen as soon as `start` has resolved, with any plain meta as it is", async () => {
    const meta = JSON.parse(
      '{"$set":{"a.b":1},"__proto__":{"x":1},"\\u0000":"\\ud800","n":null,"l":[1,"a",false]}',
    ) as unknown;
    await presence.pinger("k", { meta }).start();
    const { keys, confirmed } = await other.list();
    const [host, since] = [expect.any(String) as string, expect.any(Date) as Date];
    const holder = {
      session: presence.session,
      host,
      pid: process.pid,
      since,
      meta: expect.anything() as unknown,
    };
    expect([keys, confirmed]).toEqual([[{ key: "k", alive: true, since, holders: [holder] }], true]);
    expect(JSON.stringify(keys[0]?.holders[0]?.meta)).toBe(JSON.stringify(meta));
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
    const store = readThrough(bench.store, (page) => ({
      ...page,
      registrations: page.registrations.filter(({ start }) => !isLate || start === 1),
    }));
    const watcher = (await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" })).watcher();
    const heard = await hear(watcher, "k");
    const pinger = presence.pinger("k");
    await pinger.start();
    await watcher.sync();
    isLate = true;
    await pinger.stop({ holdMs: 100 * PERIOD_MS });
    await pinger.start();
    await watcher.sync();
    isLate = false;
    await hear(watcher, "k"); // reads it whole
    await bench.periods(1);
    await pinger.kill(); // and the planned absence is over with it
    await watcher.sync();
    expect(heard).toEqual(["k dead initial", "k alive joined", "k dead killed"]);
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
    const [first, second] = (await startAll(presence, ["k1", "k2"])) as [Pinger, Pinger];
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

  it.each(["", "x".repeat(1025), "é".repeat(513), "a\ud800b", 42, null] as never[])(
    "refuses the key %j",
    async (key) => {
      expect(() => presence.pinger(key)).toThrow(refusal("INVALID_KEY"));
      await expect(presence.kill(key)).rejects.toEqual(refusal("INVALID_KEY"));
      await expect(presence.watcher().alive(key)).rejects.toEqual(refusal("INVALID_KEY"));
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
    ["a getter that throws", Object.defineProperty({}, "a", { get: () => expect.fail(), enumerable: true })],
    ["an object with toJSON", [{ toJSON: () => undefined }]],
    ["more than 16 KiB", "x".repeat(16 * 1024)],
  ])("refuses %s as meta", async (_, meta) => {
    expect(() => presence.pinger("k", { meta })).toThrow(refusal("INVALID_META"));
    await expect(presence.pinger("k").update(meta)).rejects.toEqual(refusal("INVALID_META"));
  });

  it("refuses a Date in a meta, and the message says what to pass", () => {
    expect(() => presence.pinger("k", { meta: { at: new Date(0) } })).toThrow(
      refusal("INVALID_META", /meta\.at is a Date, .* toISOString\(\) or its getTime\(\)\.$/),
    );
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

it("`start`, `alive` and `watch` wait for a store that is away", async () => {
  await presence.pinger("k").start();
  const watcher = other.watcher();
  await watcher.sync();
  otherLink.fail();
  const pinger = other.pinger("l");
  const done: unknown[] = [];
  void pinger.start().then(() => done.push("started"));
  void watcher.alive("k").then((is) => done.push(is));
  watcher.watch("k", ({ cause }) => done.push(cause));
  await bench.periods(5);
  expect([pinger.state, done]).toEqual(["started", []]);
  otherLink.heal();
  await bench.periods(0.2);
  expect(new Set(done)).toEqual(new Set(["started", true, "initial"]));
  expect(await bench.alive()).toEqual(["k", "l"]);
});

it("a key that was killed in a planned absence, and is started again, is held since then", async () => {
  const pinger = presence.pinger("k");
  await pinger.start();
  await bench.periods(2);
  await pinger.stop({ holdMs: 100 * PERIOD_MS });
  await bench.periods(2);
  expect(await other.kill("k")).toBe(1);
  await bench.periods(20);
  const started = bench.clock.now();
  await pinger.start();
  const { keys } = await other.list({ key: "k" });
  expect(keys[0]?.since.getTime()).toBeGreaterThanOrEqual(started);
});
