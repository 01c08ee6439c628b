/** What is old enough to prune. */
import { expect, it } from "vitest";
import { SEGMENT_WORDS } from "../../src/core/bits.ts";
import { oldestKept } from "../../src/core/pruning.ts";

const RETENTION = 20;
const J = 100;

/** The pings of slots, each stamped in a slot: times are in slots here. */
function oldest(stamped: readonly (readonly [slot: number, at: number])[]): number {
  const pings = stamped.map(([slot, ms]) => ({
    slot,
    segment: 0,
    words: new Int32Array(SEGMENT_WORDS),
    ms,
    revision: 1,
  }));
  return oldestKept(pings, Math.floor, J, RETENTION);
}

it("the retention counts back from the fourth latest slot with pings", () => {
  expect(
    oldest([
      [95, 95.2],
      [96, 96.2],
      [98, 98.2],
      [99, 99.2],
      [100, 100.2],
    ]),
  ).toBe(96 - RETENTION);
});

it("right after an outage, and if presences open only for a moment, it counts thrice", () => {
  expect(oldest([[100, 100.2]])).toBe(J - 3 * RETENTION);
});

it("pings that were held up in an outage, and are stamped at its end, show nobody who has come back", () => {
  expect(
    oldest([
      [96, 100.1],
      [97, 100.1],
      [98, 100.1],
      [99, 100.1],
      [100, 100.2],
    ]),
  ).toBe(J - 3 * RETENTION);
});
