import { beforeEach, describe, expect, it } from "vitest";
import { HeartbitError, type Pinger, type Presence } from "../../src/index.ts";
import type { PingRecord } from "../../src/core/bits.ts";
import type { RegistrationRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Cursor, OpenRecords, Page, Write } from "../../src/core/store.ts";
import { Bench, failing, hear, PERIOD_MS, restartable, type Replace } from "./support.ts";

let bench: Bench;
beforeEach(() => void (bench = new Bench()));

interface Held {
  readonly pingers: readonly Pinger[];
  /** That of `a`. */
  readonly pinger: Pinger;
  /** Another process, which holds `z`. */
  readonly other: Presence;
  /** What it reports of `a`. */
  readonly heard: string[];
}

/** The presence holds `a` and the other keys for ten periods, and another process watches `a`. */
async function hold(presence: Presence, ...keys: string[]): Promise<Held> {
  const pinger = presence.pinger("a");
  const pingers = [pinger, ...keys.map((key) => presence.pinger(key))];
  await Promise.all(pingers.map((one) => one.start()));
  const { presence: other } = await bench.open();
  await other.pinger("z").start();
  const heard = await hear(other.watcher(), "a");
  await bench.periods(10);
  return { pingers, pinger, other, heard };
}

const fifty = Array.from({ length: 50 }, (_, index) => `k${index}`);

/** Deletes what is stored of these keys, and nothing else. */
function destroy(...keys: string[]): void {
  const doomed = { registration: ({ key }: RegistrationRecord) => keys.includes(key) };
  expect(bench.store.destroy("presence", doomed)).toBe(keys.length);
}

/** The keys that one that has just come finds alive. */
async function alive(): Promise<string[]> {
  const { keys } = await (await bench.open()).presence.list();
  return keys.filter((state) => state.alive).map(({ key }) => key);
}

/** Those that are alive when everything that is dead now has been pruned. */
async function aliveInTheEnd(presence: Presence): Promise<string[]> {
  await bench.periods(300);
  await presence.prune();
  return alive();
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
    expect(await alive()).toEqual(["a", "b", "c", "z"]);
    expect(pingers.map(({ state }) => state)).toEqual(["started", "started", "started"]);
  });

  it("also for watchers that saw an end by another process, which was destroyed with it", async () => {
    const { other, heard } = await hold((await bench.open()).presence, "b");
    await other.kill("a");
    destroy("a");
    await bench.periods(10);
    expect(heard).toEqual(["a alive initial", "a dead killed", "a alive joined"]);
  });

  it.each(["a", "b", "c"])("after a lapse, also %s, which another has ended meanwhile", async (killed) => {
    const { presence, link } = await bench.open();
    const { other } = await hold(presence, "b", "c");
    const heard = await hear(other.watcher(), killed);
    link.fail();
    await other.kill(killed);
    destroy(killed);
    await bench.periods(4);
    link.heal();
    await bench.periods(2);
    expect(heard.slice(-2)).toEqual([`${killed} dead killed`, `${killed} alive joined`]);
  });

  it.each([0, 1, 2, 3])("within 7 periods, though written just before and not alone (%i)", async (later) => {
    const { presence } = await bench.open();
    const { pinger } = await hold(presence);
    await bench.periods(later);
    await pinger.update("written just now");
    destroy("a");
    await bench.periods(2);
    await presence.pinger("b").start();
    await bench.periods(5);
    expect(await alive()).toEqual(["a", "b", "z"]);
  });

  it("by a process that is busy with its other keys all the time", async () => {
    const { pingers } = await hold((await bench.open()).presence, "b");
    destroy("a");
    for (let period = 0; period < 10; period++) {
      await pingers[1]?.update(period);
      await bench.periods(1);
    }
    expect(await alive()).toEqual(["a", "b", "z"]);
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
    expect(await alive()).toEqual(["a", "b", "z"]);
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

  it.each([
    { when: "while it is held", isHeld: true },
    { when: "when it is stopped", isHeld: false },
  ])(
    "what was started again is not outlived by a late write of the start before: $when",
    async ({ isHeld }) => {
      const late: Write[] = [];
      const presence = await bench.openWith(keepWrites(late));
      const { pinger } = await hold(presence, "b");
      destroy("a");
      await bench.periods(16);
      expect((await stored("a")).map(({ start }) => start)).toEqual([2]);
      if (isHeld) await bench.stored.write(late.slice(0, 1));
      await bench.periods(5);
      await pinger.stop();
      if (!isHeld) await bench.stored.write(late.slice(0, 1));
      expect(await aliveInTheEnd(presence)).toEqual(["b", "z"]);
    },
  );

  it("what is lost is looked for also where the set-up cannot be written again for long", async () => {
    const { presence, link, restart } = await restartable(bench);
    await hold(presence, ...fifty);
    destroy("k49");
    link.intercept(failing("configure"));
    restart();
    await bench.periods(2);
    link.intercept();
    await bench.periods(3);
    expect(await alive()).toContain("k49");
  });

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
    expect(await alive()).toEqual(["a"]);
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

  it("a process that reads late, and registers missing keys again, learns of a kill of the start before", async () => {
    let isDeposed = false; // a primary that has not got the latest
    let cursor: Cursor | undefined; // as it was then
    const lagging: Replace = (namespace) => ({
      read: async function* (query) {
        for await (const page of namespace.read(query)) {
          if (!isDeposed) cursor = page.cursor ?? cursor;
          const registrations = page.registrations.filter(({ key }) => !isDeposed || key !== "a");
          yield { ...page, registrations, ...(cursor === undefined ? {} : { cursor }) };
        }
      },
    });
    const { presence, restart } = await restartable(bench, {}, lagging);
    await presence.pinger("b").start();
    await bench.periods(10);
    const a = presence.pinger("a");
    let killed = 0;
    a.on("killed", () => killed++);
    await a.start();
    const { presence: other } = await bench.open();
    await bench.periods(1);
    isDeposed = true;
    await other.kill("a");
    restart();
    await bench.periods(0.2);
    isDeposed = false;
    await bench.periods(6);
    expect([killed, a.state]).toEqual([1, "started"]);
    await a.stop();
    expect(await aliveInTheEnd(presence)).toEqual(["b"]);
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

  it("pruned while the reads of its holder were late for more than a retention", async () => {
    let late: { pages: Page[]; pings: PingRecord[]; open: OpenRecords } | undefined;
    const presence = await bench.openWith(
      (namespace) => ({
        read: async function* (query) {
          if (late === undefined) yield* namespace.read(query);
          else if (query.since !== undefined && query.session === undefined)
            yield { sessions: [], registrations: [], cursor: query.since };
          else yield* late.pages;
        },
        pings: async (from) => late?.pings ?? namespace.pings(from),
        countOpen: async (session) => late?.open ?? namespace.countOpen(session),
      }),
      { feed: "poll" },
    );
    await hear(presence.watcher(), "b"); // a process that only holds has nothing to know late reads by
    const { pinger, other, heard } = await hold(presence, ...fifty);
    const pages: Page[] = [];
    for await (const page of bench.stored.read({ select: EVERYTHING })) pages.push(page);
    const open = await bench.stored.countOpen(presence.session ?? NaN);
    late = { pages, pings: await bench.stored.pings(0), open };
    await other.kill("a");
    await pruneAway(other);
    await bench.periods(1);
    late = undefined;
    await bench.periods(6);
    expect([heard.at(-1), pinger.state]).toEqual(["a alive joined", "started"]);
  });
});

it.each([
  { what: "what is held", restarted: true },
  { what: "what is over", restarted: false },
])(
  "a process that has lost its number to another ends nothing of that one's: $what",
  async ({ restarted }) => {
    for (let wait = 0; wait < 4; wait += 0.5) {
      bench = new Bench();
      const { presence } = await bench.open();
      const first = presence.pinger("a");
      await first.start();
      await presence.pinger("b").start();
      await bench.periods(10);
      await first.stop();
      if (restarted) await first.start();
      await bench.periods(3 + wait);
      // The server has lost all that it had of that presence, and its counter.
      bench.store.destroy("presence", { registration: () => true, session: () => true });
      const other = await bench.openWith(() => ({ nextSeq: () => Promise.resolve(1) }));
      const pinger = other.pinger("c");
      let killed = 0;
      pinger.on("killed", () => killed++);
      await pinger.start();
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
  ["of a process that only held", false, 0],
  ["of one that also watches", true, 0],
  ["of a planned absence, which is over", false, 3 * PERIOD_MS],
])(
  "a released key whose record was destroyed stays dead when a late write restores it: %s",
  async (_, watches, holdMs) => {
    const late: Write[] = [];
    const presence = await bench.openWith(keepWrites(late));
    if (watches) await hear(presence.watcher(), { all: true });
    const { pinger, heard } = await hold(presence, "b");
    await pinger.stop({ holdMs });
    destroy("a");
    await bench.stored.write(late.slice(0, 1));
    await bench.periods(10);
    expect(heard.at(-1)).toMatch(/^a dead/);
    expect(await alive()).toEqual(["b", "z"]);
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
