/**
 * When a session pings. The sessions of a segment ping together, because a server journals, replicates and acknowledges
 * writes in groups: a ping that arrives alone costs a replica set about nine times as much as one of fifty that arrive
 * together (MongoDB 4.4.6, see docs/measurements.md). Each segment pings at another moment, and at another one in each
 * slot, so that no moment is always the busy one.
 */
import { SEGMENT_SESSIONS } from "./bits.ts";
import type { Slot } from "./slots.ts";

/** The part of a slot in which sessions ping: late enough for a clock 10 % ahead, early enough for one 50 % behind. */
const EARLIEST = 0.1;
const LATEST = 0.4;
/**
 * The distance between two sessions of a segment: all write to one document, which takes some 2,000 writes a second.
 */
const SPACING_MS = 0.5;

/** The position, in slots, at which session `seq` pings in `slot`. */
export function pingPosition(slot: Slot, seq: number, periodMs: number): number {
  const width = Math.min((SEGMENT_SESSIONS * SPACING_MS) / periodMs, LATEST - EARLIEST);
  const start = EARLIEST + (LATEST - EARLIEST - width) * hash(slot, Math.floor(seq / SEGMENT_SESSIONS));
  return slot + start + (width * (seq % SEGMENT_SESSIONS)) / SEGMENT_SESSIONS;
}

/** A pseudo-random number from 0 up to, but not including, 1: the same for the same pair. */
function hash(slot: Slot, segment: number): number {
  let bits = Math.imul(slot | 0, 0x9e3779b1) ^ Math.imul(segment | 0, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d);
  bits = Math.imul(bits ^ (bits >>> 12), 0x297a2d39);
  return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
}
