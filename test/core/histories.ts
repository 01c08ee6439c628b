/** Random histories: what a roster may be fed, in an order in which stores may report it. */
import * as fc from "fast-check";
import { bitOf, type PingRecord, SEGMENT_WORDS } from "../../src/core/bits.ts";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import { Roster } from "../../src/core/roster.ts";

export const KEYS = ["a", "b", "ab"];

/** The pings of the sessions in the slot, as a store tells them. */
export function pingsOf(slot: number, seqs: readonly number[]): PingRecord[] {
  const records = new Map<number, PingRecord>();
  for (const seq of seqs) {
    const { segment, word, mask } = bitOf(seq);
    const record = records.get(segment) ?? {
      slot,
      segment,
      words: new Int32Array(SEGMENT_WORDS),
      ms: 1,
      revision: 1,
    };
    record.words[word] = (record.words[word] ?? 0) | mask;
    records.set(segment, record);
  }
  return [...records.values()];
}

/** A registration of session 1 that is open. */
export function registrationOf(pinger: number, key: string): RegistrationRecord {
  return { session: 1, pinger, start: 1, key, since: 0, slot: 10, meta: "null", revision: 0 };
}

/** A roster in which one session holds each key. */
export function rosterOf(keys: readonly string[]): Roster {
  const roster = new Roster();
  roster.addSession({ seq: 1, host: "h", pid: 1, opened: 0, slot: 10 });
  for (const [pinger, key] of keys.entries()) roster.addRegistration(registrationOf(pinger, key));
  return roster;
}

export type Step =
  | { readonly do: "session"; readonly session: SessionRecord }
  | { readonly do: "registration"; readonly registration: RegistrationRecord }
  | { readonly do: "bits"; readonly slot: number; readonly seqs: readonly number[] }
  | { readonly do: "evaluate"; readonly j: number; readonly oldest: number }
  /** A load: the n-th earlier step is fed again if `keep[n % 5]`; what is not fed again is gone. */
  | { readonly do: "load"; readonly keep: readonly boolean[] }
  | { readonly do: "retain"; readonly keys: readonly string[] }
  | { readonly do: "changes" };

/** A step yet without its slots: it gets them by when it comes. */
type Draft = (now: number) => Step;

/** A slot of about now. */
const nearby = fc.integer({ min: -4, max: 1 });

/** Absent, killed, or until so many slots from now. */
const aLast = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant("killed" as const) },
  { weight: 3, arbitrary: fc.integer({ min: -3, max: 6 }) },
);

const aSeq = fc.constantFrom(1, 2, 31, 1024);

const slotAt = (now: number, ahead: number): number => Math.max(1, now + ahead);

function lastAt(now: number, last: number | "killed" | undefined): { last?: number } {
  if (last === undefined) return {};
  return { last: last === "killed" ? 0 : slotAt(now, last) };
}

const sessionStep = fc
  .record({ seq: aSeq, ahead: nearby, last: aLast })
  .map(({ seq, ahead, last }): Draft => (now) => ({
    do: "session",
    session: { seq, host: `h${seq}`, pid: seq, opened: 0, slot: slotAt(now, ahead), ...lastAt(now, last) },
  }));

const registrationStep = fc
  .record({
    session: aSeq,
    pinger: fc.integer({ min: 1, max: 2 }),
    start: fc.integer({ min: 1, max: 3 }),
    revision: fc.integer({ min: 0, max: 2 }),
    ahead: nearby,
    last: aLast,
  })
  .map(({ ahead, last, ...registration }): Draft => (now) => ({
    do: "registration",
    registration: {
      ...registration,
      slot: slotAt(now, ahead),
      // What never changes in a registration follows from its name; a later start may hold another key.
      key:
        KEYS[
          (registration.session + registration.pinger + Math.floor(registration.start / 3)) % KEYS.length
        ] ?? "",
      since: (registration.session * 7 + registration.start * 3) % 10,
      meta: `${registration.revision}`,
      ...lastAt(now, last),
    },
  }));

const bitsStep = fc
  .record({ ahead: nearby, seqs: fc.subarray([1, 2, 31, 1024]) })
  .map(({ ahead, seqs }): Draft => (now) => ({ do: "bits", slot: slotAt(now, ahead), seqs }));

const evaluateStep = fc.constant<Draft>((now) => ({ do: "evaluate", j: now, oldest: slotAt(now, -12) }));
const loadStep = fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }).map((keep): Draft => () => ({
  do: "load",
  keep,
}));
const retainStep = fc.subarray(KEYS).map((keys): Draft => () => ({ do: "retain", keys }));
const changesStep = fc.constant<Draft>(() => ({ do: "changes" }));

const aStep: fc.Arbitrary<Draft> = fc.oneof(
  { weight: 3, arbitrary: sessionStep },
  { weight: 5, arbitrary: registrationStep },
  { weight: 6, arbitrary: bitsStep },
  { weight: 4, arbitrary: evaluateStep },
  { weight: 1, arbitrary: loadStep },
  { weight: 1, arbitrary: retainStep },
  { weight: 3, arbitrary: changesStep },
);

/** So many slots pass: one by one, or several in which nothing happens, as in an outage. */
const ticks = fc.oneof(
  { weight: 5, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: 2, max: 7 }) },
);

export const history: fc.Arbitrary<Step[]> = fc
  .array(fc.oneof({ weight: 3, arbitrary: aStep }, { weight: 1, arbitrary: ticks }), {
    maxLength: 100,
    size: "max",
  })
  .map((drafts) => {
    let now = 5;
    return drafts.flatMap((draft) => {
      if (typeof draft === "function") return draft(now);
      now += draft;
      return [];
    });
  });
