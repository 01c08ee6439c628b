/** What happens inside of a presence, for whoever counts it: see `inside.ts`. */
import type { Transition } from "../../core/roster.ts";
import type { Pruned } from "../../core/store.ts";

export interface Happenings {
  /** A ping was acknowledged, or the pings and changes of a slot were read. */
  answered: [what: "ping" | "read", tookMs: number];
  /** A ping or a read failed, or was given up. */
  failed: [what: "ping" | "read"];
  /**
   * A change was put to those who asked for it. `silentMs`, of a key that expired: from the start of the slot in which
   * it was vouched for last, by the store's time.
   */
  told: [cause: Transition, silentMs: number | undefined];
  /** The feed ended by itself. */
  feedLost: [];
  pruned: [pruned: Pruned];
}
