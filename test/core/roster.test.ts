import { describe, expect, it } from "vitest";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import { Roster } from "../../src/core/roster.ts";
import { doAll } from "../../src/core/steps.ts";
import { pingsOf, registrationOf } from "./histories.ts";

const keys = Array.from({ length: 1000 }, (_, index) => `key-${index}`);

const session = (seq: number, more: Partial<SessionRecord> = {}): SessionRecord => {
  return { seq, host: `h${seq}`, pid: seq, opened: 0, slot: 10, ...more };
};
const registration = (
  seq: number,
  key: string,
  more: Partial<RegistrationRecord> = {},
): RegistrationRecord => {
  return { ...registrationOf(1, key), session: seq, ...more };
};

/** In the slots from `from` to `until` these sessions ping. */
function ping(roster: Roster, from: number, until: number, ...seqs: number[]): void {
  for (let slot = from; slot <= until; slot++) roster.addPings(pingsOf(slot, seqs));
}

/** A roster that has heard of these, pinged in the slots from 10 to `until` by the sessions. */
function heard(registrations: readonly RegistrationRecord[], until = 10): Roster {
  const roster = new Roster();
  const seqs = [...new Set(registrations.map((one) => one.session))];
  for (const seq of seqs) roster.addSession(session(seq));
  for (const one of registrations) roster.addRegistration(one);
  ping(roster, 10, until, ...seqs);
  return roster;
}

/** Three sessions hold a key each. */
const abc = (): Roster => heard(["a", "b", "c"].map((key, index) => registration(index + 1, key)));

const reported = (roster: Roster): string[] => roster.changes().map(({ key, cause }) => `${key} ${cause}`);

/** All else is compared with a model: roster.property.test.ts. */
describe("Roster", () => {
  it("ends a session in steps: what comes between two of them counts as well", () => {
    const roster = heard([
      ...keys.map((key, pinger) => registration(1, key, { pinger })),
      registration(1, "absent", { pinger: 1000, last: 30 }),
    ]);
    roster.changes();
    const steps = roster.addSessionInSteps(session(1, { last: 12 }));
    for (let step = 0; step < 3; step++) expect(steps.next().done).toBe(false);
    expect(roster.isAlive("key-1")).toBe(true);
    roster.addSession(session(1, { last: 0 })); // it is killed meanwhile
    roster.addRegistration(registration(1, "late", { pinger: 1001 }));
    doAll(steps);
    const told = reported(roster);
    expect(told).toHaveLength(1000);
    expect(new Set(told.map((line) => line.split(" ")[1]))).toEqual(new Set(["killed"]));
    expect([roster.isAlive("late"), roster.isAlive("absent")]).toEqual([false, true]);
  });

  it("brings sessions back in steps: what comes between two of them counts as well", () => {
    const roster = heard(keys.map((key, pinger) => registration(1, key, { pinger })));
    roster.changes();
    ping(roster, 11, 20, 2);
    roster.evaluate(20, 1);
    expect(reported(roster)).toHaveLength(1000);
    const steps = roster.addPingsInSteps(pingsOf(20, [1]));
    for (let step = 0; step < 3; step++) expect(steps.next().done).toBe(false);
    expect(keys.some((key) => roster.isAlive(key))).toBe(false);
    roster.addRegistration(registration(1, "late", { pinger: 1001 }));
    roster.addRegistration(registration(1, "key-0", { pinger: 0, start: 2, last: 0 })); // killed meanwhile
    doAll(steps);
    const told = reported(roster);
    expect(told).toHaveLength(1000);
    expect(new Set(told.map((line) => line.split(" ")[1]))).toEqual(new Set(["joined"]));
    expect([roster.isAlive("late"), roster.isAlive("key-0")]).toEqual([true, false]);
  });

  it("forgets a session that pings again after it may have been pruned, until its process writes its keys again", () => {
    const roster = heard([
      registration(1, "a"),
      registration(1, "absent", { pinger: 2, last: 25 }),
      registration(2, "b"),
    ]);
    roster.changes();
    ping(roster, 11, 24, 2);
    roster.evaluate(24, 1);
    expect(reported(roster)).toContain("a expired");
    doAll(roster.addPingsInSteps(pingsOf(24, [1]), 11));
    expect([roster.isAlive("a"), roster.isAlive("absent"), roster.isAlive("b")]).toEqual([false, true, true]);
    roster.addRegistration(registration(1, "a", { slot: 24 }));
    expect(reported(roster)).toEqual(["a joined"]);
  });

  it("brings a session back that cannot have been pruned yet", () => {
    const roster = heard([registration(1, "a"), registration(2, "b")]);
    roster.changes();
    ping(roster, 11, 20, 2);
    roster.evaluate(20, 1);
    doAll(roster.addPingsInSteps(pingsOf(20, [1]), 10));
    expect(reported(roster)).toEqual([]); // between two reports it was dead and is alive
    expect(roster.isAlive("a")).toBe(true);
  });

  it("evaluates in steps: nothing is dead before the last one, and what pings meanwhile stays alive", () => {
    const roster = heard([
      ...keys.map((key, index) => registration(1, key, { pinger: index })),
      registration(2, "a"),
      registration(3, "b"),
    ]);
    roster.changes();
    ping(roster, 11, 14, 3);
    const steps = roster.evaluateInSteps(14, 1);
    let count = 0;
    for (; steps.next().done !== true; count++) {
      expect([roster.isAlive("key-999"), roster.isAlive("a")]).toEqual([true, true]);
      ping(roster, 14, 14, 2);
    }
    expect(count).toBeGreaterThan(3);
    expect(roster.isAlive("a")).toBe(true);
    expect(reported(roster).toSorted()).toEqual(keys.map((key) => `${key} expired`).toSorted());
  });

  it("evaluates absences and new keys in steps: none is dead before the last one", () => {
    const roster = heard([registration(1, "a")], 15);
    for (const [seq, lease] of [{ last: 12 }, { slot: 12 }, { slot: 12 }].entries()) {
      roster.addSession(session(seq + 2));
      for (let pinger = 1; pinger <= 1000; pinger++)
        roster.addRegistration(registration(seq + 2, `key-${seq}-${pinger}`, { pinger, ...lease }));
    }
    roster.evaluate(13, 1);
    expect(reported(roster)).toHaveLength(3001);
    ping(roster, 13, 13, 4); // the third of them shares the bits of its session from now on
    expect(roster.wouldFindDeath(14, 1)).toBe(true);
    const steps = roster.evaluateInSteps(14, 1);
    let count = 0;
    for (; steps.next().done !== true; count++)
      expect([0, 1, 2].map((lease) => roster.isAlive(`key-${lease}-1`))).toEqual([true, true, true]);
    expect(count).toBeGreaterThanOrEqual(10);
    const told = reported(roster).map((line) => line.replace(/-\d+ /, " "));
    expect(told.toSorted()).toEqual([
      ...Array<string>(1000).fill("key-0 stopped"),
      ...Array<string>(1000).fill("key-1 expired"),
    ]);
    expect(roster.wouldFindDeath(14, 1)).toBe(false);
    roster.evaluate(15, 1);
    expect(reported(roster)).toHaveLength(1000);
  });

  it("tells when a key with very many holders pinged last", () => {
    const roster = heard([registration(1, "a")]);
    for (let pinger = 2; pinger < 150_000; pinger++) roster.addRegistration(registration(1, "a", { pinger }));
    expect(roster.lastPingOf("a")).toBe(10);
  });

  it("counts the keys that are alive, however often they are held, and the sessions that hold them", () => {
    const roster = heard([
      registration(1, "a"),
      registration(2, "a"),
      registration(3, "b"),
      registration(3, "c", { pinger: 2 }),
    ]);
    roster.addSession(session(4));
    roster.evaluate(10, 1);
    expect(roster.censusInSteps().next().value).toEqual({ keys: 3, sessions: 3 });
    roster.addRegistration(registration(3, "b", { last: 0 }));
    roster.addSession(session(2, { last: 0 }));
    expect(roster.censusInSteps().next().value).toEqual({ keys: 2, sessions: 2 });
  });

  it("gives its changes in parts, each key in one of them", () => {
    const roster = abc();
    expect(roster.changes(2).map(({ key }) => key)).toEqual(["a", "b"]);
    expect(roster.reportedHolders("a")).toHaveLength(1);
    expect(roster.reportedHolders("c")).toEqual([]);
    expect([roster.isTouched, reported(roster), roster.isTouched]).toEqual([true, ["c joined"], false]);
  });

  it("has no change for what is passed over", () => {
    const roster = abc();
    roster.changes(1);
    roster.discardChanges();
    expect([roster.isTouched, reported(roster), roster.isAlive("b")]).toEqual([false, [], true]);
    roster.addRegistration(registration(2, "b", { last: 10 }));
    roster.addRegistration(registration(3, "c", { last: 0 }));
    expect(reported(roster)).toEqual(["c killed"]);
  });
});

describe("Roster.forget", () => {
  it("keeps the dead until the retention is over, so that a late record does not bring them back", () => {
    const roster = heard([registration(1, "a", { changed: 1000 })], 40);
    reported(roster);
    roster.addRegistration(registration(1, "a", { last: 0, changed: 2000 }));
    expect(reported(roster)).toEqual(["a killed"]);
    doAll(roster.forgetInSteps(30, 1500));
    roster.addRegistration(registration(1, "a", { changed: 1000 }));
    expect([reported(roster), roster.isAlive("a")]).toEqual([[], false]);
    doAll(roster.forgetInSteps(30, 2500));
    expect(roster.size.keys).toBe(0);
  });

  it("keeps those that ended with their session as long as those that ended by themselves", () => {
    const roster = heard([registration(1, "a", { changed: 1000 })], 40);
    reported(roster);
    roster.addSession(session(1, { last: 0, changed: 2000 }));
    expect(reported(roster)).toEqual(["a killed"]);
    doAll(roster.forgetInSteps(30, 1500));
    expect([...roster.keys()]).toEqual(["a"]);
    doAll(roster.forgetInSteps(30, 2500));
    expect([...roster.keys()]).toEqual([]);
  });

  it("keeps pending changes", () => {
    const roster = heard([registration(1, "a", { last: 0, changed: 1000 })]);
    doAll(roster.forgetInSteps(30, 5000));
    expect(roster.size.keys).toBe(1);
    reported(roster);
    doAll(roster.forgetInSteps(30, 5000));
    expect(roster.size.keys).toBe(0);
  });
});
