/**
 * Requests to the slot loop, in addition to its schedule. Events - the store was lost and found, its clock stepped, a
 * lapse, mail - act only through a request, which brings the next turn of the loop forward.
 */
import type { Clock } from "../../core/clock.ts";
import { Sleeper } from "../../lib/timers.ts";

export type Request =
  /** Ping at once: the store answers again, or the present is another slot. */
  | "ping"
  /** Ask for the store's time: its bounds are too wide. */
  | "time"
  /** Read which of our records have been ended: there is mail. */
  | "mail"
  /** Compare everything that is held with what is stored: records may be missing. */
  | "reconcile"
  /** Touch the session's record and compare: a lapse is over, others may have reported the keys dead. */
  | "return"
  /** Read everything that is watched again: changes may have been missed. */
  | "resync"
  /** Read the changes now. */
  | "poll"
  /** Open the change feed, if it is not open. */
  | "feed"
  /** Set the namespace up again if the store has lost it: the store was found again. */
  | "restore"
  /** Read the config: the namespace may have been dropped, or its offset raised. */
  | "config"
  /** Leave mail for the processes that may not know of the offset that we raised. */
  | "spread";

export class Requests {
  /** The loop sleeps with it. It ends when the presence closes. */
  readonly sleeper: Sleeper;
  readonly #asked = new Set<Request>();

  constructor(clock: Clock) {
    this.sleeper = new Sleeper(clock);
  }

  add(...requests: Request[]): void {
    for (const request of requests) this.#asked.add(request);
    this.sleeper.wake();
  }

  has(request: Request): boolean {
    return this.#asked.has(request);
  }

  /** Whether it was requested. Clears the request. */
  take(request: Request): boolean {
    return this.#asked.delete(request);
  }

  /** Serves a request. If that fails, it is requested again. Returns whether there was one. */
  async serve(request: Request, act: () => Promise<unknown>): Promise<boolean> {
    if (!this.take(request)) return false;
    try {
      await act();
    } catch (error) {
      this.add(request);
      throw error;
    }
    return true;
  }
}
