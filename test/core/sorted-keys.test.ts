import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Prefixes } from "../../src/core/prefixes.ts";
import { doAll } from "../../src/core/steps.ts";
import { after, SortedKeys } from "../../src/core/sorted-keys.ts";
import { registrationOf, rosterOf } from "./histories.ts";

/** Few letters, so that keys and prefixes meet. */
const text = fc
  .array(fc.constantFrom("a", "b", "\0", "\uFFFF", "\u{10000}"), { maxLength: 5 })
  .map((l) => l.join(""));
const change = fc.record({ text, isAdded: fc.boolean() });

describe("sorted keys", () => {
  it("are those that were added and not deleted, in order, from any text on and with any prefix", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 100 }), text, text, (changes, from, prefix) => {
        const keys = new SortedKeys();
        const model = new Set<string>();
        for (const { text: key, isAdded } of changes) {
          if (isAdded) model.add(key);
          else model.delete(key);
          if (isAdded) keys.add(key);
          else keys.delete(key);
        }
        const inOrder = [...model].toSorted();
        expect(keys.size).toBe(model.size);
        expect([...keys.from(from)]).toEqual(inOrder.filter((key) => key >= from));
        expect([...keys.from(after(from))]).toEqual(inOrder.filter((key) => key > from));
        expect([...keys.startingWith(prefix)]).toEqual(inOrder.filter((key) => key.startsWith(prefix)));
      }),
      { numRuns: 1000 },
    );
  });

  it("stay in order when there are very many, whatever the order in which they come and go", () => {
    const keys = new SortedKeys();
    const all = Array.from({ length: 20_000 }, (_, at) => `key-${(at * 7919) % 20_000}`);
    for (const key of all) keys.add(key);
    expect([...keys.from("")]).toEqual(all.toSorted());
    for (const key of all.slice(0, 15_000)) keys.delete(key);
    expect([...keys.from("")]).toEqual(all.slice(15_000).toSorted());
  });
});

describe("a set of prefixes", () => {
  it("finds the prefixes that a text begins with, and no others", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), text, (changes, key) => {
        const prefixes = new Prefixes();
        const model = new Set<string>();
        for (const { text: prefix, isAdded } of changes) {
          const isNew = model.has(prefix) !== isAdded;
          if (isAdded) prefixes.add(prefix);
          else expect(prefixes.delete(prefix)).toBe(isNew);
          if (isAdded) model.add(prefix);
          else model.delete(prefix);
        }
        const found = [...model].filter((prefix) => key.startsWith(prefix));
        expect([...prefixes]).toEqual([...model]);
        expect([...prefixes.of(key)].toSorted()).toEqual(found.toSorted());
        expect(prefixes.covers(key)).toBe(found.length > 0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the keys of a roster that have a prefix", () => {
  const keys = Array.from({ length: 3000 }, (_, at) => `user/${at % 300}/${at}`);
  it("are forgotten without a look at any other key, once the keys are in order", () => {
    const roster = rosterOf(keys);
    doAll(roster.sortInSteps());
    const asked: string[] = [];
    doAll(roster.retainInSteps("user/42/", (key) => asked.push(key) === 0));
    expect(asked.toSorted()).toEqual(keys.filter((key) => key.startsWith("user/42/")).toSorted());
    expect(roster.size.keys).toBe(2990);
    expect([...roster.keysWith("user/42/")]).toEqual([]);
    expect([...roster.keysWith("user/43/")]).toHaveLength(10);
  });

  it("are in order when keys come and go while they are put in order", () => {
    const roster = rosterOf(keys);
    const steps = roster.sortInSteps();
    steps.next();
    roster.forgetKey("user/1/1");
    roster.forgetKey("user/299/2999");
    roster.addRegistration(registrationOf(9999, "user/1/new"));
    doAll(steps);
    const wanted = [...keys, "user/1/new"].filter((key) => !["user/1/1", "user/299/2999"].includes(key));
    expect([...roster.keysWith("user/")]).toEqual(wanted.toSorted());
    expect([...roster.keysWith("user/1/")]).toEqual(
      wanted.filter((key) => key.startsWith("user/1/")).toSorted(),
    );
  });
});
