// The same in Vitest.
import { Presence } from "heartbit";
import { FaultyStore, ManualClock, MemoryStore } from "heartbit/testing";
import { afterEach, expect, it, vi } from "vitest";

afterEach(() => vi.useRealTimers());

it("fake timers and a manual clock", async () => {
  vi.useFakeTimers();
  const clock = new ManualClock();
  const store = new FaultyStore(new MemoryStore({ clock }));
  const presence = await Presence.open(store, { periodMs: 5000 });
  const lapsed = vi.fn();
  presence.on("lapse", lapsed);
  await presence.pinger("k").start();
  store.fail();
  await clock.advance(15_000);
  await presence.close();
  expect(lapsed).toHaveBeenCalledTimes(1);
});
