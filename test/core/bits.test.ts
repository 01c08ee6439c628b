import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bitOf,
  forEachSession,
  groupBits,
  hasBit,
  LatestBits,
  SEGMENT_SESSIONS,
} from "../../src/core/bits.ts";
import { pingsOf } from "./histories.ts";

const aSeq = fc.oneof(
  fc.integer({ min: 1, max: 5000 }),
  fc.constantFrom(31, 32, 63, 1023, 1024, 1055, 2047, 2048),
  fc.integer({ min: 1, max: 2 ** 45 }),
);

describe("bits", () => {
  it("has a place of its own for each session", () => {
    fc.assert(
      fc.property(fc.uniqueArray(aSeq, { maxLength: 50 }), (seqs) => {
        const places = seqs.map((seq) => JSON.stringify(bitOf(seq)));
        expect(new Set(places).size).toBe(seqs.length);
        for (const seq of seqs) {
          const { segment, word, mask } = bitOf(seq);
          expect(segment).toBe(Math.floor(seq / SEGMENT_SESSIONS));
          expect([word >= 0 && word < 32, mask === (mask | 0), mask !== 0]).toEqual([true, true, true]);
        }
      }),
    );
  });

  it("groups sessions into words that give the same sessions back, in order", () => {
    fc.assert(
      fc.property(fc.array(aSeq, { maxLength: 100 }), (seqs) => {
        const back = pingsOf(9, seqs).flatMap((record) => {
          const found: number[] = [];
          forEachSession(record, (seq) => found.push(seq));
          expect(found).toEqual(found.toSorted((a, b) => a - b));
          for (const seq of found)
            expect([hasBit(record, seq), hasBit(record, seq + SEGMENT_SESSIONS)]).toEqual([true, false]);
          return found;
        });
        expect(new Set(back)).toEqual(new Set(seqs));
        const grouped = [...groupBits(seqs)].flatMap(([segment, words]) =>
          [...words].map(([word, mask]) => `${segment} ${word} ${mask}`),
        );
        const stored = pingsOf(9, seqs).flatMap(({ segment, words }) =>
          [...words].flatMap((mask, word) => (mask === 0 ? [] : `${segment} ${word} ${mask}`)),
        );
        expect(grouped.toSorted()).toEqual(stored.toSorted());
      }),
    );
  });
});

describe("LatestBits", () => {
  const pings = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.uniqueArray(aSeq, { maxLength: 6 })));

  it("keeps of each session the latest slot, and of each slot whether it is empty, in whatever order it hears", () => {
    fc.assert(
      fc.property(pings, (heard) => {
        const bits = new LatestBits();
        const latest = new Map<number, number>();
        for (const [slot, seqs] of heard) {
          for (const record of pingsOf(slot, seqs)) bits.add(record);
          for (const seq of seqs) latest.set(seq, Math.max(slot, latest.get(seq) ?? -Infinity));
        }
        for (const [seq, slot] of latest) expect(bits.latest(seq)).toBe(slot);
        const nonEmpty = heard.filter(([, seqs]) => seqs.length > 0).map(([slot]) => slot);
        for (let slot = 0; slot <= 13; slot++) expect(bits.isEmpty(slot)).toBe(!nonEmpty.includes(slot));
        expect(bits.range()).toEqual({ earliest: Math.min(...nonEmpty), latest: Math.max(...nonEmpty) });
      }),
    );
  });

  it("forgets what is before a slot, and nothing of what is not", () => {
    fc.assert(
      fc.property(pings, fc.integer({ min: 1, max: 12 }), (heard, oldest) => {
        const [bits, whole] = [new LatestBits(), new LatestBits()];
        for (const [slot, seqs] of heard) {
          for (const record of pingsOf(slot, seqs)) [bits, whole].forEach((one) => one.add(record));
        }
        bits.forgetBefore(oldest);
        for (const seq of heard.flatMap(([, seqs]) => seqs)) {
          const slot = whole.latest(seq);
          if (slot >= oldest) expect(bits.latest(seq)).toBe(slot);
          else expect(bits.latest(seq)).toBeLessThan(oldest);
        }
        for (let slot = 0; slot <= 13; slot++)
          expect(bits.isEmpty(slot)).toBe(slot < oldest || whole.isEmpty(slot));
      }),
    );
  });
});
