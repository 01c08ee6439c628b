/** A majority that acknowledges late: what is written is stamped at once, and can be read when it is acknowledged. */
import { expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { FaultyStore } from "../../src/testing/index.ts";
import { Bench, hear, PERIOD_MS, wrap } from "./support.ts";

const PERIODS = 40;
/** How often in a period is looked whether a presence is healthy. */
const LOOKS = 20;

/** Three presences that hold `a`, `b` and `c`, of which the first watches all, for five periods; then the majority lags. */
async function fleet(lag: number) {
  const bench = new Bench();
  let [lagMs, lapses] = [0, 0];
  const late = async <T>(act: () => Promise<T>): Promise<T> => {
    if (lagMs > 0) await bench.after(lagMs);
    return act();
  };
  const lagging = wrap(bench.store, (namespace) => ({
    ping: async (slot, seq) => {
      const ms = await namespace.time();
      return { ...(await late(() => namespace.ping(slot, seq))), ms };
    },
    write: (writes, signal) => late(() => namespace.write(writes, signal)),
    kill: (key) => late(() => namespace.kill(key)),
    mail: (slot, seqs) => late(() => namespace.mail(slot, seqs)),
    nextSeq: () => late(() => namespace.nextSeq()),
    configure: (wanted) => late(() => namespace.configure(wanted)),
  }));
  const links = ["a", "b", "c"].map(() => new FaultyStore(lagging));
  const presences: Presence[] = [];
  for (const [index, link] of links.entries()) {
    const presence = await Presence.open(link, { periodMs: PERIOD_MS });
    presences.push(presence);
    presence.on("lapse", () => lapses++);
    await bench.during(0, presence.pinger("abc".charAt(index)).start());
  }
  const watching = presences[0]!;
  const heard = await hear(watching.watcher(), { all: true });
  await bench.periods(5);
  lagMs = lag * PERIOD_MS;
  return {
    bench,
    watching,
    lapses: () => lapses,
    deaths: () => heard.filter((line) => line.includes("dead")),
    crash: () => links[2]?.fail(),
    endLag: () => void (lagMs = 0),
    /** In which part of the following periods the watching presence is healthy. */
    healthy: async (): Promise<number> => {
      let healthy = 0;
      for (let look = 0; look < PERIODS * LOOKS; look++) {
        await bench.periods(1 / LOOKS);
        if (watching.health.state === "healthy") healthy++;
      }
      return healthy / (PERIODS * LOOKS);
    },
  };
}

it.each([0.26, 0.5, 0.79])(
  "a majority that lags by %d of a period makes nobody lapse and watchers stale hardly ever; a crash is reported within the bound and the lag",
  async (lag) => {
    const { bench, lapses, deaths, crash, healthy } = await fleet(lag);
    expect(await healthy()).toBeGreaterThanOrEqual(0.95);
    expect([lapses(), deaths()]).toEqual([0, []]);
    const before = bench.now;
    crash();
    while (deaths().length === 0) await bench.periods(0.1);
    expect(bench.now - before).toBeLessThanOrEqual(2.6 + lag);
    expect(deaths()).toEqual(["c dead expired"]);
  },
);

it("a majority that lags by more than a period makes nobody dead, and watchers stale only at first", async () => {
  const { bench, watching, deaths, crash, endLag, healthy } = await fleet(1.3);
  const reasons = new Set<string | undefined>();
  watching.on("health", ({ state, reason }) => state === "stale" && reasons.add(reason));
  expect(await healthy()).toBeGreaterThan(0.9);
  expect([...reasons]).toEqual(["no ping was acknowledged for 5000 ms"]);
  expect(deaths()).toEqual([]);
  endLag();
  await bench.periods(5);
  expect(watching.health.state).toBe("healthy");
  crash();
  await bench.periods(2.6);
  expect(deaths()).toEqual(["c dead expired"]);
});
