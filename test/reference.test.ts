/** The Go package `state/presence`, row by row, and the behaviours that its users rely on, on each store. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { Change, Presence, PresenceOptions, Watcher, WatchTarget } from "../src/index.ts";
import { aliveFor, words } from "./presence/support.ts";
import { backends, World } from "./support/backends.ts";
import { answered, passes, until } from "./support/wait.ts";

const PERIOD_MS = 400;

/** What a listener has heard, as words. */
function hear(watcher: Watcher, target: WatchTarget): { heard: string[]; listener: (c: Change) => void } {
  const heard: string[] = [];
  const listener = (change: Change): void => void heard.push(words(change));
  watcher.watch(target, listener);
  return { heard, listener };
}

// Most of the time they wait for periods to pass.
describe.each(backends)("on $name", (backend) => {
  /** Two presences of a namespace of their own, which is closed at the end of the test. */
  async function open(ofA: PresenceOptions = {}, ofB = ofA): Promise<{ w: World; a: Presence; b: Presence }> {
    const w = await World.of(backend, { periodMs: PERIOD_MS });
    onTestFinished(() => w[Symbol.asyncDispose]());
    return { w, a: await w.open(ofA), b: await w.open(ofB) };
  }

  it("Debug: a logger gets messages, and one that throws does no harm", async () => {
    const lines: string[] = [];
    const logger = {
      warn: (line: string) => void lines.push(line),
      error: () => {
        throw new Error("from the logger");
      },
    };
    const { a, b } = await open({ logger }, {});
    const watcher = a.watcher();
    watcher.watch("k", () => {
      throw new Error("from the listener");
    });
    await answered(() => watcher.sync()); // who comes only after the drop sets the namespace up again
    await b.pinger("k").start();
    await b.drop();
    await until(() => a.health.state === "stale");
    expect(lines.some((line) => line.startsWith("heartbit presence: stale: "))).toBe(true);
  });

  it("NewPinger: pings after Start, and not before", async () => {
    const { a, b } = await open();
    const pinger = a.pinger("k");
    const watcher = b.watcher();
    expect(await answered(() => watcher.alive("k"))).toBe(false);
    expect(pinger.state).toBe("stopped");
    await pinger.start();
    expect(pinger.state).toBe("started");
    await answered(() => watcher.sync());
    expect(await answered(() => watcher.alive("k"))).toBe(true);
  });

  it("Start: an error when it is started already", async () => {
    const pinger = (await open()).a.pinger("k");
    await pinger.start();
    await expect(pinger.start()).rejects.toMatchObject({ code: "ALREADY_STARTED" });
    await pinger.stop();
    await pinger.start();
  });

  it("Stop: silent until one last ping, that of the stop, has run out, so that it is reported late rather than early", async () => {
    const { a, b } = await open();
    const pinger = a.pinger("k");
    await pinger.start();
    const { heard } = hear(b.watcher(), "k");
    await until(() => heard.includes("k alive initial"));
    // In the middle of a slot, when its ping of this slot is long past.
    await passes(PERIOD_MS * 1.3);
    const stopped = performance.now();
    await pinger.stop();
    await pinger.stop();
    await until(() => heard.length > 1);
    expect(heard).toEqual(["k alive initial", "k dead stopped"]);
    expect(performance.now() - stopped).toBeGreaterThan(1.45 * PERIOD_MS);
  });

  it("Kill: reported at once; idempotent; another holder of the key stays", async () => {
    const { w, a, b } = await open();
    const c = await w.open();
    const [one, two, other] = [a.pinger("k"), c.pinger("k"), c.pinger("other")];
    await Promise.all([one.start(), two.start(), other.start()]);
    const watcher = b.watcher();
    const { heard } = hear(watcher, "k");
    const { heard: heardOfOther } = hear(watcher, "other");
    await until(() => heard.length === 1 && heardOfOther.length === 1);
    await one.kill();
    await until(() => heard.length === 2);
    await two.kill();
    await two.kill();
    await other.stop();
    await until(() => heard.length === 3);
    // At once: what was stopped at the same time is told dead only when its last ping has run out.
    expect(heardOfOther).toEqual(["other alive initial"]);
    expect(heard).toEqual(["k alive initial", "k alive updated", "k dead killed"]);
  });

  it("Kill of a pinger that is not running reports the key dead, whoever holds it", async () => {
    const { a, b } = await open();
    const holder = a.pinger("k");
    // It agrees: one that goes on brings its key back, by polling perhaps before anybody has looked.
    holder.on("killed", () => void holder.stop());
    await holder.start();
    const { heard } = hear(b.watcher(), "k");
    await until(() => heard.length === 1);
    await b.pinger("k").kill();
    await until(() => heard.length === 2);
    expect(heard[1]).toBe("k dead killed");
  });

  it("NewWatcher: any number of keys, and each change of each", async () => {
    // Closing waits a period for the store, which may be busy.
    const { a, b } = await open({ periodMs: 10_000 });
    const watcher = b.watcher();
    const all = hear(watcher, { all: true });
    const some = hear(watcher, { prefix: "web/" });
    await answered(() => watcher.sync());
    const pingers = ["web/1", "web/2", "db/1"].map((key) => a.pinger(key));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    await until(() => all.heard.length === 3 && some.heard.length === 2);
    await a.close();
    await until(() => all.heard.length === 6 && some.heard.length === 4);
    expect(some.heard.slice(2).toSorted()).toEqual(["web/1 dead killed", "web/2 dead killed"]);
  });

  it("Alive: what the watcher considers true; an error when it has stopped", async () => {
    const { a, b } = await open();
    await a.pinger("k").start();
    const watcher = b.watcher();
    expect(await answered(() => watcher.alive("k"))).toBe(true);
    expect(await answered(() => watcher.alive("other"))).toBe(false);
    await watcher.stop();
    await expect(watcher.alive("k")).rejects.toMatchObject({ code: "WATCHER_STOPPED" });
  });

  it("Dead and Err: resolved when it has stopped, null after a clean stop", async () => {
    const watcher = (await open()).a.watcher();
    const { heard } = hear(watcher, "k");
    await until(() => heard.length === 1);
    let dead = false;
    void watcher.dead.then(() => (dead = true));
    expect([watcher.state, watcher.error]).toEqual(["running", null]);
    await passes(1);
    expect(dead).toBe(false);
    await watcher.stop();
    await watcher.stop();
    await watcher.dead;
    expect([watcher.state, watcher.error]).toEqual(["stopped", null]);
  });

  it("Sync and StartSync: load now, and Sync returns when all has been handed over", async () => {
    const { a, b } = await open({}, { feed: "poll", pollMs: PERIOD_MS });
    const watcher = b.watcher();
    const { heard } = hear(watcher, "k");
    await answered(() => watcher.sync());
    expect(heard).toEqual(["k dead initial"]);
    const pinger = a.pinger("k");
    await pinger.start();
    await answered(() => watcher.sync());
    expect(heard).toEqual(["k dead initial", "k alive joined"]);
    await pinger.kill();
    watcher.startSync();
    await until(() => heard.length === 3);
    expect(heard[2]).toBe("k dead killed");
  });

  it("Watch: first the current state, then each change; the same listener twice throws", async () => {
    const { a, b } = await open();
    const watcher = b.watcher();
    const { heard, listener } = hear(watcher, "k");
    expect(() => watcher.watch("k", listener)).toThrow(expect.objectContaining({ code: "ALREADY_WATCHED" }));
    watcher.watch("other", listener);
    expect(heard).toEqual([]);
    await until(() => heard.length === 2);
    expect(heard.toSorted()).toEqual(["k dead initial", "other dead initial"]);
    await a.pinger("k").start();
    await until(() => heard.length === 3);
    expect(heard[2]).toBe("k alive joined");
  });

  it("Unwatch: nothing more is delivered, pending changes included", async () => {
    const { a, b } = await open();
    const watcher = b.watcher();
    const { heard, listener } = hear(watcher, "k");
    watcher.unwatch("k", listener);
    const other = hear(watcher, "k");
    await a.pinger("k").start();
    await until(() => other.heard.includes("k alive joined") || other.heard.includes("k alive initial"));
    expect(heard).toEqual([]);
    watcher.unwatch("k", listener);
    watcher.unwatch("k", other.listener);
    const count = other.heard.length;
    await a.close();
    await answered(() => watcher.sync());
    expect(other.heard).toHaveLength(count);
  });

  it("a restart of a pinger within the timeout is not noticed", async () => {
    const { a, b } = await open();
    const pinger = a.pinger("k", { meta: { a: 1 } });
    await pinger.start();
    const { heard } = hear(b.watcher(), "k");
    await until(() => heard.length === 1);
    await pinger.stop();
    await pinger.start();
    await passes(4 * PERIOD_MS);
    expect(heard).toEqual(["k alive initial"]);
    await pinger.kill();
    await until(() => heard.length === 2);
    expect(heard[1]).toBe("k dead killed");
  });

  it("killing a dead key reports nothing; a key that never existed is reported dead once", async () => {
    const { a, b } = await open();
    const watcher = b.watcher();
    const { heard } = hear(watcher, "k");
    await until(() => heard.length === 1);
    expect(await answered(() => a.kill("k"))).toBe(0);
    await a.pinger("k").kill();
    await answered(() => watcher.sync());
    await answered(() => watcher.sync());
    expect(heard).toEqual(["k dead initial"]);
  });

  it("a kill expires: a running holder brings its key back, and is notified", async () => {
    const { a, b } = await open();
    const pinger = a.pinger("k");
    await pinger.start();
    const { heard } = hear(b.watcher(), "k");
    await until(() => heard.length === 1);
    let killed = 0;
    pinger.on("killed", () => killed++);
    expect(await b.kill("k")).toBe(1);
    await until(() => killed === 1 && heard.length > 1 && heard.at(-1)?.startsWith("k alive") === true);
    // What is told is the difference of two states: by polling, both may have happened between two looks.
    expect([["k dead killed", "k alive joined"], ["k alive updated"]]).toContainEqual(heard.slice(1));
    expect([killed, pinger.state]).toEqual([1, "started"]);
  });

  it("each base is a world of its own", async () => {
    const { a, b } = await open({ name: "one" }, { name: "two" });
    await a.pinger("k").start();
    expect(await answered(() => b.watcher().alive("k"))).toBe(false);
    expect((await answered(() => b.list())).keys).toEqual([]);
    expect(await answered(() => aliveFor(a))).toEqual(["k"]);
  });

  it("drop: a namespace's data is removed whole, the presence closes, and the watchers of others fail", async () => {
    const { w, a, b } = await open();
    await a.pinger("k").start();
    const watcher = b.watcher();
    const { heard } = hear(watcher, "k");
    await until(() => heard.length === 1);
    await a.drop();
    await expect(a.list()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
    expect((await answered(() => b.list())).keys).toEqual([]);
    await watcher.dead;
    expect(watcher.state).toBe("failed");
    expect(watcher.error).toMatchObject({ code: "CONFIG_MISMATCH" });
    const fresh = await w.open({ periodMs: PERIOD_MS * 2 });
    await fresh.pinger("k").start();
    expect(await answered(() => aliveFor(fresh))).toEqual(["k"]);
  });

  it("prune: what is dead for longer than the retention goes, and nothing else", async () => {
    const { a, b } = await open({ periodMs: 100, retentionSlots: 10 });
    await a.pinger("dead").start();
    await b.pinger("alive").start();
    await a.close();
    await until(async () => {
      await answered(() => b.prune());
      return (await answered(() => b.list())).keys.length === 1;
    });
    expect(await answered(() => aliveFor(b))).toEqual(["alive"]);
  });
});
