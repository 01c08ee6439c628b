import type { Clock } from "../core/clock.ts";
import { Sleeper } from "./timers.ts";

/** Named requests that wait to be served. Each wakes the sleeper of the loop that serves them. */
export class Requests<Request extends string> {
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

  clear(): void {
    this.#asked.clear();
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
