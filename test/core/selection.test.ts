import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Coverage } from "../../src/core/coverage.ts";
import {
  EVERYTHING,
  includesAll,
  includesKey,
  isEmptySelection,
  missingFrom,
  NOTHING,
  prefixEnd,
  select,
  type WatchTarget,
  withoutOverlap,
} from "../../src/core/selection.ts";

/** Few letters, so that keys and prefixes meet; and those whose order is another in UTF-16 than in code points. */
const letter = fc.constantFrom("a", "b", "\0", "\uD7FF", "\uE000", "\uFFFF", "\u{10000}", "\u{10FFFF}");
const text = fc.array(letter, { maxLength: 4 }).map((letters) => letters.join(""));
const runs = { numRuns: 1000 };
const aTarget: fc.Arbitrary<WatchTarget> = fc.oneof(
  text.filter((key) => key !== ""),
  text.map((prefix) => ({ prefix })),
  { weight: 1, arbitrary: fc.constant({ all: true } as const) },
);
const targets = fc.array(aTarget, { maxLength: 4 });

/** Whether one of the targets means the key, read off the targets. */
const isMeant = (list: readonly WatchTarget[], key: string): boolean =>
  list.some((target) => {
    if (typeof target === "string") return target === key;
    return "all" in target || key.startsWith(target.prefix);
  });

const isBefore = (a: string, b: string): boolean => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;

describe("a selection", () => {
  it("means the keys that one of its targets means", () => {
    fc.assert(
      fc.property(targets, text, (list, key) => {
        expect(includesKey(select(list), key)).toBe(isMeant(list, key));
      }),
      runs,
    );
  });

  it("is empty when it has no target, and means all of another when nothing of that is missing", () => {
    fc.assert(
      fc.property(targets, targets, (have, wanted) => {
        const [a, b] = [select(have), select(wanted)];
        expect(isEmptySelection(a)).toBe(have.length === 0);
        expect(includesAll(a, b)).toBe(isEmptySelection(missingFrom(a, b)));
      }),
      runs,
    );
    expect([isEmptySelection(NOTHING), isEmptySelection(EVERYTHING)]).toEqual([true, false]);
  });

  it("without what is in it twice means the same keys", () => {
    fc.assert(
      fc.property(targets, text, (list, key) => {
        const { all, keys, prefixes } = withoutOverlap(select(list));
        expect(includesKey({ all, keys, prefixes }, key)).toBe(isMeant(list, key));
        for (const one of [...keys, ...prefixes])
          expect([...prefixes].filter((prefix) => prefix !== one && one.startsWith(prefix))).toEqual([]);
      }),
      runs,
    );
  });

  it("less another means every key that only the first means, and together with that other no other key", () => {
    fc.assert(
      fc.property(targets, targets, text, (have, wanted, key) => {
        const missing = missingFrom(select(have), select(wanted));
        if (isMeant(wanted, key) && !isMeant(have, key)) expect(includesKey(missing, key)).toBe(true);
        if (includesKey(missing, key)) expect(isMeant(wanted, key)).toBe(true);
        expect(isEmptySelection(missingFrom(select(wanted), select(wanted)))).toBe(true);
      }),
      runs,
    );
  });
});

describe("prefixEnd", () => {
  it("comes after every key with the prefix in the order of UTF-8 bytes, and not after any other that comes later", () => {
    fc.assert(
      fc.property(text, text, (prefix, key) => {
        const end = prefixEnd(prefix);
        const isInRange = !isBefore(key, prefix) && (end === undefined || isBefore(key, end));
        expect(isInRange).toBe(key.startsWith(prefix));
      }),
      { numRuns: 3000 },
    );
  });

  it("is well-formed Unicode for a prefix of any letters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (prefix) => {
        const end = prefixEnd(prefix);
        if (end !== undefined) expect(Buffer.from(end).toString()).toBe(end);
      }),
    );
  });
});

describe("what is loaded", () => {
  const texts = ["a", "aa", "ab", "aab", "b"];
  const aTargetOf = fc.oneof(
    fc.constantFrom(...texts),
    fc.constantFrom(...texts, "").map((prefix) => ({ prefix })),
    fc.constant({ all: true } as const),
  );

  it("is wanted, and stays loaded for remaining targets, in whatever order targets come and leave", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ target: aTargetOf, comes: fc.boolean() })), (steps) => {
        const loaded = new Coverage();
        const wanted: WatchTarget[] = [];
        for (const { target, comes } of steps) {
          if (comes) {
            wanted.push(target);
            loaded.beginLoad(select([target]), select(wanted));
            loaded.endLoad(select(wanted));
          } else {
            const at = wanted.findIndex((one) => JSON.stringify(one) === JSON.stringify(target));
            if (at < 0) continue;
            wanted.splice(at, 1);
            loaded.leave(target, select(wanted));
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
