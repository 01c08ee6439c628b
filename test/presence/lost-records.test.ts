import { beforeEach, describe, expect, it } from "vitest";
import { HeartbitError, type Pinger, type Presence } from "../../src/index.ts";
import type { RegistrationRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Write } from "../../src/core/store.ts";
import { Bench, failing, hear, PERIOD_MS, restartable, type Replace, startAll, texts } from "./support.ts";

let bench: Bench;
beforeEach(() => void (bench = new Bench()));

/** The presence holds `a` and the other keys for ten periods. Another process holds `z`, and watches `a`. */
async function hold(presence: Presence, ...keys: string[]) {
  const pingers = await startAll(presence, ["a", ...keys]);
  const { presence: other } = await bench.open();
  await other.pinger("z").start();
  const heard = await hear(other.watcher(), "a");
  await bench.periods(10);
  return { pingers, pinger: pingers[0]!, other, heard };
}

const fifty = texts(50, "k");

/** Deletes what is stored of these keys, and nothing else. */
function destroy(...keys: string[]): void {
  const doomed = { registration: ({ key }: RegistrationRecord) => keys.includes(key) };
  expect(bench.store.destroy("presence", doomed)).toBe(keys.length);
}

/** Those that are alive when everything that is dead now has been pruned. */
async function aliveInTheEnd(presence: Presence): Promise<string[]> {
  await bench.periods(300);
  await presence.prune();
  return bench.alive();
}

/** What is stored of a key. */
async function stored(of: string): Promise<RegistrationRecord[]> {
  const all: RegistrationRecord[] = [];
  for await (const { registrations } of bench.stored.read({ select: EVERYTHING })) all.push(...registrations);
  return all.filter(({ key }) => key === of);
}

/** What is dead of `a` is pruned, period by period, until nothing of it is stored. */
async function pruneAway(by: Presence): Promise<void> {
  for (let period = 0; period < 140 && (await stored("a")).length > 0; period++) {
    await bench.periods(1);
    await by.prune();
  }
  expect(await stored("a")).toEqual([]);
}

/** Keeps all writes of `a` for a later time. */
function keepWrites(kept: Write[]): Replace {
  return (namespace) => ({
    write: (writes) => {
      kept.push(...writes.filter((one) => one.kind === "registration" && one.registration.key === "a"));
      return namespace.write(writes);
    },
  });
}

describe("what is held, and whose record alone somebody has destroyed, is written again", () => {
  it.each([
    ["by a process that only holds", false],
    ["by a process that also watches", true],
  ])("%s", async (_, watches) => {
    const { presence } = await bench.open();
    if (watches) await hear(presence.watcher(), { all: true });
    const { pingers } = await hold(presence, "b", "c");
    destroy("a", "b");
    await bench.periods(16); // it looks at another of the three every four periods
    expect(await bench.alive()).toEqual(["a", "b", "c", "z"]);
    expect(pingers.map(({ state }) => state)).toEqual(["started", "started", "started"]);
  });

  it("also for watchers that saw an end by another process, which was destroyed with it", async () => {
    const { other, heard } = await hold((await bench.open()).presence, "b");
    await other.kill("a");
    destroy("a");
    await bench.periods(10);
    expect(heard).toEqual(["a alive initial", "a dead killed", "a alive joined"]);
  });

  it("by a process that is busy with its other keys all the time", async () => {
    const { pingers } = await hold((await bench.open()).presence, "b");
    destroy("a");
    for (let period = 0; period < 10; period++) {
      await pingers[1]?.update(period);
      await bench.periods(1);
    }
    expect(await bench.alive()).toEqual(["a", "b", "z"]);
  });

  it("once, however long the store refuses it", async () => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const { presence, link } = await bench.open({ logger });
    await hold(presence, "b");
    destroy("a");
    link.intercept(failing("write"));
    await bench.periods(40);
    expect(warnings.filter((warning) => warning.includes("missing from the store"))).toHaveLength(1);
    link.intercept();
    await bench.periods(2);
    expect(bench.store.counts("presence").registrations).toBe(3); // of b no other start
    expect(await bench.alive()).toEqual(["a", "b", "z"]);
  });
});

describe("a server that is found again may have lost what it had acknowledged", () => {
  it.each([
    { what: "a stop, of what is held", holdMs: 0, stopped: false },
    { what: "a planned absence, of what is held", holdMs: 10_000 * PERIOD_MS, stopped: false },
    { what: "a planned absence, of what is stopped", holdMs: 10_000 * PERIOD_MS, stopped: true },
  ])(
    "an earlier start whose end was lost does not outlive the later one: $what",
    async ({ holdMs, stopped }) => {
      const { presence, restart } = await restartable(bench);
      const { pinger } = await hold(presence, "b");
      const unended = await stored("a");
      await pinger.stop({ holdMs });
      const first = holdMs === 0 ? unended : await stored("a");
      await pinger.start();
      await bench.periods(2);
      if (stopped) await pinger.stop();
      destroy("a", "a"); // both starts
      await bench.stored.write(first.map((registration) => ({ kind: "registration", registration })));
      restart();
      await bench.periods(10);
      await pinger.stop();
      expect(await aliveInTheEnd(presence)).toEqual(["b", "z"]);
    },
  );

  it("a store that has lost everything is set up again, which is no drop", async () => {
    const { presence, link, restart } = await restartable(bench);
    const pinger = presence.pinger("a");
    await pinger.start();
    await bench.periods(5);
    await bench.stored.drop();
    link.intercept((operation) => {
      link.delay(operation === "configure" ? 100 : 0);
      return "pass";
    });
    restart();
    await bench.periods(4);
    expect(pinger.state).toBe("started");
    expect(await bench.alive()).toEqual(["a"]);
  });

  it("a process that cannot write lost records learns meanwhile that another of its keys was killed", async () => {
    const { presence, link, restart } = await restartable(bench);
    const { pingers, other } = await hold(presence, "b");
    let killed = 0;
    pingers[1]?.on("killed", () => killed++);
    destroy("a");
    link.intercept(failing("write"));
    restart();
    await bench.periods(2);
    await other.kill("b");
    await bench.periods(6);
    expect(killed).toBe(1);
  });
});

describe("a key that was killed, and whose record is gone before its holder learned of it, is reported alive again", () => {
  it.each([
    { who: "a process that only holds", watches: false, updates: false },
    { who: "one that only holds, and updates it", watches: false, updates: true },
    { who: "one that also watches", watches: true, updates: false },
    { who: "one that also watches, and updates it", watches: true, updates: true },
  ])("pruned while the reads of its holder fail: $who", async ({ watches, updates }) => {
    const { presence, link } = await bench.open({ feed: "poll" });
    if (watches) await hear(presence.watcher(), "b");
    const { pinger, other, heard } = await hold(presence, ...fifty);
    link.intercept(failing("read"));
    await other.kill("a");
    await pruneAway(other);
    if (updates) await pinger.update("new");
    await bench.periods(1);
    link.intercept();
    await bench.periods(6);
    expect([heard.at(-1), pinger.state]).toEqual(["a alive joined", "started"]);
    expect((await stored("a"))[0]?.meta).toBe(updates ? '"new"' : "null");
  });

  it("destroyed while its holder is cut off, whose update is written before it looks", async () => {
    const { presence, link } = await bench.open();
    const { pinger, other, heard } = await hold(presence, "b");
    link.intercept(failing("write", "ping", "time", "read"));
    await other.kill("a");
    destroy("a");
    const updating = pinger.update("new");
    await bench.periods(4);
    link.intercept(failing("ping"));
    await bench.periods(0.06); // the write is tried again before the ping is
    link.intercept();
    await bench.periods(10);
    await updating;
    expect([heard.at(-1), pinger.state]).toEqual(["a alive joined", "started"]);
  });
});

it("records that only a read of a lagging member lacks are not registered again", async () => {
  let lags = false;
  let asked = 0;
  const { presence, restart } = await restartable(bench, {}, (namespace) => ({
    pings: async (from) => (lags ? [] : namespace.pings(from)),
    read: async function* (query) {
      if (lags) asked++;
      for await (const page of namespace.read(query)) yield lags ? { ...page, registrations: [] } : page;
    },
  }));
  await hold(presence, "b");
  lags = true;
  restart();
  await bench.periods(3);
  expect(asked).toBeGreaterThan(0);
  lags = false;
  await bench.periods(10);
  expect((await stored("a")).map(({ start }) => start)).toEqual([1]);
});

it.each([
  { what: "what is held", restarted: true },
  { what: "what is over", restarted: false },
])(
  "a process that has lost its number to another ends nothing of that one's: $what",
  async ({ restarted }) => {
    for (let wait = 0; wait < 4; wait += 0.5) {
      bench = new Bench();
      const [pinger] = await startAll((await bench.open()).presence, ["a", "b"]);
      await bench.periods(10);
      await pinger!.stop();
      if (restarted) await pinger!.start();
      await bench.periods(3 + wait);
      // The server has lost all that it had of that presence, and its counter.
      bench.store.destroy("presence", { registration: () => true, session: () => true });
      const other = (await bench.openWith(() => ({ nextSeq: () => Promise.resolve(1) }))).pinger("c");
      let killed = 0;
      other.on("killed", () => killed++);
      await other.start();
      await bench.periods(6);
      const ended = (await stored("c")).filter(({ last }) => last !== undefined);
      expect([wait, killed, ended]).toEqual([wait, 0, []]);
    }
  },
);

it("after an outage of more than half a retention all that is held is read once, and written once", async () => {
  let [reads, puts] = [0, 0];
  const { presence, link } = await restartable(bench, {}, (namespace) => ({
    read: (query) => {
      if (query.since === undefined) reads++;
      return namespace.read(query);
    },
    write: (writes) => {
      puts += writes.filter(({ kind }) => kind === "registration").length;
      return namespace.write(writes);
    },
  }));
  await hold(presence, ...fifty);
  link.fail();
  await bench.periods(70);
  link.heal();
  [reads, puts] = [0, 0];
  await bench.periods(6);
  expect([reads, puts]).toEqual([1, 51]);
});

it.each(["stop", "kill"] as const)(
  "a %s of a held key whose record was destroyed is reported to watchers that knew it",
  async (end) => {
    const { pinger, heard } = await hold((await bench.open()).presence, "b");
    destroy("a");
    await pinger[end]();
    await bench.periods(3);
    expect(heard).toEqual(["a alive initial", `a dead ${end === "stop" ? "stopped" : "killed"}`]);
  },
);

it.each([
  { what: "of a process that only held", watches: false, isStarted: false, holdMs: 0 },
  { what: "of one that also watches", watches: true, isStarted: false, holdMs: 0 },
  { what: "of a planned absence, which is over", watches: false, isStarted: false, holdMs: 3 * PERIOD_MS },
  { what: "of one that has registered it again meanwhile", watches: false, isStarted: true, holdMs: 0 },
])(
  "a released key whose record was destroyed stays dead when a late write restores it: $what",
  async ({ watches, isStarted, holdMs }) => {
    const late: Write[] = [];
    const presence = await bench.openWith(keepWrites(late));
    if (watches) await hear(presence.watcher(), { all: true });
    const { pinger, heard } = await hold(presence, "b");
    if (!isStarted) await pinger.stop({ holdMs });
    destroy("a");
    if (isStarted) await bench.periods(16);
    expect((await stored("a")).map(({ start }) => start)).toEqual(isStarted ? [2] : []);
    await bench.stored.write(late.slice(0, 1));
    await bench.periods(5);
    if (isStarted) await pinger.stop();
    await bench.periods(5);
    expect(heard.at(-1)).toMatch(/^a dead/);
    expect(await aliveInTheEnd(presence)).toEqual(["b", "z"]);
  },
);

it("the pings of a new session extend the lease only once its keys are registered under it", async () => {
  let refuses = false;
  const refusal = new HeartbitError("STORE_UNAVAILABLE", "It refuses.");
  const { presence, restart } = await restartable(bench, {}, (namespace) => ({
    write: (writes) =>
      refuses && writes.some(({ kind }) => kind === "registration")
        ? Promise.reject(refusal)
        : namespace.write(writes),
  }));
  await presence.pinger("a").start();
  await bench.periods(5);
  const before = presence.session;
  bench.store.destroy("presence", { session: () => true, registration: () => true });
  refuses = true;
  restart();
  await bench.periods(1);
  expect(presence.session).not.toBe(before);
  const until = presence.vouchedUntil;
  await bench.periods(1);
  expect(presence.vouchedUntil).toEqual(until);
  let lapses = 0;
  presence.on("lapse", () => lapses++);
  await bench.periods(2);
  expect(lapses).toBe(1);
  refuses = false;
  await bench.periods(2);
  expect(presence.vouchedUntil?.getTime()).toBeGreaterThan(bench.clock.now() + PERIOD_MS);
});

it("a lease that runs out while no new session can be opened is a lapse at once", async () => {
  let refuses = false;
  const { presence, restart } = await restartable(bench, {}, (namespace) => ({
    nextSeq: () => (refuses ? new Promise(() => {}) : namespace.nextSeq()),
  }));
  await presence.pinger("a").start();
  await bench.periods(5);
  let lapsedAt = Infinity;
  presence.on("lapse", () => (lapsedAt = bench.clock.now()));
  bench.store.destroy("presence", { session: () => true, registration: () => true });
  refuses = true;
  restart();
  await bench.periods(1);
  const until = presence.vouchedUntil?.getTime() ?? 0;
  await bench.periods(3);
  expect(lapsedAt - until).toBeLessThan(PERIOD_MS / 50);
});

it("starts and ends while the open records are counted are no loss: nothing is read for them", async () => {
  const pingers = fifty.map((key) => (): Pinger => presence.pinger(key));
  let [counts, reads] = [0, 0];
  const presence = await bench.openWith((namespace) => ({
    countOpen: async (session) => {
      counts++;
      const act = counts % 2 === 0 ? ended : started;
      await act();
      return namespace.countOpen(session);
    },
    read: (query) => {
      if (query.registrations === "all") reads++;
      return namespace.read(query);
    },
  }));
  let held: Pinger[] = [];
  const started = async (): Promise<void> => {
    held = pingers.map((make) => make());
    await Promise.all(held.map((pinger) => pinger.start()));
  };
  const ended = async (): Promise<void> => void (await Promise.all(held.map((pinger) => pinger.kill())));
  await presence.pinger("a").start();
  await bench.periods(40);
  expect([counts > 6, reads]).toEqual([true, 0]);
});
