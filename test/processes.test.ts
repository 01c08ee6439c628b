/** Real processes on real stores: crashed with -9, paused, and with a server that goes away. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { describe, expect, it } from "vitest";
import type { Change, Presence, Watcher } from "../src/index.ts";
import { newDatabase } from "./servers/database.ts";
import { startServer } from "./servers/index.ts";
import { backends, World } from "./support/backends.ts";
import { answered, passes, until } from "./support/wait.ts";

const PERIOD_MS = 1000;

/** A watcher of all keys, which notes when it was told what, and when it was stale. */
class Log {
  readonly told: { words: string; atMs: number }[] = [];
  /** When a trouble was over. */
  readonly #healthyAtMs: number[] = [];

  /** Resolves when it has begun: what is held from then on has joined. */
  static async of(presence: Presence): Promise<Log> {
    const watcher = presence.watcher();
    const log = new Log(presence, watcher);
    await answered(() => watcher.sync());
    return log;
  }

  private constructor(presence: Presence, watcher: Watcher) {
    presence.on("health", ({ state }) => {
      if (state === "healthy") this.#healthyAtMs.push(performance.now());
    });
    watcher.watch({ all: true }, ({ key, alive, cause }: Change) => {
      this.told.push({ words: `${key} ${alive ? "alive" : "dead"} ${cause}`, atMs: performance.now() });
    });
  }

  async hear(words: string): Promise<number> {
    await until(() => this.told.some((one) => one.words === words));
    return this.told.find((one) => one.words === words)?.atMs ?? 0;
  }

  /** From when on the bound of a death counts: a trouble holds it back, and begins it again when it is over. */
  countedFrom(crashedMs: number, toldMs: number): number {
    return Math.max(crashedMs, ...this.#healthyAtMs.filter((atMs) => atMs <= toldMs));
  }

  get deaths(): string[] {
    return this.told.map(({ words }) => words).filter((words) => words.includes(" dead "));
  }
}

describe.concurrent.each(backends.slice(1))("on $name, real processes", (backend) => {
  it("killed with -9 are reported dead after 1.1 to 2.5 periods without suspicion, and no others are", async () => {
    await using world = await World.of(backend, { periodMs: PERIOD_MS });
    const log = await Log.of(await world.open());
    const heldUp = monitorEventLoopDelay();
    heldUp.enable();
    const workers = await Promise.all([0, 1, 2, 3].map((index) => world.work(`key-${index}`)));
    for (const index of workers.keys()) await log.hear(`key-${index} alive joined`);
    // Long enough that the start is no trouble any more.
    await until(() => performance.now() > (log.told.at(-1)?.atMs ?? 0) + 3 * PERIOD_MS);
    for (const index of [1, 3]) {
      const untilMs = ((await workers[index]?.vouchedUntil()) ?? 0) - performance.timeOrigin;
      const crashedMs = performance.now();
      await workers[index]?.crash();
      const toldMs = await log.hear(`key-${index} dead expired`);
      const periods = (toldMs - crashedMs) / PERIOD_MS;
      // Never before it was vouched for; which is 1.1 periods after the crash, unless this machine held its ping up.
      expect(toldMs).toBeGreaterThanOrEqual(untilMs - 0.02 * PERIOD_MS);
      if (untilMs - crashedMs >= 1.1 * PERIOD_MS) expect(periods).toBeGreaterThanOrEqual(1.1 - 0.02);
      const afterTrouble = (toldMs - log.countedFrom(crashedMs, toldMs)) / PERIOD_MS;
      // A read may take a fifth of a period without being trouble, and this process may have been held up itself.
      expect(afterTrouble).toBeLessThanOrEqual(2.5 + 0.3 + heldUp.max / 1e6 / PERIOD_MS);
    }
    expect(log.deaths.toSorted()).toEqual([1, 3].map((index) => `key-${index} dead expired`));
  });

  it("paused until it is reported dead knows it when it continues, and is reported alive again", async () => {
    await using world = await World.of(backend, { periodMs: PERIOD_MS / 2 });
    const log = await Log.of(await world.open());
    const worker = await world.work("k");
    await log.hear("k alive joined");
    worker.process.kill("SIGSTOP");
    await log.hear("k dead expired");
    const died = log.told.length - 1;
    worker.process.kill("SIGCONT");
    await worker.told("lapse");
    await until(() => log.told.findLastIndex(({ words }) => words === "k alive joined") > died);
  });
});

describe.concurrent("a MongoDB server that goes away and comes back", () => {
  it.for(["kill9", "pause"] as const)(
    "by %s ends no pinger and no watcher, and tells no false death",
    async (way, { onTestFinished }) => {
      const server = await startServer();
      onTestFinished(() => server.stop());
      const backend = { name: "MongoDB", target: async () => newDatabase(server.uri) };
      await using world = await World.of(backend, { periodMs: PERIOD_MS });
      const presence = await world.open();
      const log = await Log.of(presence);
      const own = presence.pinger("own");
      await own.start();
      const keys = ["key-0", "key-1", "key-2"];
      await Promise.all(keys.map((key) => world.work(key)));
      for (const key of keys) await log.hear(`${key} alive joined`);
      const healthy = (): boolean => presence.health.state === "healthy";
      if (way === "kill9") await server.kill9();
      else server.pause();
      await until(() => !healthy());
      await passes(4 * PERIOD_MS);
      if (way === "kill9") await server.restart();
      else server.resume();
      await until(healthy);
      // Whoever had not come back by now would be told dead in these periods.
      await passes(4 * PERIOD_MS);
      await until(healthy);
      expect(log.deaths).toEqual([]);
      expect(own.state).toBe("started");
      // And it goes on: a join and a crash are told.
      const late = await world.work("late");
      await log.hear("late alive joined");
      await late.crash();
      await log.hear("late dead expired");
      expect(log.deaths).toEqual(["late dead expired"]);
    },
  );
});
