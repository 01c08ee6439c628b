/**
 * When a write that is not acknowledged is given up. Its connection may be dead: then it must be sent again soon. Or
 * the majority lags, and it is only late: pings are late then, too. So it is given up when a ping that was sent after
 * it has been acknowledged, and in any case when a ping would no longer count.
 */
import { PERIODS_TO_DEATH } from "./alive.ts";
import type { Clock } from "./clock.ts";
import { retryMs } from "./limits.ts";

/** While no ping is under way (no session is open yet), a write may take so many times as long as the latest ping. */
const OF_PING = 2;

/** All times are monotonic, in ms. */
export class Patience {
  readonly #clock: Clock;
  readonly #periodMs: number;
  /** When the latest ping was sent; and the latest one that was acknowledged, and how long that took. */
  #sent = -Infinity;
  #acknowledged = -Infinity;
  #tookMs = 0;

  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
  }

  /** A ping is sent at this time. */
  sent(now: number): void {
    this.#sent = now;
  }

  /** The ping that was sent at this time is acknowledged. */
  acknowledged(sent: number): void {
    this.#tookMs = this.#clock.monotonic() - sent;
    this.#acknowledged = Math.max(this.#acknowledged, sent);
  }

  /**
   * Begins to wait for a write that is sent now. Whenever the returned function is called, it says how many ms more to
   * wait before the next call; 0: the write is given up.
   */
  begin(): () => number {
    const began = this.#clock.monotonic();
    return () => this.#moreMs(began, this.#clock.monotonic());
  }

  #moreMs(sent: number, now: number): number {
    if (this.#acknowledged > sent) return 0;
    const mostMs = PERIODS_TO_DEATH * this.#periodMs;
    const isUnderWay = this.#sent > this.#acknowledged;
    const limitMs = isUnderWay ? mostMs : Math.min(OF_PING * this.#tookMs, mostMs);
    return now - sent < limitMs ? retryMs(this.#periodMs) : 0;
  }
}
