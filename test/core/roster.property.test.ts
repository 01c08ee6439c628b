/** The roster against a naive model of it, over random histories. A failing run prints its seed. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Roster, type RosterChange } from "../../src/core/roster.ts";
import { doAll } from "../../src/core/steps.ts";
import { history, KEYS, pingsOf, type Step } from "./histories.ts";
import { Model, type ModelChange } from "./model.ts";

/** Feeds both the same, step by step; `check` is called after each. */
function feed(steps: readonly Step[], check?: (roster: Roster, model: Model) => void): Roster {
  const [roster, model, fed] = [new Roster(), new Model(), [] as Step[]];
  for (const step of steps) {
    take(step, roster, model, fed);
    check?.(roster, model);
  }
  return roster;
}

function take(step: Step, roster: Roster, model: Model, fed: Step[]): void {
  if (step.do === "session" || step.do === "registration" || step.do === "bits") {
    feedOne(step, roster, model);
    fed.push(step);
  } else if (step.do === "evaluate") {
    roster.evaluate(step.j, step.oldest);
    model.evaluate(step.j, step.oldest);
  } else if (step.do === "retain") {
    doAll(roster.retainInSteps("", (key) => step.keys.includes(key)));
    model.drop((key) => step.keys.includes(key));
  } else if (step.do === "load") {
    const load = roster.beginLoad();
    expect(model.beginLoad()).toBe(load);
    fed.forEach((one, index) => {
      if (step.keep[index % step.keep.length] === true) feedOne(one, roster, model);
    });
    const isSelected = (key: string): boolean => step.keep[0] === true || key !== "a";
    doAll(roster.endLoadInSteps(load, isSelected));
    model.endLoad(load, isSelected);
  } else {
    expectSame(roster.changes(), model.changes(KEYS));
  }
}

function feedOne(step: Step, roster: Roster, model: Model): void {
  if (step.do === "session") {
    roster.addSession(step.session);
    model.session(step.session);
  } else if (step.do === "registration") {
    roster.addRegistration(step.registration);
    model.registration(step.registration);
  } else if (step.do === "bits") {
    roster.addPings(pingsOf(step.slot, step.seqs));
    model.bits(step.slot, step.seqs);
  }
}

const inOrder = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);

/** Whether both report the same changes, one for each key. */
function expectSame(changes: readonly RosterChange[], expected: readonly ModelChange[]): void {
  const actual = changes.toSorted(inOrder);
  const known = expected.toSorted(inOrder).map((change, index) => {
    if (change.cause !== "gone") return change;
    expect(["killed", "stopped", "expired"]).toContain(actual[index]?.cause);
    return { ...change, cause: actual[index]?.cause };
  });
  expect(actual).toEqual(known);
}

describe("the roster and the model", () => {
  it("agree, after every step of any history, on live keys, their holders and the changes", () => {
    fc.assert(
      fc.property(history, (steps) => {
        feed(steps, (roster, model) => {
          expect(roster.g).toBe(model.g);
          for (const key of KEYS) {
            expect(roster.holders(key)).toEqual(model.holders(key));
            expect(roster.isAlive(key)).toBe(model.holders(key).length > 0);
          }
        });
      }),
      { numRuns: 250 },
    );
  });
});

/** What of a history are facts: these may come in any order, twice or late. */
function factsOf(steps: readonly Step[]): Step[] {
  return steps.filter((step) => step.do === "session" || step.do === "registration" || step.do === "bits");
}

describe("the order in which the roster hears", () => {
  it("does not matter, nor that it hears twice, as long as it hears of a session before its registrations", () => {
    const mixedHistory = history.chain((steps) => {
      const facts = factsOf(steps);
      const [twice, length] = [[...facts, ...facts], 2 * facts.length];
      return fc.shuffledSubarray(twice, { minLength: length }).map((mixed) => ({ facts, mixed }));
    });
    fc.assert(
      fc.property(mixedHistory, ({ facts, mixed }) => {
        const sessions = facts.filter((step) => step.do === "session");
        const feedAll = (steps: readonly Step[]): unknown => {
          const roster = feed([...sessions, ...steps, { do: "evaluate", j: 20, oldest: 8 }]);
          return KEYS.map((key) => {
            const registrations = [...roster.registrations(key)];
            const lives = registrations.map(
              ({ registration: { session, pinger, start }, lastPing: last, alive }) =>
                [session, pinger, start, last, alive].join(),
            );
            return [roster.holders(key), new Set(lives)];
          });
        };
        expect(feedAll(mixed)).toEqual(feedAll(facts));
      }),
      { numRuns: 200 },
    );
  });
});

describe("forget", () => {
  it("never changes which keys are alive, reports nothing, and leaves nothing that died long ago", () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 30 }), (steps, j) => {
        const roster = feed(factsOf(steps));
        roster.evaluate(j, Math.max(1, j - 12));
        roster.changes();
        const before = KEYS.map((key) => roster.holders(key));
        doAll(roster.forgetInSteps(Math.min(roster.g, j - 3), Infinity));
        expect(KEYS.map((key) => roster.holders(key))).toEqual(before);
        expect(roster.changes()).toEqual([]);

        roster.evaluate(200, 188);
        roster.changes();
        doAll(roster.forgetInSteps(188, Infinity));
        expect(roster.size).toEqual({ keys: 0, sessions: 0 });
      }),
      { numRuns: 200 },
    );
  });
});
