/** What will happen in one run: drawn from a seed, plain data, so that a failing run can be made shorter. */
import { Random } from "./random.ts";

export type Target = string | { readonly prefix: string } | { readonly all: true };

export interface ActorPlan {
  readonly keys: readonly string[];
  readonly watches: readonly Target[];
  /** In periods: 0 is at the start; later is a late joiner. */
  readonly joinsAt: number;
  readonly drift: number;
  readonly wallAheadPeriods: number;
  readonly feed: "auto" | "poll";
}

/** What can befall the links of some actors. `lag`: how old what is shown is, in periods. */
export type Trouble =
  | { readonly kind: "fail" | "hold" | "lose" | "silent" }
  | { readonly kind: "slow"; readonly periods: number }
  | { readonly kind: "mess"; readonly periods: number }
  | { readonly kind: "flaky"; readonly chance: number }
  | { readonly kind: "cut" }
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
    }
  | {
      readonly at: number;
      readonly do: "crash";
      readonly actor: number;
      readonly backAfter: number | undefined;
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
  | { readonly at: number; readonly do: "step store"; readonly periods: number };

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

const KINDS = [
  "outage",
  "outage",
  "outages",
  "link",
  "link",
  "flaky",
  "cut",
  "stale",
  "pause",
  "pause",
  "crash",
  "crash",
  "close",
  "pinger",
  "pinger",
  "hold",
  "update",
  "kill",
  "feed",
  "watch",
  "prune",
  "wall",
  "store clock",
  "read",
] as const;
type Kind = (typeof KINDS)[number];

export function drawPlan(seed: number): Plan {
  const random = new Random(seed);
  const actors = drawActors(random);
  const periods = random.whole(14, 40);
  // Few kinds a run, each a few times: what goes wrong together is found sooner than with a little of everything.
  const kinds = Array.from({ length: random.whole(1, 6) }, () => random.pick(KINDS));
  const events: SimEvent[] = [];
  const count = random.whole(2, 14);
  for (let i = 0; i < count; i++) {
    events.push(...drawEvents(random, random.pick(kinds), 4 + random.between(0, periods), actors));
  }
  events.sort((a, b) => a.at - b.at);
  return {
    seed,
    periodMs: random.pick([1000, 5000, 5000]),
    retentionSlots: random.pick([12, 20, 120]),
    notices: random.chance(0.5),
    storeDrift: random.between(-1e-4, 1e-4),
    periods: periods + 4,
    actors,
    events: spaceSteps(events),
  };
}

/** The rule allows for a step of the store's clock each six periods. */
const STEPS_APART = 6;

function spaceSteps(events: readonly SimEvent[]): SimEvent[] {
  let latest = -Infinity;
  return events.filter((event) => {
    if (event.do !== "step store") return true;
    if (event.at - latest < STEPS_APART) return false;
    latest = event.at;
    return true;
  });
}

function drawActors(random: Random): ActorPlan[] {
  const count = random.whole(3, 7);
  const feeds = random.chance(0.7);
  return Array.from({ length: count }, (_, i) => {
    const keys: string[] = [];
    if (i > 0) keys.push(`web/${i}`);
    if (random.chance(0.4)) keys.push("pair");
    if (random.chance(0.2)) keys.push(`db/${i}`);
    const watches: Target[] = [];
    if (i === 0 || random.chance(0.35)) watches.push(drawTarget(random, count));
    if (random.chance(0.15)) watches.push(drawTarget(random, count));
    return {
      keys,
      watches: i === 0 && random.chance(0.7) ? [{ all: true }] : watches,
      joinsAt: random.chance(0.2) ? random.between(3, 25) : random.between(0, 1.5),
      drift: random.between(-1e-4, 1e-4),
      wallAheadPeriods: random.chance(0.3) ? random.between(-50, 50) : random.between(-0.1, 0.1),
      feed: feeds && random.chance(0.8) ? "auto" : "poll",
    };
  });
}

function drawTarget(random: Random, actors: number): Target {
  if (random.chance(0.4)) return { all: true };
  if (random.chance(0.4)) return { prefix: random.pick(["web/", "db/", "pa"]) };
  return random.pick(["pair", `web/${random.whole(1, actors)}`, "nobody"]);
}

function drawEvents(random: Random, kind: Kind, at: number, actors: readonly ActorPlan[]): SimEvent[] {
  const actor = random.whole(0, actors.length - 1);
  const key = random.whole(0, 2);
  const lasts = drawLength(random);
  const some = actors.map((_, i) => i).filter(() => random.chance(0.4));
  const backAfter = random.chance(0.5) ? random.between(0, 2) : random.between(0, 12);
  switch (kind) {
    case "outage":
      return [
        {
          at,
          do: "trouble",
          actors: "all",
          trouble: drawOutage(random),
          lasts,
          stagger: random.between(0, 0.8),
        },
      ];
    case "outages": {
      const trouble = drawOutage(random);
      return Array.from({ length: random.whole(2, 5) }, (_, i) => ({
        at: at + (i === 0 ? 0 : random.between(0, 8)),
        do: "trouble" as const,
        actors: "all" as const,
        trouble: random.chance(0.7) ? trouble : drawOutage(random),
        lasts: random.between(0.01, 2),
        stagger: random.between(0, 0.8),
      }));
    }
    case "link":
      return [{ at, do: "trouble", actors: some, trouble: drawOutage(random), lasts, stagger: 0 }];
    case "flaky": {
      const trouble: Trouble = { kind: "flaky", chance: random.between(0.05, 0.4) };
      return [
        {
          at,
          do: "trouble",
          actors: random.chance(0.5) ? "all" : some,
          trouble,
          lasts: lasts * 3,
          stagger: 0,
        },
      ];
    }
    case "cut":
      return [
        { at, do: "trouble", actors: some, trouble: { kind: "cut" }, lasts, stagger: random.between(0, 0.5) },
      ];
    case "stale": {
      const chance = random.chance(0.4) ? 1 : random.between(0.1, 0.9);
      // Never from before the namespace was set up: that looks like one that was dropped.
      const lag = random.chance(0.3) ? random.between(0, 0.5) : random.between(0, Math.min(6, at - 3));
      const trouble: Trouble = { kind: "stale", chance, lag, follows: random.chance(0.5) };
      return [{ at, do: "trouble", actors: random.chance(0.4) ? "all" : some, trouble, lasts, stagger: 0 }];
    }
    case "pause":
      return [{ at, do: "pause", actors: random.chance(0.1) ? "all" : [actor], lasts }];
    case "crash":
      return [{ at, do: "crash", actor, backAfter: random.chance(0.4) ? undefined : backAfter }];
    case "close":
      return [{ at, do: "close", actor, linger: random.chance(0.5), backAfter: backAfter + 0.01 }];
    case "pinger":
      return [{ at, do: random.chance(0.6) ? "stop" : "kill", actor, key, backAfter }];
    case "hold":
      return [{ at, do: "hold", actor, key, periods: random.between(0, 12), backAfter }];
    case "update":
      return [{ at, do: "update", actor, key }];
    case "kill": {
      const named = actors.flatMap(({ keys }) => keys);
      return [{ at, do: "kill by other", actor, key: named.length === 0 ? "nobody" : random.pick(named) }];
    }
    case "feed": {
      if (random.chance(0.4)) return [{ at, do: "lose feed", actor }];
      const silent: Trouble = { kind: "silent" };
      const trouble: Trouble = random.chance(0.5)
        ? silent
        : { kind: "mess", periods: random.between(0.1, 4) };
      return [
        {
          at,
          do: "trouble",
          actors: random.chance(0.5) ? "all" : some,
          trouble,
          lasts: lasts * 2,
          stagger: 0,
        },
      ];
    }
    case "watch":
      return [{ at, do: random.chance(0.5) ? "watch" : "unwatch", actor }];
    case "prune":
      return [{ at, do: "prune", actor }];
    case "read":
      return [{ at, do: random.chance(0.5) ? "list" : "sync", actor }];
    case "wall":
      return [{ at, do: "step wall", actor, periods: random.between(-12, 12) }];
    case "store clock":
      return [
        {
          at,
          do: "step store",
          periods: random.chance(0.3) ? random.between(-1, 1) : random.between(-12, 12),
        },
      ];
  }
}

/** From some ms to many slots. */
function drawLength(random: Random): number {
  if (random.chance(0.25)) return random.between(0.002, 0.2);
  if (random.chance(0.4)) return random.between(0.2, 1.2);
  return random.chance(0.85) ? random.between(1, 6) : random.between(6, 16);
}

function drawOutage(random: Random): Trouble {
  const kind = random.pick(["fail", "hold", "lose", "slow"] as const);
  return kind === "slow" ? { kind: "slow", periods: random.between(0.02, 1.5) } : { kind };
}
