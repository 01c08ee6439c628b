/** Delivers the items of several sources, one item of each in turn. */
import type { Clock } from "../core/clock.ts";
import { callSafely } from "./call-safely.ts";
import { outsideOfRequests } from "./outside.ts";
import { Slices } from "./timers.ts";

export interface Source<Item> {
  /** The next item; undefined if there is none. */
  take(): Item | undefined;
}

/** Calls listeners in slices, so that a source with many items delays neither the others nor the program. */
export class RoundRobin<Item> {
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #waiting = new Map<Source<Item>, (item: Item) => void>();
  #running: Promise<void> | undefined;

  /** `report` receives errors that listeners throw. */
  constructor(clock: Clock, report: (error: unknown) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /** The source has something for the listener. */
  add(source: Source<Item>, listener: (item: Item) => void): void {
    this.#waiting.set(source, listener);
    // A listener must not see the request in which something happened to be read.
    this.#running ??= outsideOfRequests(() => Promise.resolve().then(() => this.#run()));
  }

  /** Resolves when everything pending now has been delivered. */
  async drained(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const slices = new Slices(this.#clock);
    while (this.#waiting.size > 0) {
      for (const [source, listener] of this.#waiting) {
        const item = source.take();
        if (item === undefined) this.#waiting.delete(source);
        else callSafely(listener, [item], this.#report);
        if (slices.isOver) await slices.turn();
      }
    }
    this.#running = undefined;
  }
}
