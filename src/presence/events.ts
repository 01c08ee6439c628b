/** The events of a presence. */
import type { Lapse } from "../core/lease.ts";
import type { Health } from "./context/health.ts";

/** A presence's events. */
export interface PresenceEvents {
  /**
   * Fires when the health turns `stale`, and when it turns `healthy` again. Does not fire at the start, nor for further
   * suspicions while it is stale.
   */
  health: [health: Health];
  /**
   * Fires once when this process could not ping for so long that others may have reported its keys dead: as soon as
   * `vouchedUntil` has passed; after a pause of the process, when it continues; after a sleep of the machine or a
   * forward step of the store's clock, with the answer to the next ping. Does not fire before the presence holds or
   * watches anything, nor again before a ping has ended the lapse. The keys come back by themselves when the store
   * answers.
   */
  lapse: [lapse: Lapse];
  /** Fires once, when the presence has closed. Does not fire if opening failed. */
  close: [];
}
