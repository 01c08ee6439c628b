/** Draws a plan from a seed. */
import type { ActorPlan, Plan, SimEvent, Target, Trouble } from "./plan.ts";
import { Random } from "./random.ts";

/** What an event is drawn from. Times are in periods. */
interface Draw {
  readonly random: Random;
  readonly actors: readonly ActorPlan[];
  readonly at: number;
  readonly actor: number;
  readonly key: number;
  /** Some of the actors. */
  readonly some: readonly number[];
  readonly lasts: number;
  readonly backAfter: number;
}

const KINDS = {
  outage: ({ random, at, lasts }: Draw): SimEvent[] => [
    befall(at, "all", drawOutage(random), lasts, stagger(random)),
  ],
  outages: ({ random, at }: Draw): SimEvent[] => {
    const outage = drawOutage(random);
    return Array.from({ length: random.whole(2, 5) }, (_, i) => {
      const trouble = random.chance(0.7) ? outage : drawOutage(random);
      const begins = at + (i === 0 ? 0 : random.between(0, 8));
      return befall(begins, "all", trouble, random.between(0.01, 2), stagger(random));
    });
  },
  link: ({ random, at, some, lasts }: Draw): SimEvent[] => [befall(at, some, drawOutage(random), lasts)],
  flaky: ({ random, at, some, lasts }: Draw): SimEvent[] => {
    const chance = random.between(0.05, 0.4);
    return [befall(at, random.chance(0.5) ? "all" : some, { kind: "flaky", chance }, lasts * 3)];
  },
  cut: ({ random, at, some, lasts }: Draw): SimEvent[] => [
    befall(at, some, { kind: "cut" }, lasts, random.between(0, 0.5)),
  ],
  stale: ({ random, at, actors, some, lasts }: Draw): SimEvent[] => {
    const chance = random.chance(0.4) ? 1 : random.between(0.1, 0.9);
    // Never from before the namespace was set up: that looks like one that was dropped.
    const setUp = Math.min(...actors.map(({ joinsAt }) => joinsAt)) + 2;
    const lagMax = Math.max(0, Math.min(6, at - setUp));
    const lag = random.chance(0.3) ? Math.min(lagMax, random.between(0, 0.5)) : random.between(0, lagMax);
    const trouble: Trouble = { kind: "stale", chance, lag, follows: random.chance(0.5) };
    const who = random.chance(0.4) ? "all" : some;
    return at < setUp ? [] : [befall(at, who, trouble, lasts)];
  },
  pause: ({ random, at, actor, lasts }: Draw): SimEvent[] => [
    { at, do: "pause", actors: random.chance(0.1) ? "all" : [actor], lasts },
  ],
  sleep: ({ at, actor, lasts }: Draw): SimEvent[] => [
    { at, do: "pause", actors: [actor], lasts, sleeps: true },
  ],
  crash: ({ random, at, actor, backAfter }: Draw): SimEvent[] => [
    random.chance(0.4) ? { at, do: "crash", actor } : { at, do: "crash", actor, backAfter },
  ],
  /** A watcher that starts in an outage, and so reads first right after it. */
  comer: ({ random, at, lasts }: Draw): SimEvent[] => [
    befall(at, "all", drawOutage(random), lasts, stagger(random)),
    { at: at + lasts * 0.1, do: "crash", actor: 0, backAfter: lasts * random.between(0.3, 0.9) },
  ],
  close: ({ random, at, actor, backAfter }: Draw): SimEvent[] => [
    { at, do: "close", actor, linger: random.chance(0.5), backAfter },
  ],
  pinger: ({ random, at, actor, key, backAfter }: Draw): SimEvent[] => [
    { at, do: random.chance(0.6) ? "stop" : "kill", actor, key, backAfter },
  ],
  hold: ({ random, at, actor, key, backAfter }: Draw): SimEvent[] => [
    { at, do: "hold", actor, key, periods: random.between(0, 12), backAfter },
  ],
  update: ({ at, actor, key }: Draw): SimEvent[] => [{ at, do: "update", actor, key }],
  kill: ({ random, at, actor, actors }: Draw): SimEvent[] => {
    const named = actors.flatMap(({ keys }) => keys);
    return [{ at, do: "kill by other", actor, key: named.length === 0 ? "nobody" : random.pick(named) }];
  },
  feed: ({ random, at, actor, some, lasts }: Draw): SimEvent[] => {
    if (random.chance(0.4)) return [{ at, do: "lose feed", actor }];
    const silent: Trouble = { kind: "silent" };
    const trouble: Trouble = random.chance(0.5) ? silent : { kind: "mess", periods: random.between(0.1, 4) };
    return [befall(at, random.chance(0.5) ? "all" : some, trouble, lasts * 2)];
  },
  watch: ({ random, at, actor }: Draw): SimEvent[] => [
    { at, do: random.chance(0.5) ? "watch" : "unwatch", actor },
  ],
  prune: ({ at, actor }: Draw): SimEvent[] => [{ at, do: "prune", actor }],
  read: ({ random, at, actor }: Draw): SimEvent[] => [
    { at, do: random.chance(0.5) ? "list" : "sync", actor },
  ],
  wall: ({ random, at, actor }: Draw): SimEvent[] => [
    { at, do: "step wall", actor, periods: random.between(-12, 12) },
  ],
  store: ({ random, at }: Draw): SimEvent[] => {
    // A smaller step is within what the slots allow for, and may be noticed only a minute later.
    const size = random.chance(0.3) ? random.between(0.2, 1) : random.between(1, 12);
    return [{ at, do: "step store", periods: random.chance(0.5) ? size : -size }];
  },
  destroy: ({ random, at }: Draw): SimEvent[] => {
    const what = random.pick(["sessions", "registrations", "registrations", "pings"] as const);
    const share = random.chance(0.5) ? 1 : random.next();
    return [{ at, do: "destroy", what, share, losesFeeds: share === 1 && random.chance(0.5) }];
  },
  /** A store at the end of its capacity, or with a slow majority; the heartbeat waits with all else. */
  queue: ({ random, at, actors, lasts }: Draw): SimEvent[] => {
    const periods = random.between(0.01, 0.3) / actors.length;
    return [befall(at, "all", { kind: "queue", periods }, lasts * 2)];
  },
  majority: ({ random, at, actors, lasts }: Draw): SimEvent[] => {
    const setUp = Math.min(...actors.map(({ joinsAt }) => joinsAt)) + 2;
    const periods = random.chance(0.6) ? random.between(0.02, 0.5) : random.between(0.5, 2);
    return at - periods < setUp ? [] : [befall(at, "all", { kind: "majority lags", periods }, lasts * 2)];
  },
  refuse: ({ random, at, some, lasts }: Draw): SimEvent[] => [
    befall(at, random.chance(0.5) ? "all" : some, { kind: "refuse" }, lasts),
  ],
  /** The pool of its client is full of a program's own queries. */
  pool: ({ random, at, some, lasts }: Draw): SimEvent[] => {
    const periods = random.chance(0.7) ? random.between(0.01, 0.2) : random.between(0.2, 2);
    return [befall(at, some, { kind: "pool", connections: random.whole(1, 5), periods }, lasts * 2)];
  },
  /** On an embedded store: a process is stopped in the middle of a write. */
  lock: ({ at, actor, lasts }: Draw): SimEvent[] => [
    { at, do: "pause", actors: [actor], lasts },
    befall(at, "all", { kind: "locked" }, lasts),
  ],
  /** A standalone server, which becomes a replica set. */
  standalone: ({ at, lasts }: Draw): SimEvent[] => [befall(at, "all", { kind: "standalone" }, lasts)],
  /** Steps of the store's clock at any frequency. */
  steps: ({ random, at }: Draw): SimEvent[] =>
    Array.from({ length: random.whole(2, 5) }, (_, i) => ({
      at: at + i * random.between(0.1, 5),
      do: "step store",
      periods: random.between(-6, 6),
    })),
} satisfies Record<string, (draw: Draw) => SimEvent[]>;

export type Kind = keyof typeof KINDS;

export function isKind(name: string): name is Kind {
  return name in KINDS;
}

const OFTEN: readonly Kind[] = ["outage", "outages", "link", "pause", "crash", "pinger"];
/** Kinds that are drawn in addition, in some runs: so the others stay as their seeds have drawn them before. */
const ADDED: readonly Kind[] = ["queue", "majority", "refuse", "pool", "lock", "standalone", "steps"];
const ADDED_CHANCE = 0.3;
const READER_CHANCE = 0.1;
const ALL = [...(Object.keys(KINDS) as Kind[]).filter((kind) => !ADDED.includes(kind)), ...OFTEN];

/** `from`: the kinds of events that may happen; all by default. */
export function drawPlan(seed: number, from: readonly Kind[] = ALL): Plan {
  const random = new Random(seed);
  const actors = drawActors(random);
  const periods = random.whole(14, 40);
  // Few kinds a run, each a few times: what goes wrong together is found sooner than with a little of everything.
  const kinds = Array.from({ length: random.whole(1, 6) }, () => random.pick(from));
  const events: SimEvent[] = [];
  for (let left = random.whole(2, 14); left > 0; left--) {
    events.push(...drawEvents(random, random.pick(kinds), 4 + random.between(0, periods), actors));
  }
  events.sort((a, b) => a.at - b.at);
  const plan = {
    seed,
    periodMs: random.pick([1000, 5000, 5000]),
    retentionSlots: random.pick([12, 20, 120]),
    notices: random.chance(0.5),
    storeDrift: random.between(-1e-4, 1e-4),
    periods: periods + 4,
    actors,
    events: spaceSteps(events),
  };
  if (from !== ALL) return plan;
  const added = drawAdded(seed, periods, actors);
  return { ...plan, actors: drawReader(seed, actors), events: [...plan.events, ...added] };
}

const CROWD = 20;

/** Twenty processes, three of which watch; a storm of faults of all kinds that programs meet often. */
export function drawCrowd(seed: number, keysEach: number): Plan {
  const random = new Random(seed);
  const actors = Array.from({ length: CROWD }, (_, i): ActorPlan => {
    const all: Target[] = [{ all: true }];
    return {
      keys: Array.from({ length: keysEach }, (__, key) => `web/${i}/${key}`),
      watches: i < 2 ? all : i === 2 ? [{ prefix: "web/1" }] : [],
      joinsAt: random.between(0, 1.5),
      drift: random.between(-1e-4, 1e-4),
      wallAheadPeriods: random.between(-1, 1),
      feed: i === 1 ? "poll" : "auto",
    };
  });
  const kinds: readonly Kind[] = ["outage", "link", "queue", "pause", "crash", "pinger", "update", "kill"];
  const periods = 24;
  const events = kinds.flatMap((kind) => [
    ...drawEvents(random, kind, 4 + random.between(0, periods), actors),
    ...drawEvents(random, kind, 4 + random.between(0, periods), actors),
  ]);
  const settings = { periodMs: 5000, retentionSlots: 20, notices: true, storeDrift: 0 };
  return { seed, ...settings, periods: periods + 4, actors, events };
}

function drawAdded(seed: number, periods: number, actors: readonly ActorPlan[]): SimEvent[] {
  const random = new Random(seed ^ 0x5bd1e995);
  if (!random.chance(ADDED_CHANCE)) return [];
  const kind = random.pick(ADDED);
  return Array.from({ length: random.whole(1, 3) }, () =>
    drawEvents(random, kind, 4 + random.between(0, periods), actors),
  ).flat();
}

/** In some runs the first process, if it holds nothing, may only read, through a router with a clock of its own. */
function drawReader(seed: number, [first, ...others]: readonly ActorPlan[]): readonly ActorPlan[] {
  const random = new Random(seed ^ 0x2545f491);
  if (first === undefined) return others;
  if (first.keys.length > 0 || !random.chance(READER_CHANCE)) return [first, ...others];
  return [{ ...first, routerAhead: random.chance(0.3) ? 0 : random.between(-4, 4) }, ...others];
}

/** So that some crashes are reported: a step of the store's clock is a suspicion for six periods. */
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
  return KINDS[kind]({
    random,
    actors,
    at,
    actor: random.whole(0, actors.length - 1),
    key: random.whole(0, 2),
    some: actors.map((_, i) => i).filter(() => random.chance(0.4)),
    lasts: drawLength(random),
    backAfter: random.chance(0.5) ? random.between(0.01, 2) : random.between(0.01, 12),
  });
}

function befall(
  at: number,
  actors: readonly number[] | "all",
  trouble: Trouble,
  lasts: number,
  lastComesLater = 0,
): SimEvent {
  return { at, do: "trouble", actors, trouble, lasts, stagger: lastComesLater };
}

/** From some ms to many slots. */
function drawLength(random: Random): number {
  if (random.chance(0.25)) return random.between(0.002, 0.2);
  if (random.chance(0.4)) return random.between(0.2, 1.2);
  return random.chance(0.85) ? random.between(1, 6) : random.between(6, 16);
}

/** How much later than the first the last process comes back from an outage of all. */
function stagger(random: Random): number {
  return random.between(0, 0.8);
}

function drawOutage(random: Random): Trouble {
  const kind = random.pick(["fail", "hold", "lose", "slow"] as const);
  return kind === "slow" ? { kind: "slow", periods: random.between(0.02, 1.5) } : { kind };
}
