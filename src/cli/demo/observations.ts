/** What the demo sees: what its watcher is told and when, and when its view may have been late. */
import type { Change } from "../../presence/change.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { Presence } from "../../presence/presence.ts";
import { Sleeper } from "../../lib/timers.ts";
import type { Watcher } from "../../presence/watcher.ts";
import type { Trouble } from "./verdict.ts";

/** A change, and when the listener had it, by the machine's wall clock. */
export interface Telling {
  readonly change: Change;
  readonly atMs: number;
}

/** How often the demo looks whether it was kept from running itself, in ms. */
const LOOK_MS = 25;
/** It counts as trouble when it was for this part of a period. */
const STARVED_OF_PERIOD = 1 / 10;

/** Who hears of it as it happens. */
export interface Audience {
  told(telling: Telling): void;
  say(line: string): void;
}

export class Observations {
  readonly tellings: Telling[] = [];
  readonly #periodMs: number;
  readonly #audience: Audience;
  readonly #watcher: Watcher;
  readonly #sleeper = new Sleeper(systemClock);
  readonly #troubles: Trouble[] = [];
  #stale: Trouble | undefined;

  /** Begins to watch. */
  constructor(presence: Presence, prefix: string, audience: Audience) {
    this.#periodMs = presence.periodMs;
    this.#audience = audience;
    this.#watcher = presence.watcher();
    this.#watcher.on("health", ({ state, reason = "" }) => {
      const now = systemClock.now();
      if (state === "stale") {
        this.#stale = { fromMs: now, toMs: Infinity, reason };
        audience.say(`the watcher is stale, deaths by absence are held back: ${reason}`);
      } else if (this.#stale !== undefined) {
        this.#troubles.push({ ...this.#stale, toMs: now });
        this.#stale = undefined;
        audience.say("the watcher is healthy again");
        this.#sleeper.wake();
      }
    });
    this.#watcher.watch({ prefix }, (change) => this.#hear(change));
    void this.#lookForStarvation();
  }

  /** When the watcher's view may have been late, up to now. */
  get troubles(): readonly Trouble[] {
    return this.#stale === undefined ? this.#troubles : [...this.#troubles, this.#stale];
  }

  /** The first telling of the key since then that it is alive, or dead; undefined when none comes within `limitMs`. */
  async next(key: string, alive: boolean, sinceMs: number, limitMs: number): Promise<Telling | undefined> {
    const end = systemClock.monotonic() + limitMs;
    for (;;) {
      const found = this.tellings.find(
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

  /** Watches no longer. */
  async end(): Promise<void> {
    this.#sleeper.end();
    await this.#watcher.stop();
  }

  #hear(change: Change): void {
    const telling = { change, atMs: systemClock.now() };
    this.tellings.push(telling);
    this.#audience.told(telling);
    this.#sleeper.wake();
  }

  /** A demo that was kept from running hears late what was told in time. */
  async #lookForStarvation(): Promise<void> {
    const sleeper = new Sleeper(systemClock);
    while (!this.#sleeper.ended) {
      const lateMs = await sleeper.sleep(LOOK_MS);
      if (lateMs < this.#periodMs * STARVED_OF_PERIOD) continue;
      const toMs = systemClock.now();
      const reason = `this process was kept from running for ${Math.round(lateMs)} ms`;
      this.#troubles.push({ fromMs: toMs - lateMs, toMs, reason });
    }
  }
}
