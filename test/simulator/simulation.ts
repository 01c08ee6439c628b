/** One run: the real core and presence code in a simulated world, through all that its plan says. */
import { setImmediate as turn } from "node:timers/promises";
import type { PingRecord } from "../../src/core/bits.ts";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import type { Namespace } from "../../src/core/store.ts";
import type { Doomed } from "../../src/stores/memory.ts";
import { Actor } from "./actor.ts";
import { judge, type Verdict } from "../judge/judge.ts";
import type { Fault, Log } from "../judge/log.ts";
import { PERIODS } from "../judge/promises.ts";
import { Cluster } from "./cluster.ts";
import { Diary, type LifeDiary } from "../judge/diary.ts";
import { type Condition, Link } from "./link.ts";
import { Machine } from "./machine.ts";
import type { ActorPlan, Plan, SimEvent, Trouble } from "./plan.ts";
import { Random } from "./random.ts";
import { linkedStore } from "./store.ts";
import { World } from "./world.ts";

export interface Outcome {
  /** What was wrong, as sentences; the first is the cause, what follows may be its consequence. */
  readonly wrong: readonly string[];
  /** What happened and what was reported, a line each. */
  readonly trace: readonly string[];
  readonly log: Log;
  readonly verdict: Verdict;
  readonly changes: number;
}

/** A fault of the links of an actor, which its next life meets too. */
interface Active {
  readonly actor: number;
  readonly trouble: Trouble;
  readonly copy: () => Namespace;
  heal: (() => void) | undefined;
}

/** How many quiet periods follow: enough to write again what was destroyed, and to report it. */
const QUIET_PERIODS = 14;
/** How often it is noted until when each process is vouched for, in periods. */
const SAMPLED_EACH = 0.1;
/** A store that answers later than after so many periods lets writes come too late. */
const SLOW = 0.15;
/** What a read and a ping take together when nothing is wrong. */
const ROUND_TRIP = 0.1;

export async function simulate(plan: Plan): Promise<Outcome> {
  const simulation = new Simulation(plan);
  return simulation.run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #world = new World();
  readonly #cluster: Cluster;
  readonly #diary: Diary;
  readonly #actors: (Actor | undefined)[] = [];
  readonly #births: number[] = [];
  readonly #active = new Set<Active>();
  readonly #asleep = new Set<ReturnType<Diary["fault"]>>();
  /** When the wall clock of each process was last set back. */
  readonly #setBack = new Map<string, number>();
  readonly #trace: { readonly at: number; readonly what: string }[] = [];
  #changes = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#cluster = new Cluster(this.#world, plan.storeDrift);
    this.#diary = new Diary(() => this.#world.now);
  }

  async run(): Promise<Outcome> {
    const unhandled: unknown[] = [];
    const rejected = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", rejected);
    const { actors, events, periods, periodMs, retentionSlots } = this.#plan;
    for (const [i, { joinsAt }] of actors.entries()) this.#at(joinsAt, () => this.#begin(i));
    for (const event of events) this.#at(event.at, () => this.#happen(event));
    const end = Math.max(periods, ...events.map(endOf)) + QUIET_PERIODS;
    for (let time = 0; time < end; time += SAMPLED_EACH) {
      this.#at(time, () => {
        for (const actor of this.#actors) actor?.sample();
      });
    }
    await this.#world.runUntil(this.#ms(end));
    await this.#count();
    const log = structuredClone(
      this.#diary.log({ periodMs, retentionSlots, roundTripMs: this.#ms(ROUND_TRIP), reconnectMs: 0 }),
    );
    for (const actor of this.#actors) if (actor !== undefined && !actor.isOver) actor.crash();
    await turn();
    process.off("unhandledRejection", rejected);
    const verdict = judge(log);
    for (const { t, promise, what } of verdict.findings) {
      this.#trace.push({ at: t, what: `WRONG (${promise}): ${what}` });
    }
    const wrong = verdict.findings.map(({ promise, what }) => `${promise}: ${what}`);
    return {
      wrong: [...unhandled.map((error) => `unhandled: ${String(error)}`), ...wrong],
      trace: this.#trace
        .toSorted((one, other) => one.at - other.at)
        .map(({ at, what }) => `${(at / periodMs).toFixed(3).padStart(8)}  ${what}`),
      log,
      verdict,
      changes: this.#changes,
    };
  }

  async #count(): Promise<void> {
    let [registrations, sessions] = [0, 0];
    const { primary } = this.#cluster;
    const everything = { select: { all: true, keys: new Set<string>(), prefixes: new Set<string>() } };
    for await (const page of primary.read(everything)) {
      registrations += page.registrations.length;
      sessions += page.sessions.length;
    }
    this.#diary.count({ sessions, registrations, pings: (await primary.pings(-Infinity)).length });
  }

  #begin(i: number): void {
    const own = this.#plan.actors[i] as ActorPlan;
    if (this.#actors[i]?.isOver === false) return;
    const { seed, periodMs, notices } = this.#plan;
    const routerAheadMs = own.routerAhead === undefined ? undefined : own.routerAhead * periodMs;
    const number = (this.#births[i] = (this.#births[i] ?? 0) + 1);
    const random = new Random(seed * 1009 + i * 31 + number);
    const machine = new Machine(this.#world, random, {
      drift: own.drift,
      wallAheadMs: own.wallAheadPeriods * periodMs,
    });
    const link = new Link({ cluster: this.#cluster, machine, random, periodMs, notices, routerAheadMs });
    const diary = this.#diary.born(`p${i}`, number);
    if (Math.abs(own.routerAhead ?? 0) > PERIODS.clock) {
      const kind = "it may only read, through a router with another clock";
      if (number === 1)
        this.#diary.fault({ kind, who: [diary.life.name], effect: "disturbed", aheadMs: routerAheadMs ?? 0 });
    }
    const writes = new Writes(this.#diary, diary);
    const effects = {
      tried: (mayBeLost: boolean): void => writes.tried(this.#world.now, mayBeLost),
      pinged: (seq: number, sentAt: number): void => {
        writes.succeeded(sentAt);
        actor.isSession(seq);
      },
      killed: (key: string): void => diary.note({ e: "has killed", key }),
    };
    const store = linkedStore(link, effects);
    const actor: Actor = new Actor(this.#plan, own, diary, machine, link, store, {
      now: () => this.#world.now,
      note: (what) => this.#note(what),
      changed: () => {
        this.#changes++;
        for (const one of this.#actors) one?.sample();
      },
    });
    this.#actors[i] = actor;
    for (const active of this.#active) if (active.actor === i) active.heal = this.#afflict(active, actor);
    this.#note(`${actor.name} starts`);
    actor.begin();
  }

  #happen(event: SimEvent): void {
    if (event.do === "step store") {
      this.#note(`the store's clock steps by ${event.periods.toFixed(2)}`);
      const stepMs = this.#ms(event.periods);
      this.#cluster.step(stepMs);
      this.#diary.event({ kind: "the store's clock steps", who: "all", effect: "disturbed", stepMs });
    } else if (event.do === "destroy") this.#destroy(event);
    else if (event.do === "trouble") this.#trouble(event);
    else if (event.do === "pause") for (const i of this.#those(event.actors)) this.#pause(i, event);
    else this.#act(event);
  }

  #destroy({ at, what, share, losesFeeds }: DestroyEvent): void {
    const random = new Random(this.#plan.seed + Math.floor(at * 1e6));
    const chosen = new Map<string, boolean>(); // the same on the copies
    const isChosen = (...id: number[]): boolean => {
      const name = id.join(".");
      const known = chosen.get(name) ?? random.chance(share);
      chosen.set(name, known);
      return known;
    };
    const doomed: Doomed = {
      sessions: { session: ({ seq }: SessionRecord) => isChosen(seq) },
      registrations: {
        registration: ({ session, pinger, start }: RegistrationRecord) => isChosen(session, pinger, start),
      },
      pings: { ping: ({ slot, segment }: PingRecord) => isChosen(slot, segment) },
    }[what];
    this.#cluster.destroy(doomed);
    this.#note(
      `${[...chosen]
        .filter(([, is]) => is)
        .map(([id]) => id)
        .join(" ")} of the ${what} are destroyed`,
    );
    const loses = what === "registrations" && share < 1 ? "some" : "all";
    this.#diary.event({ kind: `${what} are destroyed`, who: "all", effect: "disturbed", loses });
    if (losesFeeds) for (const actor of this.#actors) actor?.link.loseFeeds("the collection was dropped");
  }

  /** What befalls one actor, or what its program does: that waits while it is paused. */
  #act(event: ActorEvent): void {
    const actor = this.#actors[event.actor];
    if (actor === undefined || actor.isOver) return;
    this.#note(`${actor.name} ${event.do}`);
    const again = (periods: number): unknown =>
      this.#world.after(this.#ms(periods), () => this.#begin(event.actor));
    if (isProgramEvent(event)) actor.machine.deliver(() => this.#program(actor, event, again));
    else if (event.do === "crash") {
      actor.crash();
      if (event.backAfter !== undefined) again(event.backAfter);
    } else if (event.do === "step wall") {
      actor.machine.step(this.#ms(event.periods));
      actor.diary.note({ e: "clock set" });
      const sleep = [...this.#asleep].find(({ who }) => who.includes(lifeName(actor)));
      if (event.periods < 0) this.#setBack.set(lifeName(actor), this.#world.now);
      if (sleep !== undefined && event.periods < 0) sleep.setsBack = true;
    } else {
      this.#diary.event({ kind: "the feed is lost", who: [actor.diary.life.name], effect: "disturbed" });
      actor.link.loseFeeds("the history was lost");
    }
  }

  #program(actor: Actor, event: ProgramEvent, again: (periods: number) => unknown): void {
    const restart = (key: number, periods: number): void => {
      this.#world.after(this.#ms(periods), () => actor.machine.deliver(() => actor.start(key)));
    };
    if (event.do === "close") {
      actor.close(event.linger);
      again(event.backAfter + 1);
    } else if (event.do === "stop" || event.do === "kill") {
      if (actor.end(event.key, event.do === "stop" ? "stopped" : "killed"))
        restart(event.key, event.backAfter);
    } else if (event.do === "hold") {
      if (actor.end(event.key, "held", this.#ms(event.periods))) restart(event.key, event.backAfter);
    } else if (event.do === "update") actor.update(event.key);
    else if (event.do === "kill by other") actor.killKey(event.key);
    else if (event.do === "unwatch") actor.unwatch(event.at % 1 < 0.3);
    else if (event.do === "watch") actor.watch(event.at % 1 < 0.5 ? { all: true } : "pair");
    else actor.call(event.do);
  }

  #pause(i: number, { lasts, sleeps = false }: PauseEvent): void {
    const actor = this.#actors[i];
    if (actor === undefined || actor.isOver) return;
    this.#note(`${actor.name} ${sleeps ? "sleeps" : "is paused"} for ${lasts.toFixed(2)}`);
    const pause = this.#diary.fault({
      kind: sleeps ? "it sleeps" : "it is paused",
      who: [lifeName(actor)],
      effect: "cut off",
      isPause: true,
      isSleep: sleeps,
      isQuiet: sleeps,
      setsBack: (this.#setBack.get(lifeName(actor)) ?? -Infinity) > this.#world.now - this.#ms(PERIODS.death),
    });
    if (sleeps) this.#asleep.add(pause);
    actor.machine.pause(sleeps);
    this.#world.after(this.#ms(lasts), () => {
      this.#note(`${actor.name} goes on`);
      pause.to = this.#world.now;
      this.#asleep.delete(pause);
      actor.machine.resume(sleeps);
    });
  }

  #trouble({ at, actors, trouble, lasts, stagger }: Extract<SimEvent, { do: "trouble" }>): void {
    const those = this.#those(actors);
    this.#note(
      `${JSON.stringify(trouble)} of ${actors === "all" ? "all" : those.join(" ")} for ${lasts.toFixed(2)}`,
    );
    const lag =
      trouble.kind === "stale" ? trouble.lag : trouble.kind === "majority lags" ? trouble.periods : 0;
    const lagMs = this.#ms(lag);
    const copies = trouble.kind === "cut" || trouble.kind === "stale" || trouble.kind === "majority lags";
    const follows = trouble.kind === "majority lags" || (trouble.kind === "stale" && trouble.follows);
    const copy = copies ? this.#cluster.copy(lagMs, follows) : () => this.#cluster.primary;
    const random = new Random(this.#plan.seed + Math.floor(at * 1e6));
    const restart = (i: number): void => {
      if (trouble.kind !== "standalone") return;
      this.#diary.event({ kind: "the server is restarted", who: [`p${i}`], effect: "disturbed" });
    };
    for (const i of those) {
      restart(i);
      const fault = this.#diary.fault({ kind: trouble.kind, who: [`p${i}`], ...this.#effectOf(trouble) });
      const active: Active = { actor: i, trouble, copy, heal: undefined };
      this.#active.add(active);
      const actor = this.#actors[i];
      if (actor !== undefined && !actor.isOver) active.heal = this.#afflict(active, actor);
      this.#world.after(this.#ms(lasts + random.between(0, stagger)), () => {
        this.#active.delete(active);
        this.#note(`${trouble.kind} is over for p${i}`);
        restart(i);
        active.heal?.();
        // What is under way then is late as well.
        fault.to = this.#world.now + this.#ms("periods" in trouble ? trouble.periods : 0);
      });
    }
  }

  #afflict(active: Active, actor: Actor): () => void {
    return actor.link.suffer(this.#conditionOf(active));
  }

  /** What it does to whom it hits. A feed that is silent or out of order is none: it is only a hint. */
  #effectOf(
    trouble: Trouble,
  ): Pick<Fault, "effect" | "isQuiet" | "mayLag" | "lagMs" | "standsStill" | "isHint"> {
    const { kind } = trouble;
    if (kind === "fail") return { effect: "cut off" };
    if (kind === "lose" || kind === "cut")
      return { effect: "cut off", isQuiet: true, mayLag: kind === "cut" };
    if (kind === "hold" || kind === "locked") return { effect: "held" };
    if (kind === "refuse") return { effect: "cut off", isQuiet: true };
    if (kind === "queue" || kind === "pool") return { effect: "hampered", isQuiet: true };
    if (kind === "majority lags")
      return { effect: "hampered", isQuiet: true, mayLag: true, lagMs: this.#ms(trouble.periods) };
    if (kind === "slow") return { effect: trouble.periods > SLOW ? "hampered" : "disturbed" };
    if (kind === "flaky") return { effect: "disturbed", isQuiet: true };
    if (kind !== "stale") return { effect: "disturbed", isHint: true };
    const lagMs = this.#ms(trouble.lag);
    return { effect: "disturbed", mayLag: true, lagMs, standsStill: !trouble.follows };
  }

  #conditionOf({ trouble, copy }: Active): Condition {
    if (trouble.kind === "slow") return { kind: "slow", ms: this.#ms(trouble.periods) };
    if (trouble.kind === "mess" || trouble.kind === "queue")
      return { kind: trouble.kind, ms: this.#ms(trouble.periods) };
    if (trouble.kind === "pool") return { ...trouble, ms: this.#ms(trouble.periods) };
    if (trouble.kind === "majority lags") return { kind: trouble.kind, ms: this.#ms(trouble.periods), copy };
    if (trouble.kind === "stale") return { kind: "stale", chance: trouble.chance, copy };
    if (trouble.kind === "cut") return { kind: "cut", copy };
    return { ...trouble }; // each its own: of two that overlap, one ends first
  }

  #those(actors: readonly number[] | "all"): readonly number[] {
    return actors === "all" ? this.#plan.actors.map((_, i) => i) : actors;
  }

  #at(periods: number, act: () => void): void {
    this.#world.at(this.#ms(periods), act);
  }

  #ms(periods: number): number {
    return periods * this.#plan.periodMs;
  }

  #note(what: string): void {
    this.#trace.push({ at: this.#world.now, what });
  }
}

/**
 * When a process could not write because its pings failed one after another, though others' did not: from the first that
 * was not done to the one that was.
 */
class Writes {
  readonly #diary: Diary;
  readonly #who: readonly string[];
  #attempt: number | undefined;
  #unable: ReturnType<Diary["fault"]> | undefined;

  constructor(diary: Diary, { life }: LifeDiary) {
    this.#diary = diary;
    this.#who = [`${life.name}.${life.life}`];
  }

  tried(now: number, mayBeLost: boolean): void {
    if (!mayBeLost && this.#attempt === undefined) return;
    if (this.#attempt !== undefined && this.#unable === undefined) {
      const failed = { kind: "its writes fail", who: this.#who, effect: "cut off", isQuiet: true } as const;
      this.#unable = this.#diary.fault(failed, this.#attempt);
    }
    this.#attempt = now;
  }

  /** A ping that was sent then is done. One that others were sent after is late, and no sign that it can write. */
  succeeded(sentAt: number): void {
    if (sentAt !== this.#attempt) return;
    if (this.#unable !== undefined) this.#unable.to = sentAt;
    this.#attempt = undefined;
    this.#unable = undefined;
  }
}

function lifeName({ diary: { life } }: Actor): string {
  return `${life.name}.${life.life}`;
}

type PauseEvent = Extract<SimEvent, { do: "pause" }>;
type DestroyEvent = Extract<SimEvent, { do: "destroy" }>;
type ActorEvent = Exclude<SimEvent, { do: "step store" | "trouble" | "pause" | "destroy" }>;

/** What a program does itself, and so does not while it is paused. */
type ProgramEvent = Exclude<ActorEvent, { do: "crash" | "step wall" | "lose feed" }>;

function isProgramEvent(event: ActorEvent): event is ProgramEvent {
  return event.do !== "crash" && event.do !== "step wall" && event.do !== "lose feed";
}

function endOf(event: SimEvent): number {
  if (event.do === "trouble") return event.at + event.lasts + event.stagger;
  if (event.do === "pause") return event.at + event.lasts;
  if (event.do === "hold") return event.at + event.periods;
  return event.at + ("backAfter" in event ? (event.backAfter ?? 0) : 0);
}
