/** One run: the real core and presence code in a simulated world, through all that its plan says. */
import { setImmediate as turn } from "node:timers/promises";
import type { PingRecord } from "../../src/core/bits.ts";
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import type { Namespace } from "../../src/core/store.ts";
import type { Doomed } from "../../src/stores/memory.ts";
import { Actor } from "./actor.ts";
import { Audit } from "./audit.ts";
import { Cluster } from "./cluster.ts";
import { Facts } from "./facts.ts";
import { AWAKE_WITHIN, Judge } from "./judge.ts";
import { type Condition, Link } from "./link.ts";
import { Machine } from "./machine.ts";
import type { ActorPlan, Plan, SimEvent, Trouble } from "./plan.ts";
import { Random } from "./random.ts";
import { auditStorage } from "./storage.ts";
import { type Breakage, linkedStore } from "./store.ts";
import { beginTrouble, type Life, newLife, succeeded, tried, wasDownAt, type Writes } from "./truth.ts";
import { World } from "./world.ts";

export interface Outcome {
  /** What was wrong, as sentences; the first is the cause, what follows may be its consequence. */
  readonly wrong: readonly string[];
  /** What happened and what was told, a line each. */
  readonly trace: readonly string[];
  /** From each crash to its telling, in periods, where nothing else was in the way. */
  readonly latencies: readonly number[];
  readonly changes: number;
}

/** Something wrong with the links of an actor, which its next life meets too. */
interface Active {
  readonly actor: number;
  readonly trouble: Trouble;
  readonly copy: () => Namespace;
  readonly since: number;
  end: (() => void) | undefined;
}

const QUIET_PERIODS = 9;
/** How long it takes to notice that a trouble is over, in periods: operations that nobody answers are given up. */
const NOTICED = 0.5;
const NOTICED_UNANSWERED = 1.2;
/** A machine notices that it slept when it pings next, and is answered. */
const NOTICED_ASLEEP = 1.5;
const BULK_MS_MIN = 2000;
/**
 * It is looked for in every fourth slot, and not in the two in which it is too young; of several, one at a time. Whoever finds his
 * session gone is healthy again two slots later.
 */
const ALL_RESTORED = 8;
const SOME_RESTORED = ALL_RESTORED + 4 * 2;

export async function simulate(plan: Plan, breakage: Breakage = {}): Promise<Outcome> {
  const simulation = new Simulation(plan, breakage);
  return simulation.run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #breakage: Breakage;
  readonly #world = new World();
  readonly #cluster: Cluster;
  readonly #facts: Facts;
  readonly #judge: Judge;
  readonly #audit: Audit;
  readonly #actors: (Actor | undefined)[] = [];
  readonly #births: number[] = [];
  readonly #all = new Map<Life, Actor>();
  readonly #bySession = new Map<number, Life>();
  readonly #active = new Set<Active>();
  readonly #wrong: string[] = [];
  readonly #trace: string[] = [];
  #changes = 0;

  constructor(plan: Plan, breakage: Breakage) {
    this.#plan = plan;
    this.#breakage = breakage;
    this.#cluster = new Cluster(this.#world, plan.storeDrift);
    this.#facts = new Facts(plan, this.#world);
    this.#judge = new Judge(this.#facts, (what) => this.#fail(what));
    this.#audit = new Audit(this.#facts, (what) => this.#fail(what));
    this.#judge.findActors((life) => this.#all.get(life));
  }

  async run(): Promise<Outcome> {
    const rejected = (error: unknown): void => this.#fail(`unhandled: ${String(error)}`);
    process.on("unhandledRejection", rejected);
    const { actors, events, periods } = this.#plan;
    for (const [i, { joinsAt }] of actors.entries()) this.#at(joinsAt, () => this.#begin(i));
    for (const event of events) this.#at(event.at, () => this.#happen(event));
    const end = Math.max(periods, ...events.map(endOf)) + QUIET_PERIODS;
    for (let time = 2; time < end; time += 0.5)
      this.#at(time, () => this.#audit.audit([...this.#all.values()]));
    await this.#world.runUntil(this.#ms(end));
    for (const what of await this.#auditStorage()) this.#fail(what);
    for (const actor of this.#actors) if (actor !== undefined && !actor.isOver) actor.crash();
    await turn();
    process.off("unhandledRejection", rejected);
    return {
      wrong: this.#wrong,
      trace: this.#trace,
      latencies: this.#judge.latencies,
      changes: this.#changes,
    };
  }

  #auditStorage(): Promise<string[]> {
    const holdings = [...this.#all.values()].flatMap((actor) => actor.holdings);
    const { primary } = this.#cluster;
    return auditStorage(primary, this.#plan, this.#cluster.now(), this.#world.now, holdings, [
      ...this.#all.keys(),
    ]);
  }

  #begin(i: number): void {
    const own = this.#plan.actors[i] as ActorPlan;
    if (this.#actors[i]?.isOver === false) return;
    const { seed, periodMs, notices } = this.#plan;
    const number = (this.#births[i] = (this.#births[i] ?? 0) + 1);
    const random = new Random(seed * 1009 + i * 31 + number);
    const machine = new Machine(this.#world, random, {
      drift: own.drift,
      wallAheadMs: own.wallAheadPeriods * periodMs,
    });
    const link = new Link({ cluster: this.#cluster, machine, random, periodMs, notices });
    const life = newLife(i, number, this.#world.now);
    const effects = {
      tried: (mayBeLost: boolean): void => {
        if (mayBeLost || life.attempt !== undefined) tried(life, this.#world.now);
      },
      pinged: (seq: number, _slot: number, sentAt: number): void => {
        this.#bySession.set(seq, life);
        succeeded(life, sentAt);
        life.pingsSince = Math.min(life.pingsSince, sentAt);
        // What is sent through a link that is too slow, or held up, is no sign that it could write.
        if (life.proofs.length > 0 && wasDownAt(life, sentAt)) return;
        if (this.#world.now - machine.wokenAt < this.#ms(AWAKE_WITHIN)) return; // it may be of a slot that is over
        life.proofs.push({ sentAt, doneAt: this.#world.now });
        if (life.proofs.length > 8) life.proofs.shift();
      },
      killed: (key: string): void => this.#facts.killed(key),
    };
    const store = linkedStore(link, effects, this.#breakage);
    const actor = new Actor(this.#plan, life, machine, link, store, {
      now: () => this.#world.now,
      note: (what) => this.#note(what),
      wrong: (what) => this.#fail(what),
      held: (holding) => this.#facts.held(holding),
      changed: (watcher, subscription, change) => {
        this.#changes++;
        const holders = change.holders.map(({ session }) => session).join(" ");
        this.#note(
          `  ${subscription.name} ${change.key} ${change.alive ? "alive" : "dead"} (${change.cause}) [${holders}]`,
        );
        this.#judge.changed(watcher, subscription, change);
      },
    });
    this.#actors[i] = actor;
    this.#all.set(life, actor);
    this.#facts.born(life);
    for (const active of this.#active) if (active.actor === i) this.#afflict(active, actor);
    this.#note(`${actor.name} starts`);
    actor.begin();
  }

  #happen(event: SimEvent): void {
    if (event.do === "step store") {
      this.#note(`the store's clock steps by ${event.periods.toFixed(2)}`);
      this.#cluster.step(this.#ms(event.periods));
      this.#facts.stepped(this.#ms(event.periods));
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
    this.#facts.destroyed(what === "registrations" && share < 1 ? SOME_RESTORED : ALL_RESTORED);
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
    } else if (event.do === "step wall") actor.machine.step(this.#ms(event.periods));
    else {
      beginTrouble(actor.life, this.#world.now, "in time")(this.#world.now, this.#ms(NOTICED));
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
    const end = beginTrouble(actor.life, this.#world.now, "never");
    const began = this.#world.now;
    actor.machine.pause(sleeps);
    this.#world.after(this.#ms(lasts), () => {
      this.#note(`${actor.name} goes on`);
      this.#facts.resumed(began);
      end(this.#world.now, this.#ms(sleeps ? NOTICED_ASLEEP : NOTICED));
      actor.machine.resume(sleeps);
    });
  }

  #trouble({ at, actors, trouble, lasts, stagger }: Extract<SimEvent, { do: "trouble" }>): void {
    const those = this.#those(actors);
    this.#note(
      `${JSON.stringify(trouble)} of ${actors === "all" ? "all" : those.join(" ")} for ${lasts.toFixed(2)}`,
    );
    const lagMs = trouble.kind === "stale" ? this.#ms(trouble.lag) : 0;
    const copies = trouble.kind === "cut" || trouble.kind === "stale";
    const follows = trouble.kind === "stale" && trouble.follows;
    const copy = copies ? this.#cluster.copy(lagMs, follows) : () => this.#cluster.primary;
    const random = new Random(this.#plan.seed + Math.floor(at * 1e6));
    for (const i of those) {
      const active: Active = { actor: i, trouble, copy, since: this.#world.now, end: undefined };
      this.#active.add(active);
      const actor = this.#actors[i];
      if (actor !== undefined && !actor.isOver) this.#afflict(active, actor);
      this.#world.after(this.#ms(lasts + random.between(0, stagger)), () => {
        this.#active.delete(active);
        this.#note(`${trouble.kind} is over for p${i}`);
        active.end?.();
      });
    }
  }

  #afflict(active: Active, actor: Actor): void {
    const { trouble } = active;
    const heal = actor.link.suffer(this.#conditionOf(active));
    if (trouble.kind === "silent" || trouble.kind === "mess") {
      active.end = heal;
      return;
    }
    const slow = trouble.kind === "slow" ? trouble.periods : 0;
    const writes = writesDuring(trouble);
    const lag =
      trouble.kind === "stale"
        ? { ms: this.#ms(trouble.lag), standsSince: trouble.follows ? Infinity : active.since }
        : undefined;
    const end = beginTrouble(actor.life, this.#world.now, writes, lag);
    const isUnanswered = ["lose", "cut", "flaky"].includes(trouble.kind);
    const noticed = isUnanswered
      ? Math.max(NOTICED_UNANSWERED, (BULK_MS_MIN * 1.2) / this.#plan.periodMs)
      : NOTICED;
    const began = this.#world.now;
    const stale = { from: began, to: Infinity };
    if (trouble.kind === "stale") actor.life.stale.push(stale);
    active.end = () => {
      heal();
      stale.to = this.#world.now;
      this.#facts.resumed(began);
      const mayNotKnow = actor.machine.wokenAt > began - this.#ms(NOTICED_ASLEEP);
      end(this.#world.now, this.#ms(Math.max(noticed + slow, mayNotKnow ? NOTICED_ASLEEP : 0)));
    };
  }

  #conditionOf({ trouble, copy }: Active): Condition {
    if (trouble.kind === "slow") return { kind: "slow", ms: this.#ms(trouble.periods) };
    if (trouble.kind === "mess") return { kind: "mess", ms: this.#ms(trouble.periods) };
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
    this.#trace.push(`${(this.#world.now / this.#plan.periodMs).toFixed(3).padStart(8)}  ${what}`);
  }

  #fail(what: string): void {
    this.#note(`WRONG: ${what}`);
    this.#wrong.push(what);
  }
}

function writesDuring(trouble: Trouble): Writes {
  if (trouble.kind === "hold") return "held";
  if (trouble.kind === "slow") return trouble.periods > 0.15 ? "late" : "in time";
  return trouble.kind === "fail" || trouble.kind === "lose" || trouble.kind === "cut" ? "never" : "in time";
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
