/**
 * The calls of `sync` that are under way. Each waits until what is wanted is loaded, then for a look of its own:
 *
 *   the store does not answer:   looks again, until its time is up; then rejects with the latest error
 *   the store says no:           rejects at once
 *
 * What it waits for may be tried by another, for as long as that takes: of each of those failures it hears as well.
 */
import { GivenUp } from "../../core/errors.ts";
import { patienceMs, RETRY_OF_PERIOD, type Shared } from "../context/context.ts";
import { type Sleeper, within } from "../../lib/timers.ts";

/** A `sync` tries for so long, in ms, where the period is shorter. */
const SYNC_MS_MIN = 5000;

interface Sync {
  /** A monotonic time, in ms. */
  readonly until: number;
  readonly reject: (error: unknown) => void;
}

export class Syncs {
  readonly #shared: Shared;
  readonly #sleeper: Sleeper;
  readonly #underWay = new Set<Sync>();

  /** They end when the sleeper does. */
  constructor(shared: Shared, sleeper: Sleeper) {
    this.#shared = shared;
    this.#sleeper = sleeper;
  }

  /** Whether there are any. */
  get areUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** Resolves when what is wanted has been loaded, and then a look has succeeded. */
  sync(started: Promise<void>, load: () => Promise<void>, look: () => Promise<void>): Promise<void> {
    const { clock } = this.#shared;
    const limitMs = patienceMs(this.#shared, SYNC_MS_MIN);
    return new Promise((resolve, reject) => {
      const sync = { until: clock.monotonic() + limitMs, reject };
      this.#underWay.add(sync);
      within(clock, limitMs, "begin", started)
        .then(load)
        .then(() => this.#tryUntilOver(sync, look))
        .finally(() => this.#underWay.delete(sync))
        .then(resolve, reject);
    });
  }

  /** What they may be waiting for has failed, and will be tried again. */
  failed(error: unknown): void {
    for (const sync of this.#underWay) if (this.#isOver(sync, error)) sync.reject(error);
  }

  async #tryUntilOver(sync: Sync, look: () => Promise<void>): Promise<void> {
    while (!this.#sleeper.ended) {
      try {
        await look();
        return;
      } catch (error) {
        if (this.#isOver(sync, error)) throw error;
        await this.#sleeper.sleep(this.#shared.periodMs * RETRY_OF_PERIOD);
      }
    }
  }

  #isOver({ until }: Sync, error: unknown): boolean {
    return !(error instanceof GivenUp) || this.#shared.clock.monotonic() >= until;
  }
}
