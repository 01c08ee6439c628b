import { beforeEach, expect, it } from "vitest";
import { HeartbitError } from "../../src/core/errors.ts";
import { Bench, failing, hear, type Replace } from "./support.ts";

const RETENTION_SLOTS = 80;
const RETENTIONS = 3;
let bench: Bench;
beforeEach(() => void (bench = new Bench()));

/** With so many presences, how many times was pruned in a few retentions. `gaps`: nobody pings in every fourth slot. */
async function timesPruned(presences: number, gaps = false): Promise<number> {
  bench = new Bench();
  const pruned = new Set<number>();
  const isGap = (): boolean => gaps && Math.floor(bench.now) % 4 === 3;
  const counting: Replace = (namespace) => ({
    ping: (...args) => (isGap() ? Promise.reject(new Error("Nobody pings.")) : namespace.ping(...args)),
    prune: (query) => {
      pruned.add(query.beforeSlot); // each pruning calls until nothing is left
      return namespace.prune(query);
    },
  });
  for (let index = 0; index < presences; index++) {
    const presence = await bench.openWith(counting, { retentionSlots: RETENTION_SLOTS });
    await presence.pinger(`key-${index}`).start();
  }
  await bench.periods(RETENTIONS * RETENTION_SLOTS);
  return pruned.size;
}

it("is pruned some eight times in a retention, however many presences there are, and by few as well", async () => {
  const times = await timesPruned(60);
  expect(times).toBeLessThanOrEqual(12 * RETENTIONS);
  expect(times).toBeGreaterThan(4 * RETENTIONS);
  expect(await timesPruned(1)).toBeGreaterThan(0);
  expect(await timesPruned(20, true)).toBeLessThanOrEqual(12 * RETENTIONS);
});

it("after an outage longer than the retention no process is pruned that must write its record twice", async () => {
  const options = { retentionSlots: RETENTION_SLOTS };
  const clients = [await bench.open(options), await bench.open(options)] as const;
  const [holder, watcher] = clients;
  await holder.presence.pinger("a").start();
  const told = await hear(watcher.presence.watcher(), { all: true });
  await bench.periods(10);
  for (const { link } of clients) link.fail();
  await bench.periods(RETENTION_SLOTS + 10);
  holder.link.intercept(failing("write"));
  for (const { link } of clients) link.heal();
  await bench.periods(0.1);
  const { presence: newcomer } = await bench.open(options);
  for (let slot = 0; slot < 4; slot++) {
    await newcomer.pinger(`b${slot}`).start();
    await newcomer.prune();
    await bench.periods(0.9);
  }
  holder.link.intercept();
  await bench.periods(3);
  await newcomer.prune();
  await bench.periods(3);
  expect(told.filter((change) => change.startsWith("a "))).toEqual(["a alive initial"]);
});

it("where presences come and go, each for a moment, what is dead is pruned as well, some three retentions later", async () => {
  const stored: number[] = [];
  for (let time = 0; time < 30; time++) {
    const { presence } = await bench.open({ retentionSlots: 10 });
    await presence.pinger("a").start();
    await bench.periods(0.5);
    await presence.prune();
    await presence.close();
    await bench.periods(4.5);
    stored.push(bench.store.counts("presence").registrations);
  }
  expect(Math.max(...stored.slice(8))).toBeLessThanOrEqual(8);
});

it("a pruning that keeps failing is a warning once, and again when it fails for another reason", async () => {
  let [reason, failed] = ["", 0];
  const refusing: Replace = (namespace) => ({
    prune: (query) => {
      if (reason === "") return namespace.prune(query);
      failed++;
      return Promise.reject(new HeartbitError("NOT_PERMITTED", reason));
    },
  });
  const warnings: string[] = [];
  const logger = { warn: (line: string) => warnings.push(line) };
  const presence = await bench.openWith(refusing, { retentionSlots: 10, logger });
  await presence.pinger("a").start();
  for (reason of ["no right to remove", "the disk is full", "", "the disk is full"]) {
    failed = 0;
    await bench.periods(100);
    expect(failed > 1).toBe(reason !== "");
  }
  expect(warnings).toEqual([
    expect.stringContaining("pruning failed, so what is stored grows: NOT_PERMITTED: no right to remove"),
    expect.stringContaining("NOT_PERMITTED: the disk is full"),
    expect.stringContaining("NOT_PERMITTED: the disk is full"),
  ]);
});

it("a pruning that failed is tried again some slots later, and not only in the next turn", async () => {
  const tries: unknown[] = [];
  const no = new HeartbitError("NOT_PERMITTED", "No.");
  const failsOnce: Replace = (namespace) => ({
    prune: (query) => (tries.push(query) === 1 ? Promise.reject(no) : namespace.prune(query)),
  });
  const presence = await bench.openWith(failsOnce, { retentionSlots: RETENTION_SLOTS });
  await presence.pinger("k").start();
  while (tries.length === 0) await bench.periods(1);
  await bench.periods(5);
  expect(tries.length).toBeGreaterThan(1);
});

it.each([
  [120, 10],
  [1000, 120],
])(
  "a process that comes back is seen by every watcher (retention of the holder %d, of the watcher %d)",
  async (holds, watches) => {
    const { presence: holder, link: away } = await bench.open({ retentionSlots: holds });
    const { presence: watching } = await bench.open({ retentionSlots: watches });
    await holder.pinger("k").start();
    const heard = await hear(watching.watcher(), "k");
    await bench.periods(20);
    away.fail();
    await bench.periods(holds * 0.4);
    away.heal();
    await bench.periods(200);
    expect([await bench.alive(), heard]).toEqual([
      ["k"],
      ["k alive initial", "k dead expired", "k alive joined"],
    ]);
  },
);
