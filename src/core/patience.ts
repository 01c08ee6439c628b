/**
 * How long an operation on many records, or one that must be acknowledged, may take: a period, at least two seconds and
 * at most ten. If the majority lags, as the latest ping shows, twice as long as that ping took: a late acknowledgement is
 * not a lost one. But no longer than a ping counts, since a store that takes so long keeps nobody alive.
 */
import { PERIODS_TO_DEATH } from "./alive.ts";
import { patienceMs } from "./limits.ts";

/** How much longer than the latest ping another acknowledgement may take. */
const OF_PING = 2;

export class Patience {
  readonly #periodMs: number;
  #pingMs = 0;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** The latest ping was acknowledged after so many ms. */
  pinged(afterMs: number): void {
    this.#pingMs = afterMs;
  }

  /** In ms. */
  get limitMs(): number {
    const lagging = Math.min(OF_PING * this.#pingMs, PERIODS_TO_DEATH * this.#periodMs);
    return Math.max(patienceMs(this.#periodMs), lagging);
  }
}
