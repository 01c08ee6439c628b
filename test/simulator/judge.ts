/**
 * What heartbit promises, compared with what truly happened.
 *
 *   at each change told:   nobody who lives and can write is told dead; per key, alive and dead alternate; a death by
 *                          absence comes in its bound, not before `vouchedUntil`, and its process learns of the lapse
 *   twice a period:        every watcher that has had no trouble for long enough knows who is alive, and why not
 */
import type { Change } from "../../src/index.ts";
import type { Actor, Subscription } from "./actor.ts";
import type { Plan, Target } from "./plan.ts";
import {
  calmFor,
  downAlone,
  downFor,
  type Holding,
  latestDown,
  latestProof,
  type Life,
  wasDown,
} from "./truth.ts";

/** A process that could not write although others could, for less than so many periods, is not told dead. */
const FORGIVEN = 0.8;
/** A death is told within so many periods, and what the operations take, of time without trouble. */
const TOLD_WITHIN = 2.5;
const OPERATIONS = 0.1;
/** Joins, kills and updates are told within so many periods, whatever the feed does. */
const HEARD_WITHIN = 1.7;
/** A step of the store's clock is over after so many periods: forth, and back. */
const STEP_FORTH = 1.6;
const STEP_BACK = 4.6;
/** Within so many periods of a step, who is in another trouble besides may be told dead. */
const STEP_NEAR = 5;

export interface World {
  readonly now: number;
  after(ms: number, act: () => void): unknown;
}

export class Judge {
  readonly latencies: number[] = [];
  readonly #plan: Plan;
  readonly #world: World;
  readonly #wrong: (what: string) => void;
  readonly #holdings = new Map<string, Holding[]>();
  readonly #lives: Life[] = [];
  readonly #kills: { readonly key: string; readonly at: number }[] = [];
  readonly #steps: { readonly at: number; readonly ms: number }[] = [];

  constructor(plan: Plan, world: World, wrong: (what: string) => void) {
    this.#plan = plan;
    this.#world = world;
    this.#wrong = wrong;
  }

  born(life: Life): void {
    this.#lives.push(life);
  }

  held(holding: Holding): void {
    const others = this.#holdings.get(holding.key);
    if (others === undefined) this.#holdings.set(holding.key, [holding]);
    else others.push(holding);
  }

  killed(key: string): void {
    this.#kills.push({ key, at: this.#world.now });
  }

  stepped(ms: number): void {
    this.#steps.push({ at: this.#world.now, ms });
  }

  /** A process is back that was away since a true time: it may notice only now that the store's clock has stepped. */
  resumed(awaySince: number): void {
    const slept = this.#steps.find(({ at }) => at >= awaySince);
    if (slept !== undefined) this.#steps.push({ at: this.#world.now, ms: slept.ms });
  }

  // ---- at each change

  changed(actor: Actor, subscription: Subscription, change: Change): void {
    const { key, alive, cause } = change;
    const said = `${subscription.name} ${key} ${alive ? "alive" : "dead"} (${cause})`;
    const before = subscription.known.get(key);
    if (subscription.ended) this.#wrong(`${said} after unwatch`);
    if (!matches(subscription.target, key)) this.#wrong(`${said}: not watched`);
    const wasAlive = before?.alive ?? false;
    const single = typeof subscription.target === "string";
    const fits =
      cause === "initial"
        ? before === undefined && (single || alive)
        : (before !== undefined || !single) && (cause === "updated" ? alive && wasAlive : alive !== wasAlive);
    if (!fits) this.#wrong(`${said} does not follow ${before === undefined ? "nothing" : before.cause}`);
    subscription.known.set(key, change);
    if (alive) return;
    for (const holding of this.#holdings.get(key) ?? []) {
      if (before === undefined ? holding.visibleAt < subscription.watchedAt : knew(before, holding)) {
        this.#judgeDeath(actor, subscription.watchedAt, change, holding, said);
      }
    }
  }

  #judgeDeath(actor: Actor, watchedAt: number, { cause, key }: Change, holding: Holding, said: string): void {
    const { now } = this.#world;
    const { life } = holding;
    if (now - holding.visibleAt < this.#periodMs / 2) return; // a restart that came too late to be read
    if (this.#wasReplaced(holding) || this.#hasMoved(holding)) return;
    if (cause === "killed" && this.#wasKilled(holding)) return;
    if (
      cause === "initial" &&
      this.#kills.some((kill) => kill.key === key && kill.at >= now - 4 * this.#periodMs)
    )
      return;
    if (holding.endedAt <= now && holding.how !== "crashed") this.#judgeEnd(holding, cause, said);
    else if (life.endedAt > now && !(cause === "initial" && this.#isNearShortOutage(life))) {
      this.#judgeAbsence(holding, said);
    }
    if (cause === "expired") this.#judgeLatency(actor, watchedAt, holding, said);
  }

  /** Whether its process had to open another session: what it holds is there as soon as it can write it. */
  #hasMoved({ life, session }: Holding): boolean {
    const now = this.#actorOf?.(life)?.presence?.session;
    return now !== undefined && now !== session;
  }

  /**
   * A short outage of all leaves no slot empty, so who was cut off alone besides has not missed one slot only; a long
   * one gives everybody two slots to come back.
   */
  #isForgiven(life: Life, proof: number, alone: number): boolean {
    if (alone > FORGIVEN) return false;
    const down = downFor(life, proof, this.#world.now) / this.#periodMs;
    return alone <= 0.05 || down <= FORGIVEN || down >= 2.6 + alone;
  }

  /** Whether this start or an earlier one was killed, by itself or by another. */
  #wasKilled({ key, life, calledAt }: Holding): boolean {
    const own = this.#holdings.get(key) ?? [];
    return (
      own.some((other) => other.life === life && other.how === "killed") ||
      this.#kills.some((kill) => kill.key === key && kill.at >= calledAt)
    );
  }

  /** Whether its pinger was started again since: then that start counts. */
  #wasReplaced({ key, life, calledAt }: Holding): boolean {
    return (this.#holdings.get(key) ?? []).some((other) => other.life === life && other.calledAt > calledAt);
  }

  /** A stop is told when it has run out, not before; unless it could not be written before the presence closed. */
  #judgeEnd({ how, endedAt, heldUntil, life }: Holding, cause: Change["cause"], said: string): void {
    if (cause === "expired" && life.endedAt !== Infinity) return;
    if (how === "killed" || this.#stepsSince(endedAt - this.#periodMs * STEP_NEAR)) return;
    if (wasDown(life, endedAt - this.#periodMs * 3)) return;
    const early = (Math.max(endedAt, heldUntil) - this.#world.now) / this.#periodMs + 1.45;
    if (early > 0) this.#wrong(`${said} ${early.toFixed(2)} periods early after ${how}`);
  }

  /** Told dead while it lives: it must have been cut off alone, and have noticed. */
  #judgeAbsence(holding: Holding, said: string): void {
    const { now } = this.#world;
    const { life, session } = holding;
    const proof = latestProof(life, now - this.#periodMs / 4);
    const alone = downAlone(life, this.#lives, proof, now) / this.#periodMs;
    const steps = this.#stepsSince(now - this.#periodMs * STEP_NEAR);
    if (steps ? alone <= 0 && this.#isCalm(life, STEP_NEAR) : this.#isForgiven(life, proof, alone)) {
      const ago = ((now - proof) / this.#periodMs).toFixed(2);
      this.#wrong(
        `${said}, but its holder p${life.actor} (session ${session}) lives: it was cut off alone for ${alone.toFixed(2)} periods, pinged ${ago} periods ago`,
      );
      return;
    }
    this.#expectLapse(life, said);
  }

  /**
   * Who has just come judges at once: who is only just back from an outage of all may not have pinged yet. That is
   * forgiven where the outage was long enough to leave an empty slot; not where what was held up has filled it.
   */
  #isNearShortOutage(life: Life): boolean {
    const since = this.#world.now - this.#periodMs * 2;
    const down = latestDown(life, since);
    if (down === undefined) return false;
    const isHeld = this.#lives.some((other) => latestDown(other, since)?.isHeld === true);
    return isHeld || Math.min(down.to, this.#world.now) - down.from < this.#periodMs * 2.6;
  }

  /** It has said so, and may be back since the watcher has read. */
  #hasJustLapsed({ lapses }: Life): boolean {
    return lapses.some((lapse) => this.#world.now - lapse < this.#periodMs / 2);
  }

  /** It knows that it is not vouched for any more, and has said so; or does when it is no longer paused. */
  #expectLapse(life: Life, said: string): void {
    if (this.#stepsSince(this.#world.now - this.#periodMs * STEP_NEAR) || this.#hasJustLapsed(life)) return;
    const vouched = this.#actorOf?.(life)?.vouchedUntil() ?? Infinity;
    const check = (): void => {
      if (life.endedAt <= this.#world.now) return;
      if (this.#actorOf?.(life)?.machine.isPaused === true) this.#world.after(this.#periodMs * 0.3, check);
      else if (!life.lapses.some((lapse) => lapse >= vouched - this.#periodMs * 0.05)) {
        this.#wrong(`${said}, but p${life.actor} had no lapse`);
      }
    };
    this.#world.after(this.#periodMs * 0.3, check);
  }

  #actorOf: ((life: Life) => Actor | undefined) | undefined;

  /** How the judge finds the program of a life. */
  findActors(find: (life: Life) => Actor | undefined): void {
    this.#actorOf = find;
  }

  #judgeLatency(watcher: Actor, watchedAt: number, holding: Holding, said: string): void {
    const { now } = this.#world;
    const { life } = holding;
    if (this.#stepsSince(Math.min(now, holding.over) - this.#periodMs * STEP_NEAR)) return;
    const vouched = this.#actorOf?.(life)?.vouchedUntil() ?? -Infinity;
    if (
      holding.how !== "stopped" &&
      holding.how !== "held" &&
      !this.#hasJustLapsed(life) &&
      now < vouched - this.#periodMs * 0.05
    ) {
      const early = ((vouched - now) / this.#periodMs).toFixed(2);
      this.#wrong(`${said} ${early} periods before the vouchedUntil of p${life.actor}`);
    }
    if (holding.how !== "crashed" || watcher.life.troubles > 0 || !this.#wasAlone(holding)) return;
    const since = Math.max(holding.over, watcher.life.calmFrom, watchedAt);
    const took = (now - since) / this.#periodMs;
    if (took > TOLD_WITHIN + OPERATIONS) this.#wrong(`${said} ${took.toFixed(2)} periods after the crash`);
    if (since === holding.over) this.latencies.push(took);
  }

  #wasAlone(holding: Holding): boolean {
    return (this.#holdings.get(holding.key) ?? []).every(
      (other) =>
        other === holding ||
        other.over < holding.over - this.#periodMs * 3 ||
        other.visibleAt > this.#world.now,
    );
  }

  // ---- twice a period

  audit(actors: readonly Actor[]): void {
    for (const actor of actors) {
      if (actor.isOver || !this.#isCalm(actor.life, 3.4)) continue;
      const { presence } = actor;
      if (presence === undefined) {
        this.#wrong(`${actor.name} could not open`);
        continue;
      }
      if (presence.health.state !== "healthy")
        this.#wrong(`${actor.name} is stale: ${presence.health.reason}`);
      for (const subscription of actor.subscriptions) {
        if (!subscription.ended && this.#world.now - subscription.watchedAt > this.#periodMs * 2) {
          this.#auditSubscription(actor, subscription);
        }
      }
    }
  }

  #auditSubscription(actor: Actor, { name, target, known, watchedAt }: Subscription): void {
    if (typeof target === "string" && !known.has(target))
      this.#wrong(`${name} was told nothing of ${target}`);
    for (const [key, holdings] of this.#holdings) {
      if (!matches(target, key)) continue;
      const change = known.get(key);
      const alive = change?.alive ?? false;
      if (!alive && holdings.some((holding) => this.#mustBeAlive(holding))) {
        this.#wrong(`${name} ${key} is alive, but ${actor.name} was told ${change?.cause ?? "nothing"}`);
      }
      const isSettled = this.#world.now - watchedAt > this.#periodMs * (TOLD_WITHIN + 0.5);
      if (alive && isSettled && holdings.every((holding) => this.#mustBeDead(holding))) {
        this.#wrong(`${name} ${key} is dead, but ${actor.name} was told ${change?.cause}`);
      }
      const only = holdings.find((holding) => !this.#mustBeDead(holding));
      if (alive && only !== undefined && this.#mustBeAlive(only)) this.#auditMeta(name, only, change);
    }
  }

  #auditMeta(name: string, holding: Holding, change: Change | undefined): void {
    if (this.#world.now - holding.metaAt < this.#periodMs * HEARD_WITHIN) return;
    const metas =
      change?.holders.filter(({ session }) => session === holding.session).map(({ meta }) => meta) ?? [];
    if (metas.length > 0 && !metas.includes(holding.meta)) {
      this.#wrong(`${name} ${holding.key} has meta ${holding.meta}, but was told ${JSON.stringify(metas)}`);
    }
  }

  #mustBeAlive({ visibleAt, endedAt, life, key }: Holding): boolean {
    const now = this.#world.now;
    if (endedAt !== Infinity || now - visibleAt < this.#periodMs * HEARD_WITHIN) return false;
    if (!this.#isCalm(life, 3.4)) return false;
    return !this.#kills.some((kill) => kill.key === key && now - kill.at < this.#periodMs * 4);
  }

  #mustBeDead(holding: Holding): boolean {
    const { how, over } = holding;
    const bound = how === "killed" ? HEARD_WITHIN : TOLD_WITHIN + 0.5;
    if (this.#world.now - over < this.#periodMs * bound) return false;
    // Each step back makes slots, and with them planned absences, longer by up to three periods.
    const back = how === "held" ? this.#steps.filter(({ ms }) => ms < 0).length * 3 : 0;
    return this.#world.now - over >= this.#periodMs * (bound + back);
  }

  #isCalm(life: Life, periods: number): boolean {
    const { now } = this.#world;
    const stepping = this.#steps.some(
      ({ at, ms }) => now - at < this.#periodMs * ((ms > 0 ? STEP_FORTH : STEP_BACK) + periods),
    );
    return !stepping && calmFor(life, now) >= this.#periodMs * periods;
  }

  #stepsSince(time: number): boolean {
    return this.#steps.some(({ at }) => at >= time);
  }

  get #periodMs(): number {
    return this.#plan.periodMs;
  }
}

function knew({ holders }: Change, holding: Holding): boolean {
  return holders.some(({ session }) => session === holding.session);
}

export function matches(target: Target, key: string): boolean {
  if (typeof target === "string") return target === key;
  return "prefix" in target ? key.startsWith(target.prefix) : true;
}
