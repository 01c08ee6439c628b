/** Stores that are wrong on purpose, to see that the simulator catches them. */
import { bitOf, type PingRecord, SEGMENT_WORDS } from "../../src/core/bits.ts";
import type { Namespace, OpenRecords } from "../../src/core/store.ts";
import type { Breakage } from "./store.ts";

/** A ping adds the session's bit, as `$inc` does: one that is repeated carries into the next session's. */
export function addingPings(): Breakage {
  const stored = new WeakMap<Namespace, Map<string, PingRecord>>();
  const recordsOf = (namespace: Namespace): Map<string, PingRecord> => {
    const known = stored.get(namespace) ?? new Map<string, PingRecord>();
    stored.set(namespace, known);
    return known;
  };
  return {
    async ping(namespace, slot, seq) {
      const pong = await namespace.ping(slot, seq);
      const records = recordsOf(namespace);
      const { segment, word, mask } = bitOf(seq);
      const id = `${slot}.${segment}`;
      const words = records.get(id)?.words ?? new Int32Array(SEGMENT_WORDS);
      words[word] = (words[word] ?? 0) + mask;
      records.set(id, { slot, segment, words, ms: pong.ms });
      return pong;
    },
    async pings(namespace, from) {
      const records = [...recordsOf(namespace).values()].filter(({ slot }) => slot >= from);
      return records.map((record) => ({ ...record, words: record.words.slice() }));
    },
  };
}

/** Each number is given twice. */
export const reusedSeqs: Breakage = {
  nextSeq: async (namespace) => Math.ceil((await namespace.nextSeq()) / 2),
};

/** A count does not show that records have been lost: it is never less than it was. */
export function countsThatHideLosses(): Breakage {
  const most = new Map<number, OpenRecords>();
  return {
    async countOpen(namespace, session) {
      const counted = await namespace.countOpen(session);
      const before = most.get(session);
      if (before !== undefined && before.count > counted.count) return before;
      most.set(session, counted);
      return counted;
    },
  };
}
