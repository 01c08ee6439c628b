import { describe, expect, it } from "vitest";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import { doAll, Roster } from "../../src/core/roster.ts";
import { pingsOf } from "./histories.ts";

const session = (seq: number, slot: number, more: Partial<SessionRecord> = {}): SessionRecord => ({
  seq,
  host: `h${seq}`,
  pid: seq,
  opened: 0,
  slot,
  ...more,
});
const registration = (
  seq: number,
  key: string,
  slot: number,
  more: Partial<RegistrationRecord> = {},
): RegistrationRecord => ({
  session: seq,
  pinger: 1,
  start: 1,
  key,
  since: 0,
  slot,
  meta: "{}",
  revision: 0,
  ...more,
});

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

  it("reports a crash when g has passed the last ping, and not before", () => {
    const roster = heard([registration(1, "a", 10), registration(2, "b", 10)], 12);
    expect(reported(roster)).toEqual(["a joined", "b joined"]);
    for (let slot = 13; slot <= 16; slot++) for (const record of pingsOf(slot, [1])) roster.bits(record);
    roster.evaluate(13, 1);
    expect([roster.g, reported(roster)]).toEqual([12, []]);
    roster.evaluate(14, 1);
    expect([roster.g, reported(roster)]).toEqual([13, ["b expired"]]);
    expect([roster.isAlive("a"), roster.isAlive("b")]).toEqual([true, false]);
  });

  it("passes over a registration whose session it has never heard of", () => {
    const roster = new Roster();
    roster.registration(registration(1, "a", 10));
    roster.session(session(1, 10));
    expect([roster.isAlive("a"), reported(roster), roster.size]).toEqual([
      false,
      [],
      { keys: 0, sessions: 1 },
    ]);
  });

  it("never moves g back", () => {
    const roster = heard([registration(1, "a", 10)], 20);
    roster.evaluate(20, 1);
    expect(roster.g).toBe(19);
    roster.evaluate(15, 1);
    expect(roster.g).toBe(19);
  });

  it("names why a key died by its holders: killed before stopped before expired", () => {
    const [stopped, killed, closed] = [
      registration(1, "a", 10),
      registration(2, "b", 10),
      registration(3, "c", 10),
    ];
    const roster = heard([stopped, killed, closed], 10);
    reported(roster);
    roster.registration({ ...stopped, last: 10 });
    roster.registration({ ...killed, last: 0 });
    roster.session(session(3, 10, { last: 0 }));
    expect(reported(roster)).toEqual(["b killed", "c killed"]);
    for (let slot = 10; slot <= 20; slot++) for (const record of pingsOf(slot, [9])) roster.bits(record);
    roster.evaluate(20, 1);
    expect(reported(roster)).toEqual(["a stopped"]);
  });

  it("reports nothing for a key that died and came back between two calls", () => {
    const roster = heard([registration(1, "a", 10)]);
    reported(roster);
    roster.registration(registration(1, "a", 10, { last: 0 }));
    roster.registration(registration(1, "a", 10, { start: 2 }));
    expect(reported(roster)).toEqual([]);
  });

  it("reports an update of the meta, and of the holders, while the key stays alive", () => {
    const roster = heard([registration(1, "a", 10)]);
    reported(roster);
    roster.registration(registration(1, "a", 10, { meta: "1", revision: 1 }));
    expect(reported(roster)).toEqual(["a updated"]);
    roster.session(session(2, 10));
    roster.registration(registration(2, "a", 10));
    expect(reported(roster)).toEqual(["a updated"]);
    roster.registration(registration(1, "a", 10, { last: 0 }));
    expect(reported(roster)).toEqual(["a updated"]);
    expect(roster.holders("a").map((holder) => holder.session)).toEqual([2]);
  });

  it("does not let a late record of an earlier start touch the later one", () => {
    const roster = heard([registration(1, "a", 10, { start: 2 })]);
    reported(roster);
    roster.registration(registration(1, "a", 12, { start: 1, last: 0, meta: "late" }));
    expect(reported(roster)).toEqual([]);
    expect(roster.holders("a")).toHaveLength(1);
  });
});

describe("Roster.endLoad", () => {
  it("removes what was not read again, and reports it; what is not selected stays", () => {
    const roster = heard([registration(1, "a", 10), registration(2, "b", 10), registration(3, "c", 10)]);
    reported(roster);
    const load = roster.beginLoad();
    roster.registration(registration(1, "a", 10));
    doAll(roster.endLoadInSteps(load, (key) => key !== "c"));
    expect(reported(roster)).toEqual(["b expired"]);
    expect(["a", "b", "c"].map((key) => roster.isAlive(key))).toEqual([true, false, true]);
  });

  it("keeps what was heard of by another way while the load went on", () => {
    const roster = heard([registration(1, "a", 10)]);
    const load = roster.beginLoad();
    roster.registration(registration(1, "b", 10, { pinger: 2 }));
    doAll(roster.endLoadInSteps(load, () => true));
    expect([...roster.keys()]).toEqual(["b"]);
  });
});

describe("Roster.retain", () => {
  it("forgets the keys that are not selected without a word; heard of again, they join", () => {
    const roster = heard([registration(1, "a", 10), registration(2, "b", 10)]);
    reported(roster);
    doAll(roster.retainInSteps("", (key) => key === "a"));
    expect([reported(roster), roster.isAlive("b")]).toEqual([[], false]);
    roster.registration(registration(2, "b", 10));
    expect(reported(roster)).toEqual(["b joined"]);
  });

  it("also forgets pending changes", () => {
    const roster = heard([registration(1, "a", 10)]);
    doAll(roster.retainInSteps("", () => false));
    expect(reported(roster)).toEqual([]);
  });

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
