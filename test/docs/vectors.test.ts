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
import { prefixEnd } from "../../src/core/selection.ts";
import { positionAt, slotAt } from "../../src/core/slots.ts";
import { FORMAT_VERSION } from "../../src/core/store.ts";
import { registrationId, pingId } from "../../src/stores/mongo/documents.ts";

type Slot = number | null;

interface Vectors {
  version: number;
  slots: { periodMs: number; offset: number; ms: number; slot: number; judged: number }[];
  bits: { seq: number; segment: number; word: number; mask: number }[];
  ids: {
    registration?: { session: number; pinger: number; start: number };
    ping?: { slot: number; segment: number };
    id: string;
  }[];
  prefixEnds: { prefix: string; end: string | null }[];
  mergedSessions: { a: SessionRecord; b: SessionRecord; merged: SessionRecord }[];
  mergedRegistrations: { a: RegistrationRecord; b: RegistrationRecord; merged: RegistrationRecord }[];
  complete: { judged: number; oldest: number; pinged: number[]; g: number }[];
  alive: {
    registration: { slot: number; last: Slot };
    session: { slot: number; last: Slot; bit: Slot };
    g: number;
    lastPing: number;
    alive: boolean;
  }[];
  tellable: { judged: number; trouble: number | null; mayTell: boolean }[];
}

const path = join(process.cwd(), "docs/format-vectors.json");
const vectors = JSON.parse(readFileSync(path, "utf8")) as Vectors;

describe("the vectors of the stored format hold for this library", () => {
  it("they are of its version", () => {
    expect(vectors.version).toBe(FORMAT_VERSION);
  });

  it.each(vectors.slots)("slot $slot of $ms ms, period $periodMs, offset $offset", (one) => {
    expect(slotAt(one, one.ms)).toBe(one.slot);
    expect(evaluationSlot(positionAt(one, one.ms))).toBe(one.judged);
  });

  it.each(vectors.bits)("the bit of session $seq", ({ seq, ...bit }) => {
    expect(bitOf(seq)).toEqual(bit);
  });

  it.each(vectors.ids)("the id $id", ({ registration, ping, id }) => {
    expect([registration && registrationId(registration), ping && pingId(ping.slot, ping.segment)]).toContain(
      id,
    );
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

  it.each(vectors.complete)("g is $g at $judged, with pings in $pinged", ({ judged, oldest, pinged, g }) => {
    expect(latestComplete(judged, oldest, (slot) => !pinged.includes(slot))).toBe(g);
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

  it.each(vectors.tellable)(
    "a death at $judged after a trouble at $trouble",
    ({ judged, trouble, mayTell }) => {
      expect(mayReportDeaths(judged, trouble ?? -Infinity)).toBe(mayTell);
    },
  );
});
