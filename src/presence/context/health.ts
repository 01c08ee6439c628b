/**
 * The health of a presence, and its latest trouble.
 *
 *   healthy --trouble--> stale --settled--> healthy
 *
 * Trouble is any sign that this process's view of the store may be late (a failed or slow read or ping,
 * a lost primary or feed, a late timer, a step of the clock, a read that lacks our own latest ping).
 */

/** What `presence.health` tells. */
export interface Health {
  /** `stale`: what is known may be late; no death by absence is told until it is `healthy` again. */
  readonly state: "healthy" | "stale";
  /** Why it is stale: one sentence, the first trouble's. */
  readonly reason?: string;
  /** Since when it is stale, by this machine's wall clock. */
  readonly since?: Date;
}

/** @internal */
export class HealthKeeper {
  readonly #position: () => number;
  readonly #now: () => number;
  readonly #changed: (health: Health) => void;
  #health: Health = { state: "healthy" };
  #trouble = -Infinity;

  /** `position` and `now` give the present, in slots and in ms; `changed` is called at each change of state. */
  constructor(position: () => number, now: () => number, changed: (health: Health) => void) {
    this.#position = position;
    this.#now = now;
    this.#changed = changed;
  }

  get health(): Health {
    return this.#health;
  }

  /** The position of the latest trouble; -Infinity where there was none. */
  get latestTrouble(): number {
    return this.#trouble;
  }

  /** Holds deaths back from now on, as trouble does, without being stale: a fresh watcher has not been late. */
  begin(): void {
    this.#holdBack(0);
  }

  /** There is trouble now, or for so many slots from now on. */
  trouble(reason: string, slots = 0): void {
    this.#holdBack(slots);
    if (this.#health.state === "stale") return;
    this.#health = { state: "stale", reason, since: new Date(this.#now()) };
    this.#changed(this.#health);
  }

  settle(): void {
    if (this.#health.state === "healthy") return;
    this.#health = { state: "healthy" };
    this.#changed(this.#health);
  }

  #holdBack(slots: number): void {
    this.#trouble = Math.max(this.#trouble, this.#position() + slots);
  }
}
