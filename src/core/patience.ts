/**
 * When an unacknowledged write is given up. If its connection is dead, it must be sent again soon. If the majority
 * lags, it is only late, and so are pings. So it is given up once a ping that was sent after it is acknowledged, and in
 * any case when a ping would no longer count.
 */
import { PERIODS_TO_DEATH } from "./alive.ts";
import type { Clock } from "./clock.ts";
import { retryMs } from "./limits.ts";

/**
 * While no ping is under way (such as before a session is open), a write may take this many times as long as the latest
 * ping.
 */
const OF_PING = 2;

/** All times are monotonic, in ms. */
export class Patience {
  readonly #clock: Clock;
  readonly #periodMs: number;
  /** When the latest ping was sent; and the latest acknowledged one, and how long its acknowledgement took. */
  #sent = -Infinity;
  #acknowledgedSent = -Infinity;
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
    this.#acknowledgedSent = Math.max(this.#acknowledgedSent, sent);
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
    if (this.#acknowledgedSent > sent) return 0;
    const mostMs = PERIODS_TO_DEATH * this.#periodMs;
    const isUnderWay = this.#sent > this.#acknowledgedSent;
    const limitMs = isUnderWay ? mostMs : Math.min(OF_PING * this.#tookMs, mostMs);
    return now - sent < limitMs ? retryMs(this.#periodMs) : 0;
  }
}
