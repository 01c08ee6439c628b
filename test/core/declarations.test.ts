import { describe, expect, it } from "vitest";
import { Declarations } from "../../src/core/declarations.ts";
import { type Owner, Registration, successionOf } from "../../src/core/registration.ts";
import { StoreTime } from "../../src/core/store-time.ts";
import { ManualClock } from "../../src/testing/index.ts";

const PERIOD_MS = 1000;
const owner: Owner = { endedByOther: () => {}, lost: () => {} };

/** The store's time, which is that of a clock. */
function timeAt(slot: number): { clock: ManualClock; time: StoreTime } {
  const clock = new ManualClock();
  const time = new StoreTime(clock, PERIOD_MS);
  time.learn(clock.monotonic(), clock.monotonic(), slot * PERIOD_MS, clock.now() - clock.monotonic());
  return { clock, time };
}

function start(time: StoreTime, earlier?: Registration, isOver = false): Registration {
  return new Registration(owner, "k", 1, "null", successionOf(earlier, isOver, time));
}

describe("what is declared", () => {
  it("is the latest start of each pinger: nothing about an earlier one changes it", () => {
    const { clock, time } = timeAt(100);
    const declared = new Declarations();
    const first = start(time);
    declared.add(first);
    first.end(time, clock.monotonic());
    declared.release(first);
    expect([declared.heldCount, [...declared.held()]]).toEqual([0, []]);
    const second = start(time, first);
    declared.add(second);
    declared.release(first);
    declared.delete(first);
    expect([declared.heldCount, [...declared.held()]]).toEqual([1, [second]]);
    expect(declared.byPinger.get(1)).toBe(second);
  });

  it("is forgotten a retention after the release, once that is written", () => {
    const { clock, time } = timeAt(100);
    const declared = new Declarations();
    const registration = start(time);
    declared.add(registration);
    registration.end(time, clock.monotonic());
    declared.release(registration);
    declared.forgetBefore(100);
    registration.unwritten = "end";
    declared.forgetBefore(101);
    expect(declared.byPinger.size).toBe(1);
    registration.unwritten = "nothing";
    declared.forgetBefore(101);
    expect(declared.byPinger.size).toBe(0);
  });
});

describe("a new start", () => {
  it("continues one that still counts, and ends it", async () => {
    const { clock, time } = timeAt(100);
    const first = start(time);
    await clock.advance(PERIOD_MS);
    first.end(time, clock.monotonic());
    expect(successionOf(first, false, time)).toEqual({ start: 2, since: first.since, endsEarlier: true });
    expect(successionOf(first, true, time)).toEqual({ start: 2, since: 101_000, endsEarlier: false });
    await clock.advance(2 * PERIOD_MS);
    expect(successionOf(first, false, time)).toEqual({ start: 2, since: 103_000, endsEarlier: true });
  });

  it("has nothing to end if the one before was killed", () => {
    const { time } = timeAt(100);
    const first = start(time);
    first.end(time, -Infinity);
    expect(successionOf(first, false, time)).toEqual({ start: 2, since: 100_000, endsEarlier: false });
  });
});
