/**
 * How many writes go to the store together. A batch that is not acknowledged in time is followed by one with a quarter
 * of the writes. One that is acknowledged quickly lets the next one be twice as large. After a pause batches are small
 * again, because the store may be slower by now. So a store of any speed makes progress. (The idea is that of TCP's
 * slow start: RFC 5681, sections 3.1 and 4.1.)
 */

/** The shortest limit is two seconds. Even a store of 50 writes a second acknowledges a first batch in half of it. */
const BATCH_FIRST = 50;
const BATCH_MAX = 5000;
const SHRINK = 4;
const GROW = 2;
/** After a batch that took less than this part of its limit, one that is twice as large still keeps the limit. */
const QUICK = 1 / GROW;

/** All times are monotonic, in ms. */
export class BatchSize {
  readonly #limitMs: number;
  #most = BATCH_FIRST;
  #began = -Infinity;
  #ended = -Infinity;

  /** `limitMs`: the time in which a batch must be acknowledged. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** A batch begins now. Returns how many writes it may have. */
  begin(now: number): number {
    if (now - this.#ended > this.#limitMs) this.#most = Math.min(this.#most, BATCH_FIRST);
    this.#began = now;
    return this.#most;
  }

  /** The batch with this many writes was acknowledged. */
  acknowledged(count: number, now: number): void {
    this.#ended = now;
    const isQuick = now - this.#began < this.#limitMs * QUICK;
    if (isQuick && count >= this.#most) this.#most = Math.min(BATCH_MAX, this.#most * GROW);
  }

  /** The batch with this many writes failed. */
  failed(count: number, now: number): void {
    this.#ended = now;
    this.#most = Math.max(1, Math.floor(Math.min(this.#most, count) / SHRINK));
  }
}
