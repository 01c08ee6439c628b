import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Presence } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { refusal } from "../presence/support.ts";

describe("a manual clock", () => {
  it.each([-500, Number.NaN, Infinity, "5" as never, undefined as never])(
    "that is advanced by %s says that it cannot be, and stands still",
    async (ms) => {
      const clock = new ManualClock({ start: 0 });
      await clock.advance(1000);
      const message = /is advanced by a number of ms, 0 or more, not by/;
      await expect(clock.advance(ms)).rejects.toEqual(refusal("INVALID_OPTION", message));
      expect([clock.now(), clock.monotonic()]).toEqual([1000, 1000]);
    },
  );

  it("steps forth and back, and not by what is no number", () => {
    const clock = new ManualClock({ start: 1000 });
    clock.step(-300);
    clock.step(100);
    expect(clock.now()).toBe(800);
    expect(() => clock.step(Number.NaN)).toThrow(refusal("INVALID_OPTION"));
    expect(clock.now()).toBe(800);
  });

  it("advances among fake timers, which replace those of the whole program: a presence on it opens, lapses and closes", async () => {
    const toFake = [
      "setTimeout",
      "setInterval",
      "setImmediate",
      "queueMicrotask",
      "performance",
      "Date",
    ] as const;
    vi.useFakeTimers({ toFake: [...toFake] });
    onTestFinished(() => void vi.useRealTimers());
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
});

it.each([
  ["a clock in place of the options of a store", () => new MemoryStore(new ManualClock() as never)],
  ["an option that does not exist", () => new MemoryStore({ clok: new ManualClock() } as never)],
  ["a clock that is none", () => new MemoryStore({ clock: 5 as never })],
  ["a start that is no time", () => new ManualClock({ start: NaN })],
  ["a store that is none", () => new FaultyStore("memory:" as never)],
  ["a delay before now", () => new FaultyStore(new MemoryStore()).delay(-5)],
  [
    "a capacity that does not exist",
    () => new FaultyStore(new MemoryStore()).capacity({ writes: 5 } as never),
  ],
])("%s is INVALID_OPTION", (_, act) => {
  expect(act).toThrow(refusal("INVALID_OPTION"));
});
