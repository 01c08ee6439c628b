import { describe, expect, it } from "vitest";
import { HeartbitError, type Pinger, Presence } from "../../src/index.ts";
import type { BeingRecord } from "../../src/core/records.ts";
import type { Store, Write } from "../../src/core/store.ts";
import { destroyIn } from "../../src/stores/memory.ts";
import { Bench, hear, PERIOD_MS, readThrough, wrap } from "./support.ts";

/** Deletes what is stored of these keys, and nothing else. */
function destroy(bench: Bench, ...keys: string[]): void {
  const doomed = { being: ({ key }: BeingRecord) => keys.includes(key) };
  expect(destroyIn(bench.store.namespace("presence"), doomed)).toBe(keys.length);
}

/** What one who has just come finds: each key, and whether it is alive. */
async function found(store: Store): Promise<[string, boolean][]> {
  const newcomer = await Presence.open(store, { periodMs: PERIOD_MS });
  return (await newcomer.list()).keys.map(({ key, alive }) => [key, alive]);
}

/** The store, as if the first start of the key had been destroyed, once it is. */
function withoutFirstStart(bench: Bench, of: string, isDestroyed: () => boolean): Store {
  return readThrough(bench.store, (page) => ({
    ...page,
    beings: page.beings.filter(({ key, start }) => !isDestroyed() || key !== of || start > 1),
  }));
}

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

  it("also for those who had heard that another has ended it, which was destroyed with it", async () => {
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
    let isDestroyed = false;
    const store = withoutFirstStart(bench, "a", () => isDestroyed);
    const presence = await Presence.open(store, { periodMs: PERIOD_MS });
    const pinger = presence.pinger("a");
    await pinger.start();
    await bench.periods(10 + later);
    await pinger.update("written just now");
    isDestroyed = true;
    await bench.periods(2);
    await presence.pinger("b").start();
    await bench.periods(5);
    expect(await found(store)).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });

  it("by who is busy with others of its keys all the time", async () => {
    const bench = new Bench();
    let isDestroyed = false;
    const store = withoutFirstStart(bench, "a", () => isDestroyed);
    const presence = await Presence.open(store, { periodMs: PERIOD_MS });
    await presence.pinger("a").start();
    const busy = presence.pinger("b");
    await busy.start();
    await bench.periods(10);
    isDestroyed = true;
    for (let period = 0; period < 10; period++) {
      await busy.update(period);
      await bench.periods(1);
    }
    expect(await found(store)).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });

  it("once, however long the store refuses it", async () => {
    const bench = new Bench();
    let refuses = false;
    const store = wrap(bench.store, (namespace) => ({
      write: (writes) =>
        refuses
          ? Promise.reject(new HeartbitError("STORE_UNAVAILABLE", "It refuses to write."))
          : namespace.write(writes),
    }));
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const presence = await Presence.open(store, { periodMs: PERIOD_MS, logger });
    await Promise.all(["a", "b"].map((key) => presence.pinger(key).start()));
    await bench.periods(10);
    destroy(bench, "a");
    refuses = true;
    await bench.periods(40);
    expect(warnings.filter((warning) => warning.includes("is gone"))).toHaveLength(1);
    refuses = false;
    await bench.periods(2);
    expect(bench.store.counts("presence").beings).toBe(2); // of b no other start
    expect((await presence.list()).keys.map(({ key, alive }) => [key, alive])).toEqual([
      ["a", true],
      ["b", true],
    ]);
  });
});

describe("the end of what is held, and whose record somebody has destroyed, is told to who knew it", () => {
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

describe("what is held no longer, and whose record somebody has destroyed, stays dead when a late write makes it anew", () => {
  it.each([
    ["of who only held", false, undefined],
    ["of who watches besides", true, undefined],
    ["of a planned absence, which is over", false, 3 * PERIOD_MS],
  ])("%s", async (_, watches, holdMs) => {
    const bench = new Bench();
    const late: Write[] = [];
    const store = wrap(bench.store, (namespace) => ({
      write: (writes) => {
        late.push(...writes.filter(({ kind }) => kind === "being"));
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
