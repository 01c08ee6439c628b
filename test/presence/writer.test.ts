import { expect, it } from "vitest";
import { Bench, restartable } from "./support.ts";

it("what is held is written again where it is gone, and what is called after that takes effect, however much it is", async () => {
  const bench = new Bench();
  let written = 0;
  const { presence, restart } = await restartable(bench, { periodMs: 1000 }, (namespace) => ({
    // 2,000 records a second: more than the time that one bulk has.
    write: async (writes) => {
      written += writes.length;
      await new Promise<void>((resolve) => void bench.clock.setTimer(resolve, writes.length / 2));
      return namespace.write(writes);
    },
  }));
  const pingers = Array.from({ length: 5000 }, (_, index) => presence.pinger(`k${index}`));
  const starting = Promise.all(pingers.map((pinger) => pinger.start()));
  await bench.clock.advance(6000);
  await starting;
  written = 0;
  restart();
  await bench.clock.advance(5000);
  expect(written).toBe(0); // everything is there
  bench.store.destroy("presence", { registration: () => true });
  written = 0;
  restart();
  await bench.clock.advance(100);
  let isKilled = false;
  void pingers[0]?.kill().then(() => (isKilled = true));
  await bench.clock.advance(10_000);
  expect([isKilled, presence.health.state]).toEqual([true, "healthy"]);
  expect((await presence.list()).keys.filter(({ alive }) => alive)).toHaveLength(pingers.length - 1);
  expect(written).toBeLessThan(3 * pingers.length); // each, and the end of the start before it
});

it("a presence that writes without a pause can still kill a key", async () => {
  const bench = new Bench();
  const [{ presence, link }, { presence: other }] = [await bench.open(), await bench.open()];
  await other.pinger("k").start();
  const busy = presence.pinger("a");
  await busy.start();
  link.delay(10);
  let isOver = false;
  const update = (count: number): void => {
    if (isOver) return;
    void busy.update(count);
    bench.clock.setTimer(() => update(count + 1), 7); // before the one before is acknowledged
  };
  update(0);
  await bench.periods(0.1);
  const killing = presence.kill("k");
  killing.catch(() => {});
  await bench.periods(2);
  isOver = true;
  expect(await killing).toBe(1);
});
