/** What is old enough to prune. */
import { expect, it } from "vitest";
import { SEGMENT_WORDS } from "../../src/core/bits.ts";
import { oldestKept } from "../../src/core/pruning.ts";

const RETENTION = 20;
const J = 100;

/** With pings in slots of a second, each slot with the position at which its pings were stamped. */
function oldest(stamped: Readonly<Record<number, number>>): number {
  const words = new Int32Array(SEGMENT_WORDS);
  const pings = Object.entries(stamped).map(([slot, at]) => {
    return { slot: Number(slot), segment: 0, words, ms: at * 1000, revision: 1 };
  });
  return oldestKept(pings, J, { periodMs: 1000, retention: RETENTION });
}

it("the retention counts back from the fourth latest slot with pings", () => {
  expect(oldest({ 95: 95.2, 96: 96.4, 98: 98.1, 99: 99.2, 100: 100.2 })).toBe(96 - RETENTION);
});

it("the store's clock may step meanwhile", () => {
  expect(oldest({ 96: 96.4, 97: 99.3, 98: 98.1, 99: 90.2, 100: 91.2 })).toBe(97 - RETENTION);
});

it("right after an outage, and if presences open only for a moment, it counts thrice", () => {
  expect(oldest({ 100: 100.2 })).toBe(J - 3 * RETENTION);
});

it("pings that were held up in an outage, and are stamped at its end, show nobody who has come back", () => {
  expect(oldest({ 96: 100.1, 97: 100.1, 98: 100.1, 99: 100.1, 100: 100.2 })).toBe(J - 3 * RETENTION);
});
