/** Calls that reject, or give up, after a while. */
import { expect, it } from "vitest";
import { aliveFor, hear } from "./support.ts";
import { bench } from "./two-presences.ts";

const never = <T>(): Promise<T> => new Promise<T>(() => {});
const slowly = async <T>(answer: () => Promise<T>): Promise<T> => {
  await bench.after(4500);
  return answer();
};

it.each([5000, 60_000, 3_600_000])(
  "kills do, and hold up no list, while reads are answered and writes are not (period %d)",
  async (P) => {
    let isAway = false;
    const p = await bench.openWith(
      (namespace) => ({
        ping: (slot, seq) => (isAway ? never() : namespace.ping(slot, seq)),
        write: (writes, signal) => (isAway ? never() : namespace.write(writes, signal)),
        kill: (key) => (isAway ? never() : namespace.kill(key)),
      }),
      { periodMs: P, name: "n" },
    );
    await p.pinger("k").start();
    await bench.clock.advance(P * 1.05);
    isAway = true; // its majority is
    await bench.clock.advance(P * 0.45); // a ping is under way
    const began = bench.clock.monotonic();
    const took: number[] = [];
    const note = (): unknown => took.push(bench.clock.monotonic() - began);
    for (let count = 0; count < 3; count++) p.kill("k").then(note, note);
    p.list().then(note, note);
    await bench.clock.advance(4 * P + 60_000);
    expect(took).toHaveLength(4);
    expect(Math.max(...took)).toBeLessThanOrEqual(10_500);
  },
);

it.each([
  [5000, 5500],
  [3_600_000, 10_500],
])("a sync does, though a load was under way before it (period %d)", async (P, mostMs) => {
  const { presence: p, link: away } = await bench.open({ periodMs: P, name: "n" });
  const watcher = p.watcher();
  await hear(watcher, "x");
  await bench.clock.advance(1000);
  away.pause();
  watcher.watch("y", () => {});
  await bench.clock.advance(1000);
  const began = bench.clock.monotonic();
  let took = Infinity;
  watcher.sync().catch(() => (took = bench.clock.monotonic() - began));
  await bench.clock.advance(1_000_000);
  expect(took).toBeLessThanOrEqual(mostMs);
});

it.each([5000, 3_600_000])(
  "a close ends its keys though one call of the store fails (period %d)",
  async (P) => {
    const { presence: p, link: l } = await bench.open({ periodMs: P, name: "n" });
    const { presence: o } = await bench.open({ periodMs: P, name: "n" });
    await p.pinger("k").start();
    await bench.clock.advance(P * 3);
    let left = 1;
    l.intercept((operation) => (operation === "write" && left-- > 0 ? "fail" : "pass"));
    const closing = p.close();
    await bench.clock.advance(11_000);
    await closing;
    expect(await aliveFor(o)).toEqual([]);
  },
);

it("prunes run a few at a time, as lists and kills do, so that pings have connections left", async () => {
  let running = 0;
  const p = await bench.openWith(
    () => ({
      prune: () => {
        running++;
        return never();
      },
    }),
    { name: "n" },
  );
  for (let count = 0; count < 20; count++) p.prune().catch(() => {});
  await bench.clock.advance(100);
  expect(running).toBe(3);
});

it("a rejection says how long the store did not answer, and why if that is known", async () => {
  let isAway = false;
  const p = await bench.openWith(
    (namespace) => ({
      time: () => (isAway ? never() : namespace.time()),
      delay: () => (isAway ? "no connection is free" : undefined),
    }),
    { name: "n", periodMs: 5000 },
  );
  isAway = true;
  await bench.clock.advance(6000); // its view of the store's time is too old
  const failed = p.list().catch((error: Error) => error.message);
  await bench.clock.advance(20_000);
  expect(await failed).toBe("The store did not answer in 5000 ms (time); no connection is free.");
});

it("a sync waits for a read that goes on, however long it takes, and rejects once that stops", async () => {
  let pages = 12;
  const p = await bench.openWith(
    (namespace) => ({
      read: async function* (query) {
        const count = query.select.all ? pages : 0; // not our own records
        for (let page = 0; page < count; page++) {
          await bench.after(800);
          yield { sessions: [], registrations: [] };
        }
        if (count === 1) await never();
        yield* namespace.read(query);
      },
    }),
    { name: "n", periodMs: 5000 },
  );
  const watcher = p.watcher();
  watcher.watch({ all: true }, () => {});
  const outcome = (): Promise<string> => watcher.sync().then(() => "done", String);
  const [done] = await Promise.all([outcome(), bench.clock.advance(60_000)]);
  expect(done).toBe("done");
  pages = 1;
  const [failed] = await Promise.all([outcome(), bench.clock.advance(15_000)]);
  expect(failed).toContain("did not answer");
});

it("alive and sync settle, though others ask for more keys all the time", async () => {
  const asking = await bench.openWith((namespace) => ({
    read: async function* (query) {
      await bench.after(5);
      yield* namespace.read(query);
    },
  }));
  const watcher = asking.watcher();
  await bench.during(0.1, watcher.sync());
  let [asked, answered, hasSynced] = [0, 0, false];
  for (let ms = 0; ms < 200; ms++) {
    void watcher.alive(`key-${++asked}`).then(() => answered++);
    if (ms === 100) void watcher.sync().then(() => (hasSynced = true));
    await bench.clock.advance(1);
  }
  expect(answered).toBeGreaterThan(asked - 50);
  expect(hasSynced).toBe(true);
});

it("opening waits for five seconds for each answer, however short the period", async () => {
  const opening = bench.openWith(
    (namespace) => ({
      configure: (wanted) => slowly(() => namespace.configure(wanted)),
      time: () => slowly(() => namespace.time()),
      pings: (from) => slowly(() => namespace.pings(from)),
    }),
    { name: "n", periodMs: 100 },
  );
  await bench.clock.advance(15_000);
  expect((await opening).periodMs).toBe(100);
});

it.each(["configure", "time", "pings"] as const)(
  "opening gives up five seconds after an unanswered `%s`",
  async (call) => {
    const began = bench.clock.monotonic();
    const opening = bench.openWith(() => ({ [call]: never }), { name: "n", periodMs: 1000 });
    const failed = opening.catch(({ message }: Error) => `${message} ${bench.clock.monotonic() - began}`);
    await bench.clock.advance(15_000);
    expect(await failed).toMatch(/^The store did not answer in 5000 ms \(.*\)\. 5000$/);
  },
);
