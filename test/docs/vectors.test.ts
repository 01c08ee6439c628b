/** The vectors that other languages check themselves against, against this library. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  isAliveAt,
  evaluationSlot,
  lastPing,
  latestComplete,
  mayReportDeaths,
} from "../../src/core/alive.ts";
import { bitOf } from "../../src/core/bits.ts";
import {
  type RegistrationRecord,
  mergeRegistrations,
  mergeSessions,
  type SessionRecord,
} from "../../src/core/records.ts";
import { Roster } from "../../src/core/roster.ts";
import { prefixEnd } from "../../src/core/selection.ts";
import { positionAt, slotAt } from "../../src/core/slots.ts";
import { FORMAT_VERSION } from "../../src/core/records.ts";
import {
  OPEN,
  PING_FIELDS,
  pingId,
  registrationId,
  toConfig,
  toPing,
  toRegistration,
  toSession,
} from "../../src/stores/mongo/documents.ts";

type Slot = number | null;
/** A document, its dates as strings. */
type Stored = Readonly<Record<string, unknown>>;

interface Vectors {
  version: number;
  open: number;
  slots: { periodMs: number; offset: number; ms: number; slot: number; evaluation: number }[];
  bits: { seq: number; segment: number; word: number; mask: number }[];
  ids: {
    session?: number;
    registration?: { session: number; pinger: number; start: number };
    ping?: { slot: number; segment: number };
    id: string | number;
  }[];
  prefixEnds: { prefix: string; end: string | null }[];
  mergedSessions: { a: SessionRecord; b: SessionRecord; merged: SessionRecord }[];
  mergedRegistrations: { a: RegistrationRecord; b: RegistrationRecord; merged: RegistrationRecord }[];
  complete: { evaluation: number; oldest: number; pinged: number[]; g: number }[];
  alive: {
    registration: { slot: number; last: Slot };
    session: { slot: number; last: Slot; bit: Slot };
    g: number;
    lastPing: number;
    alive: boolean;
  }[];
  deaths: { evaluation: number; suspicion: number | null; mayReport: boolean }[];
  namespaces: { config: Stored; records: Stored[]; pings: Stored[]; ms: number; alive: string[] }[];
}

const path = join(process.cwd(), "docs/format-vectors.json");
const vectors = JSON.parse(readFileSync(path, "utf8")) as Vectors;

describe("the vectors of the stored format hold for this library", () => {
  it("they are of its version", () => {
    expect([vectors.version, vectors.open]).toEqual([FORMAT_VERSION, OPEN]);
  });

  it.each(vectors.slots)("slot $slot of $ms ms, period $periodMs, offset $offset", (one) => {
    expect(slotAt(one, one.ms)).toBe(one.slot);
    expect(evaluationSlot(positionAt(one, one.ms))).toBe(one.evaluation);
  });

  it.each(vectors.bits)("the bit of session $seq", ({ seq, ...bit }) => {
    expect(bitOf(seq)).toEqual(bit);
  });

  it.each(vectors.ids)("the id $id", ({ session, registration, ping, id }) => {
    const ids = [
      session,
      registration && registrationId(registration),
      ping && pingId(ping.slot, ping.segment),
    ];
    expect(ids).toContain(id);
  });

  it.each(vectors.prefixEnds)("the end of the prefix $prefix", ({ prefix, end }) => {
    expect(prefixEnd(prefix)).toBe(end ?? undefined);
  });

  it.each(vectors.mergedSessions)("two versions of a session merge, in either order", ({ a, b, merged }) => {
    expect([mergeSessions(a, b), mergeSessions(b, a)]).toEqual([merged, merged]);
  });

  it.each(vectors.mergedRegistrations)(
    "two versions of a registration merge, in either order",
    ({ a, b, merged }) => {
      expect([mergeRegistrations(a, b), mergeRegistrations(b, a)]).toEqual([merged, merged]);
    },
  );

  it.each(vectors.complete)("g is $g at $evaluation, with pings in $pinged", (one) => {
    const isEmpty = (slot: number): boolean => !one.pinged.includes(slot);
    expect(latestComplete(one.evaluation, one.oldest, isEmpty)).toBe(one.g);
  });

  it.each(vectors.alive)(
    "$registration of $session, g $g: alive is $alive",
    ({ registration, session, g, ...told }) => {
      const last = lastPing(
        { slot: registration.slot, last: registration.last ?? undefined },
        { slot: session.slot, last: session.last ?? undefined, bit: session.bit ?? -Infinity },
      );
      expect({ lastPing: last, alive: isAliveAt(last, g) }).toEqual(told);
    },
  );

  it.each(vectors.deaths)("a death at $evaluation after a suspicion at $suspicion", (one) => {
    expect(mayReportDeaths(one.evaluation, one.suspicion ?? -Infinity)).toBe(one.mayReport);
  });

  it.each(vectors.namespaces)("of what is stored, $alive are alive at $ms", ({ ms, alive, ...stored }) => {
    const config = toConfig(stored.config) ?? expect.fail("the config is one");
    const records = stored.records.map(withDates);
    const registrations = records.filter((record) => !isSession(record));
    const roster = new Roster();
    for (const one of understood(records.filter(isSession), toSession)) roster.session(one);
    for (const one of understood(registrations, toRegistration)) roster.registration(one);
    for (const one of understood(stored.pings.map(readAsHeartbitDoes), toPing)) roster.bits(one);
    roster.evaluate(evaluationSlot(positionAt(config, ms)), slotAt(config, ms) - config.retentionSlots);
    const keys = new Set(registrations.map(({ key }) => String(key)));
    expect([...keys].filter((key) => roster.isAlive(key)).toSorted()).toEqual(alive);
  });
});

function understood<T>(documents: readonly Stored[], decode: (document: Stored) => T | undefined): T[] {
  return documents.map((document) => decode(document) ?? expect.fail(`${JSON.stringify(document)} is read`));
}

function isSession({ _id: id }: Stored): boolean {
  return typeof id === "number";
}

/** The document as the driver gives it. */
function withDates(document: Stored): Stored {
  const fields = Object.entries(document).map(([name, value]): [string, unknown] => {
    const isDate = typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value);
    return [name, isDate ? new Date(value) : value];
  });
  return Object.fromEntries(fields);
}

/** Without the fields that a read of pings leaves out. */
function readAsHeartbitDoes(document: Stored): Stored {
  return Object.fromEntries(Object.entries(withDates(document)).filter(([name]) => !(name in PING_FIELDS)));
}
