/** What a presence emits. */
import type { Health } from "./context/health.ts";

/** This process could not ping for so long that others may have reported its keys dead. */
export interface Lapse {
  /** When its last ping was acknowledged, by this machine's wall clock. */
  readonly from: Date;
  /** When the lapse was noticed, by this machine's wall clock. */
  readonly to: Date;
}

/** A presence's events. */
export interface PresenceEvents {
  /**
   * Fires when the health turns `stale`, and when it turns `healthy` again. Does not fire at the start, nor for a further
   * suspicion while it is stale.
   */
  health: [health: Health];
  /**
   * Fires when this process could not ping for so long that others may have reported its keys dead: as soon as
   * `vouchedUntil` has passed; after a pause of the process, as soon as it goes on; after a sleep of the machine or a
   * forward step of the store's clock, at the next ping. Fires once a lapse. Does not fire before anything was held or
   * watched. What is held comes back by itself as soon as the store answers.
   */
  lapse: [lapse: Lapse];
  /** Fires once, when the presence has closed. */
  close: [];
}
