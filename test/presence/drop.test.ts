import { describe, expect, it } from "vitest";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { type HeartbitError, type Pinger, Presence } from "../../src/index.ts";
import { internalsOf } from "../../src/presence/internals.ts";
import { Random } from "../simulator/random.ts";
import { failing, hear, PERIOD_MS, refusal, startAll } from "./support.ts";
import { begin, bench, link, other, otherLink, presence } from "./two-presences.ts";

const NOTHING = { sessions: 0, registrations: 0, pings: 0 };

describe("`drop`", () => {
  it("leaves nothing of a start that was under way, and closes the presence", async () => {
    const [before, after] = [presence.pinger("before"), presence.pinger("after")];
    const watcher = presence.watcher();
    const emitted: string[] = [];
    presence.on("close", () => emitted.push("close"));
    before.on("killed", () => emitted.push("killed")); // only by another
    const calls = [before.start(), presence.drop()];
    await expect(bench.during(0, after.start())).rejects.toEqual(refusal("PRESENCE_CLOSED"));
    await Promise.all(calls);
    await bench.periods(20);
    expect([before.state, after.state, watcher.state]).toEqual(["killed", "stopped", "stopped"]);
    expect(emitted).toEqual(["close"]);
    await expect(presence.list()).rejects.toEqual(refusal("PRESENCE_CLOSED"));
    expect(bench.store.counts("presence")).toEqual(NOTHING);
    expect(await bench.alive()).toEqual([]);
  });

  it("that fails leaves what is held and watched as it was", async () => {
    const pinger = presence.pinger("k");
    await pinger.start();
    const watcher = presence.watcher();
    const heard = await hear(watcher, "k");
    link.fail();
    await expect(bench.during(2, presence.drop())).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
    link.heal();
    await bench.periods(5);
    expect([pinger.state, watcher.state, heard]).toEqual(["started", "running", ["k alive initial"]]);
    expect(await bench.alive()).toEqual(["k"]);
  });

  it("that fails for two periods, after writes that failed for one, does not let what is held expire", async () => {
    const pinger = presence.pinger("k");
    await pinger.start();
    const heard = await hear(other.watcher(), "k");
    let lapses = 0;
    presence.on("lapse", () => lapses++);
    await bench.periods(3);
    link.intercept(failing("write", "drop"));
    void pinger.update(1);
    await expect(bench.during(4, presence.drop())).rejects.toEqual(refusal("STORE_UNAVAILABLE"));
    link.intercept();
    await bench.periods(4);
    expect([heard, lapses]).toEqual([["k alive initial", "k alive updated"], 0]);
  });

  it("that is answered late leaves nothing of a ping meanwhile, and is not taken for a drop by another", async () => {
    let readsMs = 0;
    const watching = await bench.openWith((namespace) => ({
      drop: async () => {
        await namespace.drop();
        await bench.after(0.8 * PERIOD_MS);
      },
      pings: async (from) => {
        const pings = await namespace.pings(from);
        if (readsMs > 0) await bench.after(readsMs);
        return pings;
      },
    }));
    await other.pinger("crashes").start();
    const [pinger] = await startAll(watching, ["k"]);
    let killed = 0;
    pinger?.on("killed", () => killed++);
    const watcher = watching.watcher();
    await hear(watcher, { all: true });
    await bench.periods(3.45);
    otherLink.fail();
    await bench.periods(1.98);
    readsMs = PERIOD_MS / 10; // an evaluation is under way
    await bench.periods(0.1);
    await bench.during(2, watching.drop());
    expect(bench.store.counts("presence")).toEqual(NOTHING);
    expect([killed, watcher.state]).toEqual([0, "stopped"]);
  });

  it("while a watcher begins leaves nothing", async () => {
    for (const sinceMs of [0, 60, 120, 180, 240, 300]) {
      await begin();
      link.delay(50);
      presence.watcher().watch({ all: true }, () => {});
      await bench.clock.advance(sinceMs);
      await bench.during(1, presence.drop());
      expect(await bench.stored.config(), `after ${sinceMs} ms`).toBeUndefined();
      expect(bench.store.counts("presence"), `after ${sinceMs} ms`).toEqual(NOTHING);
    }
  });

  it("by another is not undone by a start that was under way, and fails later", async () => {
    const failLater: (() => void)[] = [];
    let isHanging = false;
    const holder = await bench.openWith((namespace) => ({
      write: (writes, signal) => {
        if (!isHanging) return namespace.write(writes, signal);
        return new Promise((_, reject) => failLater.push(() => reject(new Error("Lost."))));
      },
    }));
    await hear(holder.watcher(), "k");
    await bench.periods(3.42); // soon after the ping of the slot
    isHanging = true;
    const refused = holder
      .pinger("k")
      .start()
      .catch((error: unknown) => error);
    await bench.clock.advance(10);
    await other.drop();
    await bench.periods(0.5);
    isHanging = false;
    for (const fail of failLater) fail();
    await bench.periods(5);
    expect(await refused).toEqual(refusal("CONFIG_MISMATCH"));
    expect(await bench.stored.config()).toBeUndefined();
  });

  it("by another is not set up again by an opening that was under way", async () => {
    const starting = await bench.openWith((namespace) => ({
      ping: async (slot, seq) => {
        await bench.after(2000);
        return namespace.ping(slot, seq);
      },
    }));
    const started = starting.pinger("k").start();
    started.catch(() => {}); // it is rejected below
    await bench.periods(0.1);
    await bench.during(0.1, other.drop());
    internalsOf(starting).requests.add("config");
    await bench.periods(3);
    await expect(started).rejects.toEqual(refusal("CONFIG_MISMATCH", /was dropped/));
    expect(await bench.stored.config()).toBeUndefined();
  });

  it("does not give session numbers again: what a process ends that has not noticed it is its own", async () => {
    await presence.pinger("x").start();
    await bench.periods(3);
    await other.drop();
    await (await bench.open()).presence.pinger("y").start();
    const pinger = presence.pinger("z");
    await pinger.start();
    await bench.periods(10);
    expect(await bench.alive()).toEqual(["x", "y", "z"]);
    await pinger.stop();
    await bench.periods(20);
    expect(await bench.alive()).toEqual(["x", "y"]);
    await presence.close();
    expect(await bench.alive()).toEqual(["y"]);
  });

  it("by another ends what is held, and planned absences; health is stale until something is held again", async () => {
    const [held, away] = await startAll(presence, ["held", "away"]);
    const killed: (string | undefined)[] = [];
    held?.on("killed", () => killed.push(held.state));
    const holding = await presence.hold(["a", "b"]);
    await away?.stop({ holdMs: 60_000 });
    await bench.periods(2);
    await other.drop();
    await bench.periods(20);
    expect([killed, away?.state, holding.size]).toEqual([["killed"], "stopped", 0]);
    await expect(holding.add(["c"])).rejects.toEqual(refusal("CONFIG_MISMATCH"));
    expect(presence.health).toMatchObject({
      state: "stale",
      reason: 'The namespace "presence" was dropped.',
    });
    expect(await bench.stored.config()).toBeUndefined(); // nobody has set it up again
    const since = new Date(bench.clock.now());
    await away?.start();
    await bench.periods(1);
    expect(presence.health).toEqual({ state: "healthy" });
    expect((await presence.list()).keys).toMatchObject([{ key: "away", holders: [{ since }] }]);
  });

  const WAKING = "stop in the moment of waking, before which it pings,";
  it.each(["stop", "kill", WAKING, "stop, right after it, in the moment of waking"])(
    "is not undone by a %s of the same moment",
    async (what) => {
      const pinger = presence.pinger("k");
      await pinger.start();
      await bench.periods(2);
      link.delay(100);
      const isWaking = what.includes("waking");
      if (isWaking) bench.clock.step(100);
      const end = (): Promise<void> => (what === "kill" ? pinger.kill() : pinger.stop());
      const calls = what === WAKING ? [end(), presence.drop()] : [presence.drop(), end()];
      await bench.during(3, Promise.allSettled(calls));
      expect(await bench.stored.config()).toBeUndefined();
      expect(bench.store.counts("presence")).toEqual(NOTHING);
    },
  );

  it("among calls of any kind in any order: in the end just what is started is held", async () => {
    for (let seed = 1; seed <= 300; seed++) {
      expect(await heldAfterAnything(seed), `seed ${seed}`).toEqual([]);
    }
  });
});

const open = (store: FaultyStore | MemoryStore): Promise<Presence> =>
  Presence.open(store, { periodMs: PERIOD_MS });
const ignore = (): void => {};

/** Gives the keys that are not held by as many as have started them. */
async function heldAfterAnything(seed: number): Promise<string[]> {
  const random = new Random(seed);
  const clock = new ManualClock({ random: () => random.next() });
  const store = new MemoryStore({ clock });
  const links = [new FaultyStore(store), new FaultyStore(store)] as const;
  const presences = await Promise.all(links.map((one) => open(one)));
  const pingers = presences.flatMap((one) => ["a", "b"].map((key) => one.pinger(key)));
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
  for (const one of links) one.delay(0);
  await clock.advance(30 * PERIOD_MS);
  const { keys } = await (await open(store)).list();
  const wrong = ["a", "b"].filter((key) => {
    const started = pingers.filter((pinger) => pinger.key === key && pinger.state === "started");
    return (keys.find((state) => state.key === key)?.holders.length ?? 0) !== started.length;
  });
  await Promise.all([...presences.map((one) => one.close()), clock.advance(PERIOD_MS)]);
  return wrong;
}

it("a key that another process kills during a drop that fails is taken up again", async () => {
  const pinger = presence.pinger("k");
  let killed = 0;
  pinger.on("killed", () => killed++);
  await pinger.start();
  await hear(presence.watcher(), "k"); // its feed tells of the kill at once
  await bench.periods(3);
  link.intercept((operation) => (operation === "drop" ? "fail" : "pass"));
  const dropped = presence.drop().catch((error: unknown) => error);
  await bench.periods(0.1);
  expect(await other.kill("k")).toBe(1);
  await bench.periods(2);
  expect(await dropped).toMatchObject({ code: "STORE_UNAVAILABLE" });
  await bench.periods(30);
  expect([pinger.state, killed, await bench.alive()]).toEqual(["started", 1, ["k"]]);
});

const restarting = async (): Promise<Pinger> => {
  const [a, b] = (await startAll(presence, ["a", "b"])) as [Pinger, Pinger];
  a.once("killed", () => void Promise.all([b.stop(), b.start()]));
  await bench.periods(2);
  await other.drop();
  await bench.periods(10);
  return b;
};

describe("a drop by another, and calls in the `killed` listeners", () => {
  it("a pinger that one of them restarts is started", async () => {
    const b = await restarting();
    expect([b.state, await bench.alive()]).toEqual(["started", ["b"]]);
  });

  it("a pinger that restarts itself is started, though a session was opening when the namespace was lost", async () => {
    await hear(presence.watcher(), "k");
    const pinger = presence.pinger("k");
    const restarted: unknown[] = [];
    const settle = (how: unknown): void => void restarted.push(how);
    pinger.once("killed", () => void pinger.start().then(() => settle("started"), settle));
    await pinger.start();
    await bench.periods(3);
    bench.store.destroy("presence", { session: () => true });
    link.intercept(failing("nextSeq"));
    await bench.periods(2);
    link.intercept(failing("nextSeq", "configure"));
    await other.drop();
    await bench.periods(3);
    link.intercept();
    await bench.periods(3);
    expect(restarted).toEqual(["started"]);
  });

  it("a pinger that one of them restarts can be ended", async () => {
    const b = await restarting();
    await b.kill();
    await bench.periods(10);
    expect(await bench.alive()).toEqual([]);
  });

  it("a pinger that one of them stops has no `killed`", async () => {
    const [a, b] = (await startAll(presence, ["a", "b"])) as [Pinger, Pinger];
    let killed = 0;
    b.on("killed", () => killed++);
    a.once("killed", () => void b.stop());
    await bench.periods(2);
    await other.drop();
    await bench.periods(10);
    expect(killed).toBe(0);
  });

  it("a start that waited for a kill by key, and is refused because of the drop, leaves the pinger stopped", async () => {
    const pinger = presence.pinger("k");
    await startAll(presence, ["x"]);
    await hear(presence.watcher(), "x"); // notices the drop soon
    await bench.periods(2.45);
    link.intercept((operation) => (operation === "kill" ? "fail" : "pass"));
    pinger.kill().catch(() => {});
    const refused = pinger.start().then(
      () => "started",
      (error: HeartbitError) => error.code,
    );
    await other.drop();
    await bench.periods(4);
    link.intercept();
    await bench.periods(4);
    expect(await refused).toBe("CONFIG_MISMATCH");
    expect(pinger.state).not.toBe("started");
  });
});
