/**
 * What the demo observes: the changes that its watcher reports and when, and when its view may have been out of date.
 */
import type { Change } from "../../core/change.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { Presence } from "../../presence/presence.ts";
import { Sleeper } from "../../lib/timers.ts";
import type { Watcher } from "../../presence/watcher.ts";
import type { Suspicion } from "./verdict.ts";

/** A change, and when the listener was called with it, by the machine's wall clock. */
export interface Observation {
  readonly change: Change;
  readonly atMs: number;
}

/** How often the demo checks whether it was kept from running itself, in ms. */
const CHECK_MS = 25;
/** It counts as a suspicion if that took this part of a period. */
const STARVED_OF_PERIOD = 1 / 10;

/** Receives events as they happen. */
export interface Audience {
  reported(observation: Observation): void;
  say(line: string): void;
}

export class Observations {
  readonly observed: Observation[] = [];
  readonly #periodMs: number;
  readonly #audience: Audience;
  readonly #watcher: Watcher;
  readonly #sleeper = new Sleeper(systemClock);
  readonly #suspicions: Suspicion[] = [];
  #stale: Suspicion | undefined;

  /** Begins to watch. */
  constructor(presence: Presence, prefix: string, audience: Audience) {
    this.#periodMs = presence.periodMs;
    this.#audience = audience;
    this.#watcher = presence.watcher();
    this.#watcher.on("health", ({ state, reason = "" }) => {
      const now = systemClock.now();
      if (state === "stale") {
        this.#stale = { fromMs: now, toMs: Infinity, reason };
        audience.say(`the watcher is stale and holds expiries back: ${reason}`);
      } else if (this.#stale !== undefined) {
        this.#suspicions.push({ ...this.#stale, toMs: now });
        this.#stale = undefined;
        audience.say("the watcher is healthy again");
        this.#sleeper.wake();
      }
    });
    this.#watcher.watch({ prefix }, (change) => this.#observe(change));
    void this.#checkForStarvation();
  }

  /** When the watcher's view may have been out of date, up to now. */
  get suspicions(): readonly Suspicion[] {
    return this.#stale === undefined ? this.#suspicions : [...this.#suspicions, this.#stale];
  }

  /** The first report since then that the key is alive, or dead; undefined if there is none within `limitMs`. */
  async next(
    key: string,
    alive: boolean,
    sinceMs: number,
    limitMs: number,
  ): Promise<Observation | undefined> {
    const end = systemClock.monotonic() + limitMs;
    for (;;) {
      const found = this.observed.find(
        ({ change, atMs }) => change.key === key && change.alive === alive && atMs >= sinceMs,
      );
      const leftMs = end - systemClock.monotonic();
      if (found !== undefined || leftMs <= 0 || this.#sleeper.ended) return found;
      await this.#sleeper.sleep(leftMs);
    }
  }

  /** Resolves when the watcher is healthy, or after `limitMs`. */
  async calm(limitMs: number): Promise<void> {
    const end = systemClock.monotonic() + limitMs;
    while (this.#stale !== undefined && systemClock.monotonic() < end && !this.#sleeper.ended) {
      await this.#sleeper.sleep(end - systemClock.monotonic());
    }
  }

  /** Stops watching. */
  async end(): Promise<void> {
    this.#sleeper.end();
    await this.#watcher.stop();
  }

  #observe(change: Change): void {
    const observation = { change, atMs: systemClock.now() };
    this.observed.push(observation);
    this.#audience.reported(observation);
    this.#sleeper.wake();
  }

  /** A demo that was kept from running observes late what was reported in time. */
  async #checkForStarvation(): Promise<void> {
    const sleeper = new Sleeper(systemClock);
    while (!this.#sleeper.ended) {
      const lateMs = await sleeper.sleep(CHECK_MS);
      if (lateMs < this.#periodMs * STARVED_OF_PERIOD) continue;
      const toMs = systemClock.now();
      const reason = `this process was kept from running for ${Math.round(lateMs)} ms`;
      this.#suspicions.push({ fromMs: toMs - lateMs, toMs, reason });
    }
  }
}
