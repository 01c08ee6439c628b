/**
 * When a session pings. (presence/holding/heartbeat.ts handles failures and refusals.)
 *
 *   at the slot's moment                               ping
 *   unanswered after a fifth of the period             ping once more; the first ping still counts
 *   a ping failed, and none of its slot is under way   ping again a twentieth of the period later
 *   the ping was not permitted                         ping again soon, and then in longer and longer intervals, up to
 *                                                      a period: the right may be restored
 *   the answer says that another slot is current       ping at once
 *
 * The sessions of a segment ping together, because a server journals, replicates and acknowledges writes in groups: a
 * ping that arrives alone costs a replica set about nine times as much as one of fifty that arrive together (MongoDB
 * 4.4.6, see docs/measurements.md). Each segment pings at another moment, and at another one in each slot, so that no
 * moment is always the busy one.
 */
import { SEGMENT_SESSIONS } from "./bits.ts";
import type { Clock } from "./clock.ts";
import type { Slot } from "./slots.ts";
import type { StoreTime } from "./store-time.ts";

/** The part of a slot in which sessions ping: late enough for a clock 10 % ahead, early enough for one 50 % behind. */
const EARLIEST = 0.1;
const LATEST = 0.4;
/**
 * The distance between two sessions of a segment: all write to one document, which takes some 2,000 to 4,000 writes a
 * second. Shorter if the period is below 1.7 s.
 */
const SPACING_MS = 0.5;

/** @internal The position, in slots, at which session `seq` pings in `slot`. */
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

/** A ping that is unanswered after this part of a period is sent once more. */
export const REPEAT_OF_PERIOD = 1 / 5;

/** When one session pings next, given what became of its pings. Times are monotonic, in ms. */
export class PingSchedule {
  readonly #clock: Clock;
  readonly #time: StoreTime;
  readonly #periodMs: number;
  readonly #seq: number;
  /** The slot of the latest ping that was sent, since when, how many were sent in it, and how many are under way. */
  #sent: { readonly slot: Slot; readonly since: number; count: number; underWay: number } = {
    slot: -Infinity,
    since: -Infinity,
    count: 0,
    underWay: 0,
  };
  /** When the latest acknowledged ping was sent. */
  #answeredSent = -Infinity;
  /** When a period will have passed since a ping was sent, without any acknowledgement. */
  #lateAt = Infinity;
  /** When to ping next. */
  #due = Infinity;

  constructor(clock: Clock, time: StoreTime, periodMs: number, seq: number) {
    this.#clock = clock;
    this.#time = time;
    this.#periodMs = periodMs;
    this.#seq = seq;
  }

  /** When the next ping is due, or the acknowledgement of one is late. */
  get next(): number {
    return Math.min(this.#due, this.#lateAt);
  }

  get isDue(): boolean {
    return this.#clock.monotonic() >= this.#due;
  }

  /** Whether a ping of the latest slot is under way. One of an earlier slot may never be answered. */
  get isAnyUnderWay(): boolean {
    return this.#sent.underWay > 0;
  }

  /** Schedules the next ping in this many ms; Infinity: none. */
  pingIn(ms: number): void {
    this.#due = this.#clock.monotonic() + ms;
  }

  /** A ping of this slot is sent now. */
  sent(slot: Slot, now: number): void {
    if (this.#sent.slot !== slot) this.#sent = { slot, since: now, count: 0, underWay: 0 };
    // Once more at most: if neither is answered, the next slot's ping shows it.
    if (++this.#sent.count === 1) this.pingIn(this.#periodMs * REPEAT_OF_PERIOD);
    else this.#pingAfter(slot);
    this.#sent.underWay++;
    if (this.#lateAt === Infinity) this.#lateAt = now + this.#periodMs;
  }

  /** The ping that was sent at this time was acknowledged. */
  acknowledged(sent: number): void {
    this.#settled(sent);
    this.#lateAt = Infinity; // until the next ping is sent
    this.#answeredSent = Math.max(this.#answeredSent, sent);
  }

  /** The ping that was sent at this time failed. Returns whether a later one was acknowledged. */
  failed(sent: number): boolean {
    this.#settled(sent);
    return sent < this.#answeredSent;
  }

  /** The ping of this slot counts, and was stamped at this position. */
  counted(slot: Slot, stamped: number): void {
    if (this.#time.slot > slot && stamped >= slot + 1) this.pingIn(0);
    else if (slot === this.#time.slot) this.#pingAfter(slot);
  }

  /** After a period without an acknowledgement, once: how long ago, in ms, the first unacknowledged ping was sent. */
  takeLateMs(): number | undefined {
    const now = this.#clock.monotonic();
    if (now < this.#lateAt) return undefined;
    const waitedMs = now - this.#lateAt + this.#periodMs;
    this.#lateAt = Infinity;
    return waitedMs;
  }

  #settled(sent: number): void {
    if (sent >= this.#sent.since) this.#sent.underWay--;
  }

  /** At the session's moment of the slot after `slot`, which comes later if the store's time is behind our slots. */
  #pingAfter(slot: Slot): void {
    this.pingIn(this.#time.until(pingPosition(slot + 1, this.#seq, this.#periodMs)));
  }
}
