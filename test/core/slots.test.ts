import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HeartbitError, isHeartbitError } from "../../src/core/errors.ts";
import { positionAt, slotAt, timeAt } from "../../src/core/slots.ts";

const aScale = fc.record({
  periodMs: fc.integer({ min: 100, max: 3_600_000 }),
  offset: fc.integer({ min: 0, max: 100_000 }),
});
const aTime = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) });

describe("slots", () => {
  it("are intervals of one period of the store's time, moved by the offset", () => {
    fc.assert(
      fc.property(aScale, aTime, (scale, ms) => {
        expect(slotAt(scale, ms)).toBe(Math.floor(ms / scale.periodMs) + scale.offset);
        expect(slotAt(scale, ms + scale.periodMs)).toBe(slotAt(scale, ms) + 1);
        expect(slotAt({ ...scale, offset: scale.offset + 7 }, ms)).toBe(slotAt(scale, ms) + 7);
      }),
    );
  });

  it("begin at the time that timeAt gives, to the millisecond", () => {
    fc.assert(
      fc.property(aScale, aTime, (scale, ms) => {
        const slot = slotAt(scale, ms);
        const start = timeAt(scale, slot);
        expect([slotAt(scale, start), slotAt(scale, start - 1)]).toEqual([slot, slot - 1]);
        expect(start).toBeLessThanOrEqual(ms);
        expect(timeAt(scale, positionAt(scale, ms))).toBeCloseTo(ms, 1);
      }),
    );
  });
});

it("an error is distinguished by its code, keeps its cause, and is retryable if the store was unavailable", () => {
  const cause = new Error("why");
  const error = new HeartbitError("INVALID_KEY", "bad", { cause });
  const codes = [undefined, "INVALID_KEY", "INVALID_META"] as const;
  expect(codes.map((code) => isHeartbitError(error, code))).toEqual([true, true, false]);
  expect(isHeartbitError(cause)).toBe(false);
  expect([error.cause, error.retryable]).toEqual([cause, false]);
  expect(new HeartbitError("STORE_UNAVAILABLE", "away").retryable).toBe(true);
});
