/** The system's clock keeps what the port promises, on real timers. */
import { describe, expect, it } from "vitest";
import { setLimit, systemClock } from "../src/lib/system-clock.ts";
import { timersThatHold } from "./support/timers.ts";

describe("the system's clock", () => {
  it("fires no timer early, not even of a fraction of a ms, and after the program was busy", async () => {
    const early = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        await new Promise<void>((resolve) => setImmediate(resolve));
        for (const end = systemClock.monotonic() + 2; systemClock.monotonic() < end;);
        const delayMs = 100 + i / 50;
        const due = systemClock.monotonic() + delayMs;
        await new Promise<void>((resolve) => void systemClock.setTimer(resolve, delayMs));
        return Math.max(0, due - systemClock.monotonic());
      }),
    );
    expect(early.filter((ms) => ms > 0)).toEqual([]);
  });

  it("keeps the process alive by its timers, and not by limits, which fire all the same", async () => {
    const before = timersThatHold();
    const cancel = systemClock.setTimer(() => {}, 60_000);
    const cancelLimit = setLimit(() => {}, 60_000);
    expect(timersThatHold()).toBe(before + 1);
    cancel();
    cancelLimit();
    await new Promise<void>((resolve) => void setLimit(resolve, 5));
  });

  it("fires no timer that was cancelled, and none before the caller has gone on", async () => {
    const fired: string[] = [];
    const cancel = systemClock.setTimer(() => fired.push("cancelled"), 1);
    systemClock.setTimer(() => fired.push("at once"), 0);
    systemClock.setTimer(() => fired.push("in the past"), -5);
    expect(fired).toEqual([]);
    cancel();
    await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 5));
    expect(fired).toEqual(["at once", "in the past"]);
  });
});
