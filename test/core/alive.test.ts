import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  deathPosition,
  isAliveAt,
  evaluationSlot,
  KILLED,
  lastPing,
  latestComplete,
  mayReportDeaths,
  PERIODS_TO_DEATH,
} from "../../src/core/alive.ts";

/** The rule (3) as it stands: of the complete slots the latest, the evaluation slot itself counting as not empty. */
function latestCompleteRead(j: number, oldest: number, nonEmpty: ReadonlySet<number>): number {
  const isEmpty = (slot: number): boolean => slot !== j && (!nonEmpty.has(slot) || slot < oldest);
  for (let slot = j - 1; slot >= oldest; slot--) {
    if (!isEmpty(slot) && !isEmpty(slot - 1) && !isEmpty(slot + 1)) return slot;
  }
  return oldest;
}

describe("latestComplete", () => {
  it("is the latest slot that is not empty and has no empty neighbour, or the oldest retained one", () => {
    const slots = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(fc.uniqueArray(slots), slots, slots, (pinged, j, oldest) => {
        const nonEmpty = new Set(pinged);
        const asked: number[] = [];
        const found = latestComplete(j, oldest, (slot) => {
          asked.push(slot);
          return !nonEmpty.has(slot);
        });
        expect(found).toBe(latestCompleteRead(j, oldest, nonEmpty));
        // Asked from the slot before `j` down, each once, and none outside.
        expect(asked).toEqual(Array.from(asked, (_, index) => j - 1 - index));
        expect(asked.every((slot) => slot >= oldest && slot < j)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ["in quiet times j - 1", "############", 11],
    ["with the slot before j empty, two before that", "###########.", 9],
    ["with the slot before that empty, two before it", "##########.#", 8],
    ["with two slots after an outage, the later of them", "####......##", 11],
    ["with one slot after an outage, before the outage", "####.......#", 2],
    ["in an outage, before it", "####........", 2],
    ["with nobody at all, the oldest", "............", 0],
    ["with a gap in every other slot, the oldest", "#.#.#.#.#.#.", 0],
  ])("%s", (_, pinged, expected) => {
    const j = pinged.length;
    const isEmpty = (slot: number): boolean => pinged[slot] !== "#";
    // `j` counts as not empty whatever is known of it.
    expect(latestComplete(j, 0, isEmpty)).toBe(expected);
  });
});

describe("lastPing", () => {
  const session = { slot: 5, bit: 7 };
  it.each([
    ["the latest bit of its session", { slot: 3 }, session, 7],
    ["the latest write of its session, when that is later", { slot: 3 }, { slot: 9, bit: 7 }, 9],
    ["its own latest write, when that is later", { slot: 11 }, session, 11],
    ["its own last, though its session pings on", { slot: 3, last: 4 }, session, 4],
    ["its own last, though that is later than all (a planned absence)", { slot: 3, last: 20 }, session, 20],
    ["its session's last, when that was closed", { slot: 3 }, { ...session, last: 6 }, 6],
    ["its own last before its session's", { slot: 3, last: 2 }, { ...session, last: 6 }, 2],
    ["killed, whatever else", { slot: 30, last: KILLED }, { slot: 30, bit: 30, last: 30 }, KILLED],
    ["its write, when no bit is known", { slot: 3 }, { slot: 2, bit: -Infinity }, 3],
  ])("is %s", (_, registration, of, expected) => {
    expect(lastPing(registration, of)).toBe(expected);
  });
});

describe("isAliveAt", () => {
  it("holds of what pinged in g or later, and never of what was killed", () => {
    expect([4, 5, 6].map((last) => isAliveAt(last, 5))).toEqual([false, true, true]);
    expect(isAliveAt(KILLED, -Infinity)).toBe(false);
    expect(isAliveAt(KILLED, 0)).toBe(false);
  });
});

describe("the time of evaluation", () => {
  it("is the half of a slot", () => {
    expect([7.49, 7.5, 8, 8.49, 8.5].map(evaluationSlot)).toEqual([6, 7, 7, 7, 8]);
  });

  it("reports a registration with its last ping in L dead at L + 2.5, in quiet times", () => {
    const last = 10;
    const diedAt = deathPosition(last);
    expect(diedAt).toBe(last + PERIODS_TO_DEATH);
    const isReported = [diedAt - 0.001, diedAt].map((position) => {
      const g = latestComplete(evaluationSlot(position), 0, () => false);
      return !isAliveAt(last, g);
    });
    expect(isReported).toEqual([false, true]);
  });

  it("is held back by a suspicion in the evaluation slot or the one before", () => {
    expect(mayReportDeaths(10, 8.99)).toBe(true);
    expect(mayReportDeaths(10, 9)).toBe(false);
    expect(mayReportDeaths(10, 10.4)).toBe(false);
    expect(mayReportDeaths(10, -Infinity)).toBe(true);
  });
});
