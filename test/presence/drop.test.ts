import { describe, expect, it } from "vitest";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { type Pinger, Presence } from "../../src/index.ts";
import { Random } from "../simulator/random.ts";
import { Bench, hear, PERIOD_MS } from "./support.ts";

/** The keys that are alive, as one who only lists finds them. */
async function alive(bench: Bench): Promise<string[]> {
  const { presence } = await bench.open();
  return (await presence.list()).keys.filter((state) => state.alive).map(({ key }) => key);
}

describe("`drop`", () => {
  it("leaves nothing of a start that was under way, and closes the presence", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const [before, after] = [presence.pinger("before"), presence.pinger("after")];
    const watcher = presence.watcher();
    let closings = 0;
    presence.on("close", () => closings++);
    const calls = [before.start(), presence.drop()];
    const refused = expect(after.start()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
    await bench.clock.advance(0);
    await Promise.all([...calls, refused]);
    await bench.periods(20);
    expect([before.state, after.state, watcher.state, closings]).toEqual(["killed", "stopped", "stopped", 1]);
    await expect(presence.list()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
    expect(bench.store.counts("presence")).toEqual({ sessions: 0, registrations: 0, pings: 0 });
    expect(await alive(bench)).toEqual([]);
  });

  it("that fails leaves what is held and watched as it was", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const pinger = presence.pinger("k");
    await pinger.start();
    const watcher = presence.watcher();
    const heard = await hear(watcher, "k");
    link.fail();
    const dropping = expect(presence.drop()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await bench.periods(2);
    await dropping;
    link.heal();
    await bench.periods(5);
    expect([pinger.state, watcher.state, heard]).toEqual(["started", "running", ["k alive initial"]]);
    expect(await alive(bench)).toEqual(["k"]);
  });

  it("by another makes a pinger `killed`, and emits that; its own does not", async () => {
    const bench = new Bench();
    const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
    const told: string[] = [];
    for (const presence of [a, b]) {
      const pinger = presence.pinger(presence === a ? "a" : "b");
      pinger.on("killed", () => told.push(`${pinger.key} ${pinger.state}`));
      await pinger.start();
    }
    await bench.periods(2);
    await b.drop();
    await bench.periods(8);
    expect(told).toEqual(["a killed"]);
  });

  describe("session numbers are not given again, so for a process that has not noticed the drop yet", () => {
    it("the closing ends nobody else's keys", async () => {
      const bench = new Bench();
      const [{ presence: late }, { presence: a }] = [await bench.open(), await bench.open()];
      await late.pinger("x").start();
      await bench.periods(3);
      await a.drop();
      const { presence: b } = await bench.open();
      await b.pinger("y").start();
      await late.close();
      expect(await alive(bench)).toEqual(["y"]);
    });

    it("a key that is started ends with its pinger", async () => {
      const bench = new Bench();
      const [{ presence: late }, { presence: a }] = [await bench.open(), await bench.open()];
      await late.pinger("x").start();
      await bench.periods(3);
      await a.drop();
      const { presence: b } = await bench.open();
      await b.pinger("y").start();
      const pinger = late.pinger("z");
      await pinger.start();
      await bench.periods(10);
      expect(await alive(bench)).toEqual(["x", "y", "z"]);
      await pinger.stop();
      await bench.periods(20);
      expect(await alive(bench)).toEqual(["x", "y"]);
    });

    it("held keys are reported lost, although another presence of the same process continues", async () => {
      const bench = new Bench();
      const [{ presence: a }, { presence: b }] = [await bench.open(), await bench.open()];
      const pinger = a.pinger("a");
      await pinger.start();
      await b.drop();
      const { presence: c } = await bench.open();
      await c.pinger("b").start();
      await bench.periods(30);
      expect(await alive(bench)).toEqual(pinger.state === "started" ? ["a", "b"] : ["b"]);
    });
  });

  it("among calls of any kind in any order: in the end just what is started is held", async () => {
    for (let seed = 1; seed <= 300; seed++) {
      expect(await heldAfterAnything(seed), `seed ${seed}`).toEqual([]);
    }
  });
});

const ignore = (): void => {};

/** Gives the keys that are not held by as many as have started them. */
async function heldAfterAnything(seed: number): Promise<string[]> {
  const random = new Random(seed);
  const clock = new ManualClock({ random: () => random.next() });
  const store = new MemoryStore({ clock });
  const links = [new FaultyStore(store), new FaultyStore(store)] as const;
  const open = (): Promise<Presence[]> =>
    Promise.all(links.map((link) => Presence.open(link, { periodMs: PERIOD_MS })));
  const presences = await open();
  const pingers = presences.flatMap((presence) => ["a", "b"].map((key) => presence.pinger(key)));
  for (let step = 0; step < 25; step++) {
    const pinger = random.pick(pingers);
    const which = Math.floor(pingers.indexOf(pinger) / 2);
    const act = random.pick<() => void>([
      () => void pinger.start().catch(ignore),
      () => void pinger.start().catch(ignore),
      () => void pinger.stop().catch(ignore),
      () => void (pinger.state === "started" && pinger.kill().catch(ignore)),
      () => void (random.chance(0.5) && presences[which]!.drop().catch(ignore)),
      () => links[which]!.delay(random.chance(0.5) ? random.between(0, 900) : 0),
    ]);
    act();
    if (random.chance(0.4)) await clock.advance(random.between(0, random.chance(0.5) ? 300 : 8000));
  }
  for (const link of links) link.delay(0);
  await clock.advance(30 * PERIOD_MS);
  const { keys } = await (await Presence.open(store, { periodMs: PERIOD_MS })).list();
  const holders = (key: string): number => keys.find((state) => state.key === key)?.holders.length ?? 0;
  const started = (key: string): Pinger[] =>
    pingers.filter((pinger) => pinger.key === key && pinger.state === "started");
  const wrong = ["a", "b"].filter((key) => holders(key) !== started(key).length);
  await Promise.all([...presences.map((presence) => presence.close()), clock.advance(PERIOD_MS)]);
  return wrong;
}

it.each(["stop", "kill"] as const)(
  "%s while the presence drops the namespace sets nothing up again",
  async (end) => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const pinger = presence.pinger("k");
    await pinger.start();
    await bench.periods(2);
    link.delay(100);
    const calls = [presence.drop(), pinger[end]()];
    await bench.periods(3);
    await Promise.all(calls);
    expect(await bench.store.namespace("presence").config()).toBeUndefined();
    expect(bench.store.counts("presence")).toEqual({ sessions: 0, registrations: 0, pings: 0 });
  },
);
