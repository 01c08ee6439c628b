/**
 * The health of a presence, and when there was last a suspicion.
 *
 *   healthy --suspicion--> stale --an evaluation or a ping without suspicion--> healthy
 *
 * A suspicion is any sign that this process's view of the store may be out of date: a failed read or write, a late ping
 * or read, a lost primary or change feed, a timer that fired late, a step of the store's clock, a read that lacks our
 * own latest ping.
 */
import type { Context } from "./context.ts";

/** The value of `presence.health`. */
export interface Health {
  /** `stale`: this process's view may be out of date; no expiry is reported until it is `healthy` again. */
  readonly state: "healthy" | "stale";
  /** Why it is stale: the reason of the first suspicion, one sentence. */
  readonly reason?: string;
  /** Since when it is stale, by this machine's wall clock. */
  readonly since?: Date;
}

type Parts = Pick<Context, "time" | "clock" | "events" | "log" | "namespace">;

/** @internal */
export class HealthMonitor {
  readonly #parts: Parts;
  #health: Health = { state: "healthy" };
  /** The position of the latest suspicion; -Infinity if there was none. */
  latestSuspicion = -Infinity;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get health(): Health {
    return this.#health;
  }

  /** Holds expiries back from now on, as a suspicion does, without turning stale: for a new watcher. */
  holdBack(): void {
    this.latestSuspicion = Math.max(this.latestSuspicion, this.#parts.time.position);
  }

  suspect(why: string): void {
    this.holdBack();
    if (this.#health.state === "stale") return;
    const delay = this.#parts.namespace.delay?.();
    const reason = delay === undefined ? why : `${why}; ${delay}`;
    this.#set({ state: "stale", reason, since: new Date(this.#parts.clock.now()) });
    this.#parts.log.warn(`stale: ${reason}`);
  }

  markHealthy(): void {
    if (this.#health.state === "healthy") return;
    this.#set({ state: "healthy" });
    this.#parts.log.info("healthy");
  }

  #set(health: Health): void {
    this.#health = health;
    this.#parts.events.emit("health", health);
  }
}
