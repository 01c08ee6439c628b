import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  candidatesInSteps,
  compare,
  compareAll,
  type Declared,
  writtenInSteps,
} from "../../src/core/reconcile.ts";
import { KILLED, type RegistrationRecord } from "../../src/core/records.ts";

const SLOT = 100;
const DECLARED: Declared = { key: "k", pinger: 1, start: 3, firstStart: 3, revision: 5, isWritten: true };
const STORED: RegistrationRecord = {
  session: 7,
  pinger: 1,
  start: 3,
  key: "k",
  since: 0,
  slot: 90,
  meta: "null",
  revision: 5,
};

function difference(own: Partial<Declared>, stored: readonly Partial<RegistrationRecord>[]): object {
  const declared = new Map([[1, { ...DECLARED, ...own }]]);
  const records = stored.map((record) => ({ ...STORED, ...record }));
  const written = resultOf(writtenInSteps(declared));
  const found = compareAll(declared, resultOf(candidatesInSteps(declared, records, written, SLOT)), SLOT);
  return Object.fromEntries(Object.entries(found).filter(([, some]) => some.length > 0));
}

function resultOf<T>(steps: Iterator<void, T>, paused = (): unknown => undefined): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    paused();
  }
}

function end(start: number, last: number): object {
  return { ends: [{ id: expect.objectContaining({ start }), last }] };
}

describe("what is declared, compared with what is stored", () => {
  const one = [expect.objectContaining({ pinger: 1 })];
  it.each([
    ["held, and stored as it is", {}, [{}], {}],
    ["held, and ended by another", {}, [{ last: 95 }], { killed: one }],
    ["held, with an older meta", {}, [{ revision: 4 }], { outdated: one }],
    ["held, with an older meta, while it is being written", { isWritten: false }, [{ revision: 4 }], {}],
    ["held, and not stored", {}, [], { missing: one }],
    [
      "held, and stored with another key, twice in the read",
      {},
      [{ key: "o" }, { key: "o", last: 96 }],
      { missing: one, ...end(3, SLOT) },
    ],
    ["held, with an earlier start that is open", {}, [{}, { start: 2 }], end(2, SLOT)],
    ["released, and stored as open", { last: 98 }, [{}], end(3, 98)],
    ["released, and stored as ended later", { last: 98 }, [{ last: 120 }], end(3, 98)],
    ["released, and stored as ended before", { last: 98 }, [{ last: 95 }], {}],
    ["released, and killed by another", { last: 98 }, [{ last: KILLED }], { killed: one }],
    ["killed, and stored as killed", { last: KILLED }, [{ last: KILLED }], {}],
  ])("%s", (_, own, stored, expected) => {
    expect(difference(own, stored)).toEqual(expected);
  });
});

it("many are compared in steps of a few hundred, and in the end only what may differ", () => {
  const many = Array.from({ length: 3000 }, (_, pinger) => pinger);
  const declared = new Map(many.map((pinger) => [pinger, { ...DECLARED, pinger }]));
  const stored = many.slice(1).map((pinger) => ({ ...STORED, pinger, revision: pinger === 7 ? 4 : 5 }));
  const steps = { written: 0, candidates: 0 };
  const written = resultOf(writtenInSteps(declared), () => steps.written++);
  const candidates = resultOf(candidatesInSteps(declared, stored, written, SLOT), () => steps.candidates++);
  expect(steps).toEqual({ written: 15, candidates: 29 });
  expect(candidates).toEqual({ differing: [stored[6]], missing: [declared.get(0)] });
  const found = compareAll(declared, candidates, SLOT);
  expect(found).toMatchObject({ outdated: [{ pinger: 7 }], missing: [{ pinger: 0 }] });
  declared.delete(0); // by the time that it counts, it is not held any more
  expect(compareAll(declared, candidates, SLOT).missing).toEqual([]);
});

it("what is compared in steps is the same as at once, also when writes under way have ended meanwhile", () => {
  const few = fc.integer({ min: 1, max: 4 });
  const last = fc.constantFrom(undefined, KILLED, SLOT - 5, SLOT + 20);
  const key = fc.constantFrom("k", "o");
  const own = fc.record({
    key,
    pinger: few,
    start: few,
    firstStart: few,
    revision: few,
    last,
    isWritten: fc.boolean(),
  });
  const record = fc.record({ key, pinger: few, start: few, revision: few, last });
  fc.assert(
    fc.property(fc.array(own), fc.array(record), (owns, stored) => {
      const declared = new Map(owns.map((one) => [one.pinger, one as Declared]));
      const records = stored.map((one) => ({ ...STORED, ...one }));
      const written = resultOf(writtenInSteps(declared));
      const candidates = resultOf(candidatesInSteps(declared, records, written, SLOT));
      for (const [pinger, one] of declared) {
        if (!written.includes(one)) declared.set(pinger, { ...one, isWritten: true });
      }
      const { missing, ...found } = compareAll(declared, candidates, SLOT);
      const { missing: replaced, ...atOnce } = compare(declared, records, SLOT);
      expect(found).toEqual(atOnce);
      const isThere = (one: Declared): boolean =>
        records.some(({ pinger, start }) => pinger === one.pinger && start === one.start);
      const lost = written.filter((one) => !isThere(one) && !found.killed.includes(one));
      expect(missing).toEqual([...replaced, ...lost]);
    }),
    { numRuns: 2000 },
  );
});
