/** A manual clock among fake timers, which replace the timers of the whole program. */
import { afterEach, expect, it, vi } from "vitest";
import { Presence } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";

afterEach(() => vi.useRealTimers());

it("it advances, and a presence on it opens, lapses and closes", async () => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "performance", "Date"],
  });
  const clock = new ManualClock();
  const store = new FaultyStore(new MemoryStore({ clock }));
  const presence = await Presence.open(store, { periodMs: 5000 });
  const lapses: Date[] = [];
  presence.on("lapse", ({ from }) => lapses.push(from));
  await presence.pinger("k").start();
  store.fail();
  await clock.advance(15_000);
  await presence.close();
  expect(lapses).toHaveLength(1);
});
