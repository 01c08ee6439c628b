/**
 * What the judge reads: what the programs of some processes logged, and what was done to them. The simulator and the
 * fault runs write the same log. All times are ms of one clock: the simulator's true time, or the monotonic clock that
 * the processes of one machine share.
 */

/** Which keys a subscription is about. */
export type Target = string | { readonly prefix: string } | { readonly all: true };

/** What a program that uses heartbit can log: what it called, and what it learned. */
export type Line = { readonly t: number } &
  /** It has opened its presence. */
  (
    | { readonly e: "opened" }
    | { readonly e: "watches"; readonly id: string; readonly target: Target }
    | { readonly e: "unwatches"; readonly id: string }
    /** It has stopped its watcher, with or without subscriptions. */
    | { readonly e: "stops watching" }
    | { readonly e: "reported"; readonly id: string; readonly change: Reported }
    /** `start` was called, and has resolved. `n` counts the starts of the pinger; each key has one. */
    | { readonly e: "starting" | "started"; readonly key: string; readonly n: number }
    /** `stop` or `kill` of the pinger was called, and has resolved. */
    | {
        readonly e: "ending";
        readonly key: string;
        readonly n: number;
        readonly how: "stopped" | "killed";
        readonly holdMs?: number;
      }
    | { readonly e: "ended"; readonly key: string; readonly n: number }
    | { readonly e: "updating" | "updated"; readonly key: string; readonly meta: string }
    /** The event `killed` of the pinger. */
    | { readonly e: "killed"; readonly key: string }
    /** `kill` of a key that another holds was called; the store did it. The latter may come alone, once each time. */
    | { readonly e: "kills" | "has killed"; readonly key: string }
    | { readonly e: "closing"; readonly linger: boolean }
    | { readonly e: "closed" }
    /** From here on it pings under this number. */
    | { readonly e: "session"; readonly session: number | null }
    /** `vouchedUntil`, in the time of the log. */
    | { readonly e: "lease"; readonly until: number }
    | { readonly e: "lapse" }
    /** The wall clock of its machine was set. */
    | { readonly e: "clock set" }
    | { readonly e: "health"; readonly state: "healthy" | "stale"; readonly reason?: string }
    /** Once a period: the event loop turns. */
    | { readonly e: "turns" }
    /** The event loop did not turn since `from`. */
    | { readonly e: "late"; readonly from: number }
    /** What must never happen: a watcher that failed, an uncaught error, a warning. */
    | { readonly e: "broken"; readonly why: string }
  );

export interface Reported {
  readonly key: string;
  readonly alive: boolean;
  readonly cause: string;
  readonly holders: readonly {
    readonly session: number;
    /** Since when it holds the key: another one after each start. */
    readonly since: number;
    readonly meta: string;
  }[];
}

/** One life of one process. */
export interface Life {
  readonly name: string;
  readonly life: number;
  readonly from: number;
  /** Infinity if it was alive at the end. */
  readonly to: number;
  /** `exited`: by itself, which none must. */
  readonly how: "crashed" | "closed" | "exited" | "lives";
  readonly lines: readonly Line[];
}

/**
 * What a fault does to the processes that it hits.
 *
 * - `cut off`: they cannot write
 * - `held`: what they send is done when the fault is over
 * - `hampered`: what they send may be late, or lost
 * - `disturbed`: they write in time, but have a reason to doubt what they read
 */
export type Effect = "cut off" | "held" | "hampered" | "disturbed";

export interface Fault {
  /** What was done. */
  readonly kind: string;
  /** Names of processes (each of their lives), or of single lives. */
  readonly who: "all" | readonly string[];
  readonly from: number;
  /** Infinity if it was not over at the end. */
  readonly to: number;
  readonly effect: Effect;
  /** Only its change feed is silent or out of order, which is a hint: no reason for a suspicion. */
  readonly isHint?: boolean;
  /** Calls are not answered, or the clocks do not show it: it takes a while to notice that it is over. */
  readonly isQuiet?: boolean;
  /** Its programs do not run meanwhile. */
  readonly isPause?: boolean;
  /** Its machine sleeps meanwhile. */
  readonly isSleep?: boolean;
  /** The wall clock of its machine was set back while it slept. */
  readonly setsBack?: boolean;
  /** It reads from a member that lags, or has been deposed. */
  readonly mayLag?: boolean;
  /** How old what it reads is, in ms; if it stands still, that grows. */
  readonly lagMs?: number;
  readonly standsStill?: boolean;
  /** It has the time of a clock that is so far ahead of the store's, in ms. */
  readonly aheadMs?: number;
  /** By how much the store's clock steps, in ms. */
  readonly stepMs?: number;
  /** What was acknowledged is lost: the latest of it; some of what is stored; all of it. */
  readonly loses?: "the latest" | "some" | "all";
}

export interface Counts {
  readonly t: number;
  readonly sessions: number;
  readonly registrations: number;
  /** Slots that have pings, for each segment of sessions. */
  readonly pings: number;
}

export interface Log {
  readonly periodMs: number;
  readonly retentionSlots: number;
  /** What a read and a ping take together when nothing is wrong, in ms. */
  readonly roundTripMs: number;
  /** How long a process takes to find a store again that is back, in ms: the driver looks for it from time to time. */
  readonly reconnectMs: number;
  readonly faults: readonly Fault[];
  readonly lives: readonly Life[];
  readonly counts: readonly Counts[];
  readonly from: number;
  readonly to: number;
}
