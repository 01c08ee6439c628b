/** Closing a presence that still has much to write. */
import { expect, it } from "vitest";
import { hear, PERIOD_MS } from "./support.ts";
import { bench, link, other, presence } from "./two-presences.ts";

/** Two periods of it are waiting. */
const WAITING = 2 * 5000;

async function wait(): Promise<void> {
  link.capacity({ writesPerSecond: WAITING / 2 / (PERIOD_MS / 1000) });
  const keys = Array.from({ length: WAITING }, (_, index) => `new/${index}`);
  presence.hold(keys).catch(() => {}); // closed before all of them are written
  await bench.clock.advance(100);
}

it("ends its keys within a period, whatever waits to be written", async () => {
  await presence.hold(["old/1", "old/2"]);
  const told = await hear(other.watcher(), { prefix: "old/" });
  await wait();
  void presence.close();
  await bench.periods(1);
  expect(told.slice(2)).toEqual(["old/1 dead killed", "old/2 dead killed"]);
});

it("a planned absence that waits to be written outlives it, and nobody is told of a death", async () => {
  const pinger = presence.pinger("away");
  await pinger.start();
  const told = await hear(other.watcher(), "away");
  await wait();
  const stopped = pinger.stop({ holdMs: 20 * PERIOD_MS });
  void presence.close();
  await bench.periods(10);
  await stopped;
  expect(told).toEqual(["away alive initial"]);
});

it("what was asked for just before is done", async () => {
  const started = presence.pinger("k").start();
  await presence.close();
  await expect(started).resolves.toBeUndefined();
});

it("a holding that has ended with it takes no more calls", async () => {
  const holding = await presence.hold(["k"]);
  await presence.close();
  for (const call of [() => holding.add(["l"]), () => holding.update("k", 1), () => holding.leave(["k"])])
    await expect(call()).rejects.toMatchObject({ code: "PRESENCE_CLOSED" });
});
