import { describe, expect, it } from "vitest";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import { doAll, Roster } from "../../src/core/roster.ts";
import { pingsOf, registrationOf } from "./histories.ts";

const session = (seq: number, slot: number, more: Partial<SessionRecord> = {}): SessionRecord => {
  return { seq, host: `h${seq}`, pid: seq, opened: 0, slot, ...more };
};
const registration = (
  seq: number,
  key: string,
  slot: number,
  more: Partial<RegistrationRecord> = {},
): RegistrationRecord => ({ ...registrationOf(1, key), session: seq, slot, ...more });

/** A roster that has heard of these, pinged in the slots from 10 to `until` by the sessions. */
function heard(registrations: readonly RegistrationRecord[], until = 10): Roster {
  const roster = new Roster();
  const seqs = [...new Set(registrations.map((one) => one.session))];
  for (const seq of seqs) roster.session(session(seq, 10));
  for (const one of registrations) roster.registration(one);
  for (let slot = 10; slot <= until; slot++) for (const record of pingsOf(slot, seqs)) roster.bits(record);
  return roster;
}

const reported = (roster: Roster): string[] => roster.changes().map(({ key, cause }) => `${key} ${cause}`);

/** test/core/roster.property.test.ts compares all else with a model. */
describe("Roster", () => {
  it("evaluates in steps: nothing is dead before the last one, and what pings meanwhile stays alive", () => {
    const keys = Array.from({ length: 1000 }, (_, index) => `key-${index}`);
    const roster = heard([
      ...keys.map((key, index) => registration(1, key, 10, { pinger: index })),
      registration(2, "a", 10),
      registration(3, "b", 10),
    ]);
    roster.changes();
    for (let slot = 11; slot <= 14; slot++) for (const record of pingsOf(slot, [3])) roster.bits(record);
    const steps = roster.evaluateInSteps(14, 1);
    let count = 0;
    for (; steps.next().done !== true; count++) {
      expect([roster.isAlive("key-999"), roster.isAlive("a")]).toEqual([true, true]);
      for (const record of pingsOf(14, [2])) roster.bits(record);
    }
    expect(count).toBeGreaterThan(3);
    expect(roster.isAlive("a")).toBe(true);
    expect(reported(roster).toSorted()).toEqual(keys.map((key) => `${key} expired`).toSorted());
  });

  it("counts the keys that are alive, however often they are held, and the sessions that hold them", () => {
    const roster = heard([
      registration(1, "a", 10),
      registration(2, "a", 10),
      registration(3, "b", 10),
      registration(3, "c", 10, { pinger: 2 }),
    ]);
    roster.session(session(4, 10));
    roster.evaluate(10, 1);
    expect(roster.censusInSteps().next().value).toEqual({ keys: 3, sessions: 3 });
    roster.registration(registration(3, "b", 10, { last: 0 }));
    roster.session(session(2, 10, { last: 0 }));
    expect(roster.censusInSteps().next().value).toEqual({ keys: 2, sessions: 2 });
  });

  it("gives its changes in parts, each key in one of them", () => {
    const roster = heard(["a", "b", "c"].map((key, index) => registration(index + 1, key, 10)));
    expect(roster.changes(2).map(({ key }) => key)).toEqual(["a", "b"]);
    expect(roster.reportedHolders("a")).toHaveLength(1);
    expect(roster.reportedHolders("c")).toEqual([]);
    expect([roster.isTouched, reported(roster), roster.isTouched]).toEqual([true, ["c joined"], false]);
  });

  it("has no change for what is passed over", () => {
    const roster = heard(["a", "b", "c"].map((key, index) => registration(index + 1, key, 10)));
    roster.changes(1);
    roster.discardChanges();
    expect([roster.isTouched, reported(roster), roster.isAlive("b")]).toEqual([false, [], true]);
    roster.registration(registration(2, "b", 10, { last: 10 }));
    roster.registration(registration(3, "c", 10, { last: 0 }));
    expect(reported(roster)).toEqual(["c killed"]);
  });
});

describe("Roster.endLoad", () => {
  it("keeps what was heard of by another way while the load went on", () => {
    const roster = heard([registration(1, "a", 10)]);
    const load = roster.beginLoad();
    roster.registration(registration(1, "b", 10, { pinger: 2 }));
    doAll(roster.endLoadInSteps(load, () => true));
    expect([...roster.keys()]).toEqual(["b"]);
  });
});

describe("Roster.retain", () => {
  it("forgets pending changes of a key that a load has just removed", () => {
    const roster = heard([registration(1, "a", 10)]);
    reported(roster);
    doAll(roster.endLoadInSteps(roster.beginLoad(), () => true));
    doAll(roster.retainInSteps("", () => false));
    expect(reported(roster)).toEqual([]);
  });
});

describe("Roster.forget", () => {
  it("keeps the dead until the retention is over, so that a late record does not bring them back", () => {
    const roster = heard([registration(1, "a", 10, { changed: 1000 })], 40);
    reported(roster);
    roster.registration(registration(1, "a", 10, { last: 0, changed: 2000 }));
    expect(reported(roster)).toEqual(["a killed"]);
    doAll(roster.forgetInSteps(30, 1500));
    roster.registration(registration(1, "a", 10, { changed: 1000 }));
    expect([reported(roster), roster.isAlive("a")]).toEqual([[], false]);
    doAll(roster.forgetInSteps(30, 2500));
    expect(roster.size.keys).toBe(0);
  });

  it("keeps those that ended with their session as long as those that ended by themselves", () => {
    const roster = heard([registration(1, "a", 10, { changed: 1000 })], 40);
    reported(roster);
    roster.session(session(1, 10, { last: 0, changed: 2000 }));
    expect(reported(roster)).toEqual(["a killed"]);
    doAll(roster.forgetInSteps(30, 1500));
    expect([...roster.keys()]).toEqual(["a"]);
    doAll(roster.forgetInSteps(30, 2500));
    expect([...roster.keys()]).toEqual([]);
  });

  it("keeps pending changes", () => {
    const roster = heard([registration(1, "a", 10, { last: 0, changed: 1000 })]);
    doAll(roster.forgetInSteps(30, 5000));
    expect(roster.size.keys).toBe(1);
    reported(roster);
    doAll(roster.forgetInSteps(30, 5000));
    expect(roster.size.keys).toBe(0);
  });

  it("keeps a planned absence until it is over", () => {
    const roster = heard([registration(1, "a", 10, { last: 35, changed: 1000 })]);
    reported(roster);
    doAll(roster.forgetInSteps(30, 5000));
    expect(roster.isAlive("a")).toBe(true);
    doAll(roster.forgetInSteps(36, 5000));
    expect(roster.size).toEqual({ keys: 0, sessions: 0 });
  });
});
