import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type RegistrationRecord,
  mergeRegistrations,
  mergeSessions,
  type SessionRecord,
} from "../../src/core/records.ts";

const last = fc.oneof(fc.constant(undefined), fc.constant(0), fc.integer({ min: 1, max: 9 }));
const slot = fc.integer({ min: 1, max: 9 });
const changed = fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined });

/** Versions of one session, as they may be heard. */
const version = fc.record({ slot, last, changed });
const aSession = version.map(
  (one) => known({ seq: 1, host: "h", pid: 1, opened: 0, ...one }) as SessionRecord,
);
/** Versions of one registration: what its meta is follows from its revision. */
const registration = { session: 1, pinger: 1, start: 1, key: "k", since: 5 };
const aRegistration = fc
  .tuple(version, fc.integer({ min: 0, max: 3 }))
  .map(
    ([one, revision]) =>
      known({ ...registration, meta: `${revision}`, revision, ...one }) as RegistrationRecord,
  );

/** Without the members that are undefined. */
function known(record: object): unknown {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

function laws<T extends SessionRecord | RegistrationRecord>(
  merge: (a: T, b: T) => T,
  arbitrary: fc.Arbitrary<T>,
): void {
  it("gives the same in any order, however often each is heard, and leaves what it is given as it is", () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, arbitrary, (a, b, c) => {
        const before = structuredClone([a, b]);
        const merged = merge(a, b);
        expect([a, b]).toEqual(before);
        expect(merge(b, a)).toEqual(merged);
        expect(merge(a, merge(b, c))).toEqual(merge(merged, c));
        expect([merge(a, a), merge(merged, b)]).toEqual([a, merged]);
      }),
    );
  });

  it("moves forward only: the later slot, the earlier last, the later stamp", () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (a, b) => {
        const merged = merge(a, b);
        expect(merged.slot).toBe(Math.max(a.slot, b.slot));
        const lasts = [a.last, b.last].filter((one) => one !== undefined);
        expect(merged.last).toBe(lasts.length === 0 ? undefined : Math.min(...lasts));
        const stamps = [a.changed, b.changed].filter((one) => one !== undefined);
        expect(merged.changed).toBe(stamps.length === 0 ? undefined : Math.max(...stamps));
      }),
    );
  });
}

describe("merging two versions of a session", () => laws(mergeSessions, aSession));
describe("merging two versions of a registration", () => {
  laws(mergeRegistrations, aRegistration);

  it("takes the meta of the newer revision", () => {
    fc.assert(
      fc.property(aRegistration, aRegistration, (a, b) => {
        const { meta, revision } = mergeRegistrations(a, b);
        const newer = Math.max(a.revision, b.revision);
        expect([meta, revision]).toEqual([`${newer}`, newer]);
      }),
    );
  });
});
