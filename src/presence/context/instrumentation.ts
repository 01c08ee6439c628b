/** Events inside a presence, for metrics: see `internals.ts`. */
import type { Transition } from "../../core/roster.ts";
import type { Pruned } from "../../core/store.ts";

export interface Instrumentation {
  /** A ping was acknowledged; or the pings, or the changes, were read. */
  answered: [what: "ping" | "read", tookMs: number];
  /** A ping or a read failed, or was given up. */
  failed: [what: "ping" | "read"];
  /**
   * A change was reported to the watchers of the key. `silentMs`, for a key that expired: the time since the start of
   * the slot of its last ping, by the store's clock.
   */
  reported: [cause: Transition, silentMs: number | undefined];
  /** The feed ended by itself. */
  feedLost: [];
  pruned: [pruned: Pruned];
}
