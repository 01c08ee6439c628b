/** The rule. test/docs/vectors.test.ts has its cases, as they are promised to other languages. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  deathPosition,
  isAliveAt,
  evaluationSlot,
  latestComplete,
  mayReportDeaths,
  PERIODS_TO_DEATH,
} from "../../src/core/alive.ts";
import { KILLED } from "../../src/core/records.ts";

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
