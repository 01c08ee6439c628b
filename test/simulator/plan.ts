/** What will happen in one run: plain data, so that a failing run can be kept, and made shorter. */
export type Target = string | { readonly prefix: string } | { readonly all: true };

export interface ActorPlan {
  readonly keys: readonly string[];
  readonly watches: readonly Target[];
  /** In periods: 0 is at the start; later is a late joiner. */
  readonly joinsAt: number;
  readonly drift: number;
  readonly wallAheadPeriods: number;
  readonly feed: "auto" | "poll";
  /** It may only read, through a router whose clock is ahead of the store's by so many periods. */
  readonly routerAhead?: number;
}

/** What can befall the links of some actors. `lag`: how old what is shown is, in periods. */
export type Trouble =
  | { readonly kind: "fail" | "hold" | "lose" | "silent" }
  | { readonly kind: "slow"; readonly periods: number }
  | { readonly kind: "mess"; readonly periods: number }
  | { readonly kind: "flaky"; readonly chance: number }
  | { readonly kind: "cut" }
  /** The store does one call after the other, each for so long: calls wait in line, those of a ping too. */
  | { readonly kind: "queue"; readonly periods: number }
  /**
   * The program has queries of its own in the pool of its client, each for up to so long: a call waits for one of so
   * many connections.
   */
  | { readonly kind: "pool"; readonly connections: number; readonly periods: number }
  /** The server is standalone, and has no feeds; afterwards it is a replica set. */
  | { readonly kind: "standalone" }
  /** A majority has each write so much later: it is acknowledged then, and reads show it then. */
  | { readonly kind: "majority lags"; readonly periods: number }
  /** A process has stopped in the middle of a write, and keeps the lock of an embedded store. */
  | { readonly kind: "locked" }
  /** The store refuses everything, as one does whose users are being changed. */
  | { readonly kind: "refuse" }
  | { readonly kind: "stale"; readonly chance: number; readonly lag: number; readonly follows: boolean };

/** All times are in periods. */
export type SimEvent =
  | {
      readonly at: number;
      readonly do: "trouble";
      readonly actors: readonly number[] | "all";
      readonly trouble: Trouble;
      readonly lasts: number;
      /** How much later than the first the last comes back. */
      readonly stagger: number;
    }
  | {
      readonly at: number;
      readonly do: "pause";
      readonly actors: readonly number[] | "all";
      readonly lasts: number;
      /** Its machine sleeps: the monotonic clock stands still. */
      readonly sleeps?: boolean;
    }
  | {
      readonly at: number;
      readonly do: "crash";
      readonly actor: number;
      readonly backAfter?: number;
    }
  | {
      readonly at: number;
      readonly do: "close";
      readonly actor: number;
      readonly linger: boolean;
      readonly backAfter: number;
    }
  | {
      readonly at: number;
      readonly do: "stop" | "kill";
      readonly actor: number;
      readonly key: number;
      readonly backAfter: number;
    }
  | {
      readonly at: number;
      readonly do: "hold";
      readonly actor: number;
      readonly key: number;
      readonly periods: number;
      readonly backAfter: number;
    }
  | { readonly at: number; readonly do: "update"; readonly actor: number; readonly key: number }
  | { readonly at: number; readonly do: "kill by other"; readonly actor: number; readonly key: string }
  | {
      readonly at: number;
      readonly do: "unwatch" | "watch" | "prune" | "list" | "sync";
      readonly actor: number;
    }
  | { readonly at: number; readonly do: "lose feed"; readonly actor: number }
  | { readonly at: number; readonly do: "step wall"; readonly actor: number; readonly periods: number }
  | { readonly at: number; readonly do: "step store"; readonly periods: number }
  | {
      readonly at: number;
      readonly do: "destroy";
      readonly what: "sessions" | "registrations" | "pings";
      /** Of all that there are: 1 is all. */
      readonly share: number;
      /** Whether feeds are lost with it, as when a whole collection is dropped. */
      readonly losesFeeds: boolean;
    };

export interface Plan {
  readonly seed: number;
  readonly periodMs: number;
  readonly retentionSlots: number;
  readonly notices: boolean;
  readonly storeDrift: number;
  /** How long things happen, in periods; some quiet ones follow. */
  readonly periods: number;
  readonly actors: readonly ActorPlan[];
  readonly events: readonly SimEvent[];
}
