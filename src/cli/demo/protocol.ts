/** The messages between the demo and its worker processes. */

/** Orders from the demo to a worker. Each is answered when it is done. */
export type Order =
  /**
   * Opens the namespace and starts to hold the key. (The store may have a password, so it is not on the command line.)
   */
  | {
      readonly do: "start";
      readonly store: string;
      readonly name: string;
      readonly periodMs: number;
      readonly key: string;
    }
  | { readonly do: "stop" | "kill" | "report" | "end" }
  /** Stops the pinger, and starts it again that many ms later. */
  | { readonly do: "restart"; readonly afterMs: number }
  /** If the demo is gone, resumes this process, so that it can end too. */
  | { readonly do: "guard"; readonly pid: number };

/** Answers from a worker to the demo. Times are of the machine's wall clock, in ms, which all processes share. */
export type Message =
  | {
      readonly kind: "done";
      /** When it carried the order out: for `start` when others could see the key, otherwise just before the call. */
      readonly atMs: number;
      /** The worker's `vouchedUntil`. */
      readonly vouchedUntilMs: number;
    }
  | { readonly kind: "failed"; readonly reason: string }
  /** It could not ping for so long that it may have been reported dead. */
  | { readonly kind: "lapse"; readonly fromMs: number; readonly toMs: number };
