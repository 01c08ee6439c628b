import { describe, expect, it } from "vitest";
import { HeartbitError, type Pinger, Presence } from "../../src/index.ts";
import type { PingRecord } from "../../src/core/bits.ts";
import type { RegistrationRecord } from "../../src/core/records.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Cursor, OpenRecords, Page, Store, Write } from "../../src/core/store.ts";
import { FaultyStore, type Operation } from "../../src/testing/index.ts";
import { Bench, hear, PERIOD_MS, readThrough, restartable, wrap } from "./support.ts";

/** Deletes what is stored of these keys, and nothing else. */
function destroy(bench: Bench, ...keys: string[]): void {
  const doomed = { registration: ({ key }: RegistrationRecord) => keys.includes(key) };
  expect(bench.store.destroy("presence", doomed)).toBe(keys.length);
}

/** What one who has just come finds: each key, and whether it is alive. */
async function found(store: Store): Promise<[string, boolean][]> {
  const newcomer = await Presence.open(store, { periodMs: PERIOD_MS });
  return (await newcomer.list()).keys.map(({ key, alive }) => [key, alive]);
}

/** What is stored of a key. */
async function stored(bench: Bench, of: string): Promise<RegistrationRecord[]> {
  const all: RegistrationRecord[] = [];
  for await (const { registrations } of bench.store.namespace("presence").read({ select: EVERYTHING })) {
    all.push(...registrations.filter(({ key }) => key === of));
  }
  return all;
}

/** What is dead of the key is pruned by `who`, period by period, until nothing of it is stored. */
async function pruneAway(bench: Bench, who: Presence, key: string): Promise<void> {
  for (let period = 0; period < 140 && (await stored(bench, key)).length > 0; period++) {
    await bench.periods(1);
    await who.prune();
  }
  expect(await stored(bench, key)).toEqual([]);
}

/** What a newcomer finds when all that is dead now has been pruned. */
async function foundInTheEnd(bench: Bench, presence: Presence): Promise<[string, boolean][]> {
  await bench.periods(300);
  await presence.prune();
  return found(bench.store);
}

const refusal = new HeartbitError("STORE_UNAVAILABLE", "It refuses.");

describe("what is held, and whose record alone somebody has destroyed, is written again", () => {
  it.each([
    ["by who only holds", false],
    ["by who watches besides", true],
  ])("%s", async (_, watches) => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pingers = ["a", "b", "c"].map((key) => presence.pinger(key));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    if (watches) await hear(presence.watcher(), { all: true });
    await bench.periods(10);
    destroy(bench, "a", "b");
    await bench.periods(16); // it looks at another of the three every four periods
    expect(await found(bench.store)).toEqual([
      ["a", true],
      ["b", true],
      ["c", true],
    ]);
    expect(pingers.map(({ state }) => state)).toEqual(["started", "started", "started"]);
  });

  it("also for watchers that saw an end by another process, which was destroyed with it", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    await Promise.all(["a", "b"].map((key) => presence.pinger(key).start()));
    const { presence: other } = await bench.open();
    await other.pinger("c").start();
    const heard = await hear(other.watcher(), { prefix: "a" });
    await bench.periods(10);
    await other.kill("a");
    destroy(bench, "a");
    await bench.periods(10);
    expect(heard).toEqual(["a alive initial", "a dead killed", "a alive joined"]);
  });

  it.each(["a", "b", "c"])("after a lapse, also %s, which another has ended meanwhile", async (killed) => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    await Promise.all(["a", "b", "c"].map((key) => presence.pinger(key).start()));
    const { presence: other } = await bench.open();
    await other.pinger("d").start();
    const heard = await hear(other.watcher(), killed);
    await bench.periods(10);
    link.fail();
    await other.kill(killed);
    destroy(bench, killed);
    await bench.periods(4);
    link.heal();
    await bench.periods(2);
    const [initial, ...since] = heard;
    expect([initial, ...since.slice(-2)]).toEqual([
      `${killed} alive initial`,
      `${killed} dead killed`,
      `${killed} alive joined`,
    ]);
  });

  it.each([0, 1, 2, 3])("within 7 periods, though written just before and not alone (%i)", async (later) => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("a");
    await pinger.start();
    await bench.periods(10 + later);
    await pinger.update("written just now");
    destroy(bench, "a");
    await bench.periods(2);
    await presence.pinger("b").start();
    await bench.periods(5);
    expect(await found(bench.store)).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });

  it("by a process that is busy with its other keys all the time", async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    await presence.pinger("a").start();
    const busy = presence.pinger("b");
    await busy.start();
    await bench.periods(10);
    destroy(bench, "a");
    for (let period = 0; period < 10; period++) {
      await busy.update(period);
      await bench.periods(1);
    }
    expect(await found(bench.store)).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });

  it("once, however long the store refuses it", async () => {
    const bench = new Bench();
    let refuses = false;
    const store = wrap(bench.store, (namespace) => ({
      write: (writes) => (refuses ? Promise.reject(refusal) : namespace.write(writes)),
    }));
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const presence = await Presence.open(store, { periodMs: PERIOD_MS, logger });
    await Promise.all(["a", "b"].map((key) => presence.pinger(key).start()));
    await bench.periods(10);
    destroy(bench, "a");
    refuses = true;
    await bench.periods(40);
    expect(warnings.filter((warning) => warning.includes("missing from the store"))).toHaveLength(1);
    refuses = false;
    await bench.periods(2);
    expect(bench.store.counts("presence").registrations).toBe(2); // of b no other start
    expect((await presence.list()).keys.map(({ key, alive }) => [key, alive])).toEqual([
      ["a", true],
      ["b", true],
    ]);
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
      const bench = new Bench();
      const { presence, restart } = await restartable(bench.store);
      const pinger = presence.pinger("a");
      await pinger.start();
      await presence.pinger("b").start();
      await bench.periods(10);
      const unended = await stored(bench, "a");
      await pinger.stop({ holdMs });
      const first = holdMs === 0 ? unended : await stored(bench, "a");
      await pinger.start();
      await bench.periods(2);
      if (stopped) await pinger.stop();
      destroy(bench, "a", "a"); // both starts
      await bench.store
        .namespace("presence")
        .write(first.map((registration) => ({ kind: "registration", registration })));
      restart();
      await bench.periods(10);
      await pinger.stop();
      expect(await foundInTheEnd(bench, presence)).toEqual([["b", true]]);
    },
  );

  it.each([
    { when: "while it is held", isHeld: true },
    { when: "when it is stopped", isHeld: false },
  ])(
    "what was started anew is not outlived by a late write of the start before: $when",
    async ({ isHeld }) => {
      const bench = new Bench();
      const late: Write[] = [];
      const { presence } = await restartable(
        wrap(bench.store, (namespace) => ({
          write: (writes) => {
            late.push(
              ...writes.filter((write) => write.kind === "registration" && write.registration.key === "a"),
            );
            return namespace.write(writes);
          },
        })),
      );
      const pinger = presence.pinger("a");
      await pinger.start();
      await presence.pinger("b").start();
      await bench.periods(10);
      destroy(bench, "a");
      await bench.periods(16);
      expect((await stored(bench, "a")).map(({ start }) => start)).toEqual([2]);
      const happenLate = (): Promise<void> => bench.store.namespace("presence").write(late.slice(0, 1));
      if (isHeld) await happenLate();
      await bench.periods(5);
      await pinger.stop();
      if (!isHeld) await happenLate();
      expect(await foundInTheEnd(bench, presence)).toEqual([["b", true]]);
    },
  );

  it("what is lost is looked for also where the set-up cannot be written again for long", async () => {
    const bench = new Bench();
    let refuses = false;
    const { presence, restart } = await restartable(
      wrap(bench.store, (namespace) => ({
        configure: (config) => (refuses ? Promise.reject(refusal) : namespace.configure(config)),
      })),
    );
    const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => presence.pinger(key).start()));
    await bench.periods(10);
    destroy(bench, "k49");
    refuses = true;
    restart();
    await bench.periods(2);
    refuses = false;
    await bench.periods(3);
    expect(new Map(await found(bench.store)).get("k49")).toBe(true);
  });

  it("a store that has lost everything is set up again, which is no drop", async () => {
    const bench = new Bench();
    let isSlow = false;
    const { presence, restart } = await restartable(
      wrap(bench.store, (namespace) => ({
        configure: async (config) => {
          if (isSlow) await new Promise<void>((resolve) => void bench.clock.setTimer(resolve, 100));
          return namespace.configure(config);
        },
      })),
    );
    const pinger = presence.pinger("a");
    await pinger.start();
    await bench.periods(5);
    await bench.store.namespace("presence").drop();
    isSlow = true;
    restart();
    await bench.periods(4);
    expect(pinger.state).toBe("started");
    expect(await found(bench.store)).toEqual([["a", true]]);
  });

  it("a process that cannot write lost records learns meanwhile that another of its keys was killed", async () => {
    const bench = new Bench();
    let refuses = false;
    const { presence, restart } = await restartable(
      wrap(bench.store, (namespace) => ({
        write: (writes) => (refuses ? Promise.reject(refusal) : namespace.write(writes)),
      })),
    );
    const [a, b] = [presence.pinger("a"), presence.pinger("b")];
    await Promise.all([a.start(), b.start()]);
    let killed = 0;
    b.on("killed", () => killed++);
    const { presence: other } = await bench.open();
    await bench.periods(10);
    destroy(bench, "a");
    refuses = true;
    restart();
    await bench.periods(2);
    await other.kill("b");
    await bench.periods(6);
    expect(killed).toBe(1);
  });

  it("a process that reads late, and registers missing keys again, learns of a kill of the start before", async () => {
    const bench = new Bench();
    let isDeposed = false; // a primary that has not got the latest
    let cursor: Cursor | undefined; // as it was then
    const { presence, restart } = await restartable(
      readThrough(bench.store, (page) => {
        if (!isDeposed) cursor = page.cursor ?? cursor;
        return {
          ...page,
          ...(cursor === undefined ? {} : { cursor }),
          registrations: page.registrations.filter(({ key }) => !isDeposed || key !== "a"),
        };
      }),
    );
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
    expect(await foundInTheEnd(bench, presence)).toEqual([["b", true]]);
  });
});

describe("a key that was killed, and whose record is gone before its holder learned of it, is reported alive again", () => {
  it.each([
    { who: "who only holds", watches: false, updates: false },
    { who: "who only holds, and updates it", watches: false, updates: true },
    { who: "who watches besides", watches: true, updates: false },
    { who: "who watches besides, and updates it", watches: true, updates: true },
  ])("pruned while the reads of its holder fail: $who", async ({ watches, updates }) => {
    const bench = new Bench();
    const { presence, link } = await bench.open({ feed: "poll" });
    const keys = ["a", ...Array.from({ length: 50 }, (_, index) => `k${index}`)];
    const pingers = keys.map((key) => presence.pinger(key));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    if (watches) await hear(presence.watcher(), "b");
    const { presence: other } = await bench.open();
    await other.pinger("d").start();
    const heard = await hear(other.watcher(), "a");
    await bench.periods(10);
    link.intercept((operation) => (operation === "read" ? "fail" : "pass"));
    await other.kill("a");
    await pruneAway(bench, other, "a");
    if (updates) await pingers[0]?.update("new");
    await bench.periods(1);
    link.intercept();
    await bench.periods(6);
    expect([heard.at(-1), pingers[0]?.state]).toEqual(["a alive joined", "started"]);
    const [registration] = await stored(bench, "a");
    expect(registration?.meta).toBe(updates ? '"new"' : "null");
  });

  it("destroyed while its holder is cut off, whose update is written before it looks", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    const cut = (...operations: Operation[]): void =>
      link.intercept((operation) => (operations.includes(operation) ? "fail" : "pass"));
    const pinger = presence.pinger("a");
    await Promise.all([pinger.start(), presence.pinger("b").start()]);
    const { presence: other } = await bench.open();
    await other.pinger("d").start();
    const heard = await hear(other.watcher(), "a");
    await bench.periods(10);
    cut("write", "ping", "time", "read");
    await other.kill("a");
    destroy(bench, "a");
    const updating = pinger.update("new");
    await bench.periods(4);
    cut("ping");
    await bench.periods(0.06); // the write is tried again before the ping is
    cut();
    await bench.periods(10);
    await updating;
    expect([heard.at(-1), pinger.state]).toEqual(["a alive joined", "started"]);
  });
});

it("a key that was killed while its holder's reads were late for more than a retention is reported alive again", async () => {
  const bench = new Bench();
  let frozen:
    | { readonly pages: Page[]; readonly pings: PingRecord[]; readonly open: OpenRecords }
    | undefined;
  const store = wrap(bench.store, (namespace) => ({
    read: async function* (query) {
      if (frozen === undefined) yield* namespace.read(query);
      else if (query.since !== undefined && query.session === undefined)
        yield { sessions: [], registrations: [], cursor: query.since };
      else yield* frozen.pages;
    },
    pings: (from) => (frozen === undefined ? namespace.pings(from) : Promise.resolve(frozen.pings)),
    countOpen: (session) =>
      frozen === undefined ? namespace.countOpen(session) : Promise.resolve(frozen.open),
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS, feed: "poll" });
  const keys = ["a", ...Array.from({ length: 50 }, (_, index) => `k${index}`)];
  const pingers = keys.map((key) => presence.pinger(key));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  await hear(presence.watcher(), "b"); // who only holds has nothing to know late reads by
  const { presence: other } = await bench.open();
  await other.pinger("d").start();
  const heard = await hear(other.watcher(), "a");
  await bench.periods(10);
  const namespace = bench.store.namespace("presence");
  const pages: Page[] = [];
  for await (const page of namespace.read({ select: EVERYTHING })) pages.push(page);
  const open = await namespace.countOpen(presence.session ?? NaN);
  frozen = { pages, pings: await namespace.pings(0), open };
  await other.kill("a");
  await pruneAway(bench, other, "a");
  await bench.periods(1);
  frozen = undefined;
  await bench.periods(6);
  expect([heard.at(-1), pingers[0]?.state]).toEqual(["a alive joined", "started"]);
});

it.each([
  { what: "what is held", restarted: true },
  { what: "what is over", restarted: false },
])("who has lost its number to another ends nothing of that one's: $what", async ({ restarted }) => {
  for (let wait = 0; wait < 4; wait += 0.5) {
    const bench = new Bench();
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
    const again = wrap(bench.store, () => ({ nextSeq: () => Promise.resolve(1) }));
    const other = await Presence.open(again, { periodMs: PERIOD_MS });
    const pinger = other.pinger("c");
    let killed = 0;
    pinger.on("killed", () => killed++);
    await pinger.start();
    await bench.periods(6);
    const ended = (await stored(bench, "c")).filter(({ last }) => last !== undefined);
    expect([wait, killed, ended]).toEqual([wait, 0, []]);
  }
});

it("after an outage of more than half a retention all that is held is read once, and written once", async () => {
  const bench = new Bench();
  const link = new FaultyStore(bench.store);
  let [reads, puts] = [0, 0];
  const store = wrap(link, (namespace) => ({
    read: (query) => {
      if (query.since === undefined) reads++;
      return namespace.read(query);
    },
    write: (writes) => {
      puts += writes.filter(({ kind }) => kind === "registration").length;
      return namespace.write(writes);
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS });
  const pingers = Array.from({ length: 100 }, (_, index) => presence.pinger(`k${index}`));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  await bench.periods(10);
  link.fail();
  await bench.periods(70);
  link.heal();
  [reads, puts] = [0, 0];
  await bench.periods(6);
  expect([reads, puts]).toEqual([1, 100]);
});

describe("the end of a held key whose record was destroyed is reported to watchers that knew it", () => {
  it.each([
    ["a stop", (pinger: Pinger) => pinger.stop(), "stopped"],
    ["a kill", (pinger: Pinger) => pinger.kill(), "killed"],
  ])("%s", async (_, end, cause) => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const pinger = presence.pinger("a");
    await pinger.start();
    await presence.pinger("b").start();
    const { presence: other } = await bench.open();
    const heard = await hear(other.watcher(), "a");
    await bench.periods(10);
    destroy(bench, "a");
    await end(pinger);
    await bench.periods(3);
    expect(heard).toEqual(["a alive initial", `a dead ${cause}`]);
  });
});

describe("a released key whose record was destroyed stays dead when a late write restores it", () => {
  it.each([
    ["of who only held", false, undefined],
    ["of who watches besides", true, undefined],
    ["of a planned absence, which is over", false, 3 * PERIOD_MS],
  ])("%s", async (_, watches, holdMs) => {
    const bench = new Bench();
    const late: Write[] = [];
    const store = wrap(bench.store, (namespace) => ({
      write: (writes) => {
        late.push(...writes.filter(({ kind }) => kind === "registration"));
        return namespace.write(writes);
      },
    }));
    const presence = await Presence.open(store, { periodMs: PERIOD_MS });
    const pinger = presence.pinger("a");
    await pinger.start();
    await presence.pinger("b").start();
    if (watches) await hear(presence.watcher(), { all: true });
    const { presence: other } = await bench.open();
    await other.pinger("c").start();
    const heard = await hear(other.watcher(), "a");
    await bench.periods(10);
    await pinger.stop(holdMs === undefined ? {} : { holdMs });
    destroy(bench, "a");
    await bench.store.namespace("presence").write(late.slice(0, 1));
    await bench.periods(10);
    expect(heard.at(-1)).toMatch(/^a dead/);
    expect(await found(bench.store)).toEqual([
      ["a", false],
      ["b", true],
      ["c", true],
    ]);
  });
});

it("the pings of a new session extend the lease only once its keys are registered under it", async () => {
  const bench = new Bench();
  let refuses = false;
  const { presence, restart } = await restartable(
    wrap(bench.store, (namespace) => ({
      write: (writes) =>
        refuses && writes.some(({ kind }) => kind === "registration")
          ? Promise.reject(refusal)
          : namespace.write(writes),
    })),
  );
  await presence.pinger("a").start();
  await bench.periods(5);
  const before = presence.session;
  bench.store.destroy("presence", { session: () => true, registration: () => true });
  refuses = true;
  restart();
  await bench.periods(1);
  expect(presence.session).not.toBe(before);
  const vouched = presence.vouchedUntil;
  await bench.periods(1);
  expect(presence.vouchedUntil).toEqual(vouched);
  let lapses = 0;
  presence.on("lapse", () => lapses++);
  await bench.periods(2);
  expect(lapses).toBe(1);
  refuses = false;
  await bench.periods(2);
  expect(presence.vouchedUntil?.getTime()).toBeGreaterThan(bench.clock.now() + PERIOD_MS);
});
