/** What the demo and its worker processes say to each other. */

/** From the demo to a worker; each is answered when it is done. */
export type Order =
  /** Opens the namespace and starts to hold the key. The store may hold a password: it is not for the command line. */
  | {
      readonly do: "start";
      readonly store: string;
      readonly name: string;
      readonly periodMs: number;
      readonly key: string;
    }
  | { readonly do: "stop" | "kill" | "report" | "end" }
  /** Stops the pinger, and starts it again so many ms later. */
  | { readonly do: "restart"; readonly afterMs: number }
  /** If the demo is gone, wakes this process, so that it can end too. */
  | { readonly do: "guard"; readonly pid: number };

/** From a worker to the demo. Times are of the machine's wall clock, in ms: the same for all of its processes. */
export type Message =
  | {
      readonly kind: "done";
      /** When it did what was ordered: for `start` when others could see the key, else just before the call. */
      readonly atMs: number;
      /** Until when the worker is vouched for. */
      readonly vouchedUntilMs: number;
    }
  | { readonly kind: "failed"; readonly reason: string }
  /** It could not ping for so long that it may have been told dead. */
  | { readonly kind: "lapse"; readonly fromMs: number; readonly toMs: number };
