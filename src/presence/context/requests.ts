/**
 * Requests to the slot loop, in addition to its schedule. Events - the store was lost and found, its clock stepped, a
 * lapse, mail - act only through a request, which brings the next turn of the loop forward.
 */
export type Request =
  /** Ping at once: the store answers again, or another slot is current. */
  | "ping"
  /** Ask for the store's time: its bounds are too wide. */
  | "time"
  /** Read the config, and which of our records have been ended: there is mail. */
  | "mail"
  /** Compare everything that is held with what is stored: records may be missing. */
  | "reconcile"
  /** Touch the session's record and compare: a lapse is over, others may have reported the keys dead. */
  | "recover"
  /** Read everything that is watched again: changes may have been missed. */
  | "resync"
  /** Read the changes now. */
  | "poll"
  /** Open the change feed, if it is not open. */
  | "feed"
  /** Set the namespace up again if the store has lost it: the store was found again. */
  | "restore"
  /** Read the config: the namespace may have been dropped, or its offset raised. */
  | "config"
  /** Leave mail for the processes that may not know of the offset, if we have raised it. */
  | "announceOffset";
