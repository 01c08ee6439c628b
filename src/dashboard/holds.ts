/**
 * Keys that this process holds for programs in other languages, each for a ttl that the program renews.
 *
 *   free --put--> held --put--> held, for a ttl from now
 *                 held --remove--> free: the key is killed
 *                 held --its ttl runs out--> free: the key is stopped
 *                 held --another drops the namespace--> free
 *                 held --this process ends--> a planned absence for the rest of the ttl, so a restart is not noticed
 */
import { encodeMeta } from "../core/checks.ts";
import { HeartbitError, isHeartbitError } from "../core/errors.ts";
import { internalsOf } from "../presence/internals.ts";
import type { Pinger } from "../presence/pinger.ts";
import type { Presence } from "../presence/presence.ts";
import { within } from "../lib/timers.ts";
import { Refusal } from "./refusal.ts";

/** In ms. */
export const TTL_MS_MIN = 1000;
export const TTL_MS_MAX = 24 * 3_600_000;
const HELD_MAX = 1000;
/** How long a request waits for the store, in ms. The request still takes effect when the store is back. */
const PATIENCE_MS = 5000;

interface Hold {
  readonly pinger: Pinger;
  /** Settles when others can see the key, or never will. */
  readonly started: Promise<void>;
  /** A monotonic time, in ms. */
  until: number;
  cancel: () => void;
}

export class Holds {
  readonly #presence: Presence;
  readonly #held = new Map<string, Hold>();
  #isClosed = false;

  constructor(presence: Presence) {
    this.#presence = presence;
  }

  /**
   * Holds the key for `ttlMs` from now. `meta` undefined leaves the meta as it is. Resolves when others can see it,
   * with whether it was not held before. Rejects with `INVALID_KEY`, `INVALID_META`, `NOT_PERMITTED`,
   * `STORE_UNAVAILABLE` (it will be held when the store is back), `PRESENCE_CLOSED`, or a refusal if too many are held.
   */
  async put(key: string, ttlMs: number, meta: unknown): Promise<{ readonly created: boolean }> {
    if (this.#isClosed)
      throw new HeartbitError("PRESENCE_CLOSED", "The dashboard is closed: it holds no keys.");
    encodeMeta(meta); // a refused request changes nothing
    const known = this.#stillHeld(key);
    if (known === undefined && this.#held.size >= HELD_MAX) {
      throw new Refusal("TOO_MANY_HELD", `This server holds ${HELD_MAX} keys already: the limit.`);
    }
    const hold = known ?? this.#start(key, meta);
    this.#renew(key, hold, ttlMs);
    const work = hold.started.then(() =>
      known === undefined || meta === undefined ? undefined : hold.pinger.update(meta),
    );
    await within(internalsOf(this.#presence).clock, PATIENCE_MS, "hold", work);
    return { created: known === undefined };
  }

  /** Kills the key if it is held here. Resolves with whether it was. */
  async remove(key: string): Promise<boolean> {
    const hold = this.#stillHeld(key);
    if (hold === undefined) return false;
    this.#release(key, hold);
    await within(internalsOf(this.#presence).clock, PATIENCE_MS, "kill", hold.pinger.kill());
    return true;
  }

  /** Releases all keys; each stays alive for the rest of its ttl. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true; // the body of a request may come later than this
    const { clock, log } = internalsOf(this.#presence);
    const stops = [...this.#held].map(([key, hold]) => {
      this.#release(key, hold);
      return hold.pinger.stop({ holdMs: Math.max(0, hold.until - clock.monotonic()) });
    });
    await within(clock, PATIENCE_MS, "stop", Promise.all(stops)).catch((error: unknown) =>
      log.warn("held keys could not be stopped, they will time out", error),
    );
  }

  /** The hold of the key, unless it was lost when another process dropped the namespace. */
  #stillHeld(key: string): Hold | undefined {
    const hold = this.#held.get(key);
    if (hold === undefined || hold.pinger.state === "started") return hold;
    this.#release(key, hold);
    return undefined;
  }

  #start(key: string, meta: unknown): Hold {
    const pinger = this.#presence.pinger(key, { meta });
    const hold = { pinger, started: pinger.start(), until: 0, cancel: () => {} };
    this.#held.set(key, hold);
    hold.started.catch((error: unknown) => {
      if (!isHeartbitError(error, "STORE_UNAVAILABLE")) this.#release(key, hold);
    });
    return hold;
  }

  #renew(key: string, hold: Hold, ttlMs: number): void {
    const { clock, log } = internalsOf(this.#presence);
    hold.cancel();
    hold.until = clock.monotonic() + ttlMs;
    hold.cancel = clock.setTimer(() => {
      this.#release(key, hold);
      hold.pinger.stop().catch((error: unknown) => log.warn("a held key could not be stopped", error));
    }, ttlMs);
  }

  #release(key: string, hold: Hold): void {
    hold.cancel();
    if (this.#held.get(key) === hold) this.#held.delete(key);
  }
}
