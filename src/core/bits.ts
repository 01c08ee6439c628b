/**
 * Bit sets: which sessions pinged. In each slot a segment of 1,024 sessions has one set of bits, in 32-bit words,
 * because the database's bitwise update works on integers. A segment has no more sessions because all of them update
 * the same document, and one document takes only some 2,000 to 4,000 updates a second.
 */
import type { Slot } from "./slots.ts";

/** @internal */
export const SEGMENT_SESSIONS = 1024;
/** @internal */
export const SEGMENT_WORDS = SEGMENT_SESSIONS / 32;

/** The pings of one segment in one slot. */
export interface PingRecord {
  /** The slot. */
  readonly slot: Slot;
  /** The segment: of a session, `floor(seq / 1024)`. */
  readonly segment: number;
  /** `SEGMENT_WORDS` words; the session's bit is `1 << (seq % 32)` of word `floor(seq % 1024 / 32)`. */
  readonly words: Int32Array;
  /** The stamp of the latest ping: the store's time in ms. 0 if nobody has pinged and there is only mail. */
  readonly ms: number;
  /** Grows with each ping of the slot and segment: an answer with a greater one is of a later ping. */
  readonly revision: number;
}

/** @internal Who pinged in a slot, without when. */
export type Bits = Pick<PingRecord, "slot" | "segment" | "words">;

/** @internal Where a session's bit is. */
export function bitOf(seq: number): { segment: number; word: number; mask: number } {
  const index = seq % SEGMENT_SESSIONS;
  return { segment: Math.floor(seq / SEGMENT_SESSIONS), word: index >>> 5, mask: (1 << (index & 31)) | 0 };
}

/** @internal Whether the record has the session's bit. */
export function hasBit(record: Bits, seq: number): boolean {
  const { segment, word, mask } = bitOf(seq);
  return record.segment === segment && ((record.words[word] ?? 0) & mask) !== 0;
}

/** @internal The bits to set for these sessions, by segment and word. */
export function groupBits(seqs: Iterable<number>): Map<number, Map<number, number>> {
  const segments = new Map<number, Map<number, number>>();
  for (const seq of seqs) {
    const { segment, word, mask } = bitOf(seq);
    let words = segments.get(segment);
    if (words === undefined) segments.set(segment, (words = new Map()));
    words.set(word, (words.get(word) ?? 0) | mask);
  }
  return segments;
}

/** @internal Calls `visit` with each session whose bit is set, in increasing order. */
export function forEachSession(record: Bits, visit: (seq: number) => void): void {
  const first = record.segment * SEGMENT_SESSIONS;
  for (let word = 0; word < SEGMENT_WORDS; word++) {
    let bits = record.words[word] ?? 0;
    while (bits !== 0) {
      const bit = 31 - Math.clz32(bits & -bits);
      visit(first + word * 32 + bit);
      bits &= bits - 1;
    }
  }
}

/**
 * @internal What a reader remembers of the pings: for each session the latest slot with its bit, and which of the
 * recent slots were not empty. This takes eight bytes a session and one number a slot, not a table of slots times
 * sessions.
 */
export class LatestBits {
  readonly #segments = new Map<number, Float64Array>();
  readonly #nonEmpty = new Set<Slot>();

  /** The latest slot with the session's bit; -Infinity if none is known. */
  latest(seq: number): Slot {
    const slots = this.#segments.get(Math.floor(seq / SEGMENT_SESSIONS));
    return slots?.[seq % SEGMENT_SESSIONS] ?? -Infinity;
  }

  isEmpty(slot: Slot): boolean {
    return !this.#nonEmpty.has(slot);
  }

  /** The earliest and the latest slot that are not empty; Infinity and -Infinity if there is none. */
  range(): { earliest: Slot; latest: Slot } {
    let earliest = Infinity;
    let latest = -Infinity;
    for (const slot of this.#nonEmpty) {
      earliest = Math.min(earliest, slot);
      latest = Math.max(latest, slot);
    }
    return { earliest, latest };
  }

  add(record: PingRecord): void {
    let slots = this.#segments.get(record.segment);
    if (slots === undefined) {
      slots = new Float64Array(SEGMENT_SESSIONS).fill(-Infinity);
      this.#segments.set(record.segment, slots);
    }
    const known = slots;
    let any = false;
    forEachSession(record, (seq) => {
      any = true;
      const index = seq % SEGMENT_SESSIONS;
      known[index] = Math.max(known[index] ?? -Infinity, record.slot);
    });
    if (any) this.#nonEmpty.add(record.slot);
  }

  /** Forgets the slots before `oldest`, and the segments without pings since. */
  forgetBefore(oldest: Slot): void {
    for (const slot of this.#nonEmpty) if (slot < oldest) this.#nonEmpty.delete(slot);
    for (const [segment, slots] of this.#segments) {
      if (slots.every((slot) => slot < oldest)) this.#segments.delete(segment);
    }
  }
}
