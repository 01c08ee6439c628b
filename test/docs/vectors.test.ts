/** The vectors that other languages check themselves against, against this library. */
import { describe, expect, it } from "vitest";
import vectors from "../../docs/format-vectors.json" with { type: "json" };
import {
  evaluationSlot,
  isAliveAt,
  lastPing,
  latestComplete,
  mayReportDeaths,
} from "../../src/core/alive.ts";
import { bitOf } from "../../src/core/bits.ts";
import * as records from "../../src/core/records.ts";
import { Roster } from "../../src/core/roster.ts";
import { prefixEnd } from "../../src/core/selection.ts";
import { positionAt, slotAt } from "../../src/core/slots.ts";
import * as documents from "../../src/stores/mongo/documents.ts";

/** A document, its dates as strings. */
type Stored = Readonly<Record<string, unknown>>;

describe("the vectors of the stored format hold for this library", () => {
  it("they are of its version", () => {
    expect([vectors.version, vectors.open]).toEqual([records.FORMAT_VERSION, documents.OPEN]);
  });

  it.each(vectors.slots)("slot $slot of $ms ms, period $periodMs, offset $offset", (one) => {
    expect(slotAt(one, one.ms)).toBe(one.slot);
    expect(evaluationSlot(positionAt(one, one.ms))).toBe(one.evaluation);
  });

  it.each(vectors.bits)("the bit of session $seq", ({ seq, ...bit }) => {
    expect(bitOf(seq)).toEqual(bit);
  });

  it.each(vectors.ids)("the id $id", ({ session, registration, ping, id }) => {
    const ofRegistration = registration && documents.registrationId(registration);
    expect([session, ofRegistration, ping && documents.pingId(ping.slot, ping.segment)]).toContain(id);
  });

  it.each(vectors.prefixEnds)("the end of the prefix $prefix", ({ prefix, end }) => {
    expect(prefixEnd(prefix)).toBe(end ?? undefined);
  });

  it.each(vectors.mergedSessions)("two versions of a session merge, in either order", ({ a, b, merged }) => {
    expect([records.mergeSessions(a, b), records.mergeSessions(b, a)]).toEqual([merged, merged]);
  });

  it.each(vectors.mergedRegistrations)("two versions of a registration do, too", ({ a, b, merged }) => {
    expect([records.mergeRegistrations(a, b), records.mergeRegistrations(b, a)]).toEqual([merged, merged]);
  });

  it.each(vectors.complete)("g is $g at $evaluation, with pings in $pinged", (one) => {
    const isEmpty = (slot: number): boolean => !one.pinged.includes(slot);
    expect(latestComplete(one.evaluation, one.oldest, isEmpty)).toBe(one.g);
  });

  it.each(vectors.alive)("$registration of $session, g $g: alive is $alive", (one) => {
    const { registration, session, g, ...expected } = one;
    const last = lastPing(
      { slot: registration.slot, last: registration.last ?? undefined },
      { slot: session.slot, last: session.last ?? undefined, bit: session.bit ?? -Infinity },
    );
    expect({ lastPing: last, alive: isAliveAt(last, g) }).toEqual(expected);
  });

  it.each(vectors.deaths)("a death at $evaluation after a suspicion at $suspicion", (one) => {
    expect(mayReportDeaths(one.evaluation, one.suspicion ?? -Infinity)).toBe(one.mayReport);
  });

  it.each(vectors.namespaces)("of what is stored, $alive are alive at $ms", ({ ms, alive, ...stored }) => {
    const config = documents.toConfig(stored.config) ?? expect.fail("the config is one");
    const all = stored.records.map(withDates);
    const [sessions, registrations] = [all.filter(isSession), all.filter((record) => !isSession(record))];
    const roster = new Roster();
    for (const one of understood(sessions, documents.toSession)) roster.addSession(one);
    for (const one of understood(registrations, documents.toRegistration)) roster.addRegistration(one);
    roster.addPings(understood(stored.pings.map(readAsHeartbitDoes), documents.toPing));
    roster.evaluate(evaluationSlot(positionAt(config, ms)), slotAt(config, ms) - config.retentionSlots);
    const keys = new Set(registrations.map(({ key }) => String(key)));
    expect([...keys].filter((key) => roster.isAlive(key)).toSorted()).toEqual(alive);
  });
});

function understood<T>(stored: readonly Stored[], decode: (document: Stored) => T | undefined): T[] {
  return stored.map((document) => decode(document) ?? expect.fail(`${JSON.stringify(document)} is read`));
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
  const { PING_FIELDS } = documents;
  return Object.fromEntries(Object.entries(withDates(document)).filter(([name]) => !(name in PING_FIELDS)));
}
