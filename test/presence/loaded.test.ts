import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { includesKey, select, type WatchTarget } from "../../src/core/selection.ts";
import { Coverage as Loaded } from "../../src/core/coverage.ts";

const texts = ["a", "aa", "ab", "aab", "b"];
const target: fc.Arbitrary<WatchTarget> = fc.oneof(
  fc.constantFrom(...texts),
  fc.constantFrom(...texts, "").map((prefix) => ({ prefix })),
  fc.constant({ all: true } as const),
);

describe("what is loaded", () => {
  it("is wanted, and stays loaded for remaining targets, in whatever order targets come and leave", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ target, comes: fc.boolean() })), (steps) => {
        const loaded = new Loaded();
        const wanted: WatchTarget[] = [];
        for (const step of steps) {
          if (step.comes) {
            wanted.push(step.target);
            loaded.beginLoad(select([step.target]), select(wanted));
            loaded.endLoad(select(wanted));
          } else {
            const at = wanted.findIndex((one) => JSON.stringify(one) === JSON.stringify(step.target));
            if (at < 0) continue;
            wanted.splice(at, 1);
            loaded.leave(step.target, select(wanted));
          }
          for (const one of wanted) expect(loaded.has(one)).toBe(true);
          const all = select(wanted);
          if (all.all) continue;
          for (const key of texts) expect(includesKey(loaded, key)).toBe(includesKey(all, key));
        }
      }),
    );
  });
});
