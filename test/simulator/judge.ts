/**
 * At each change that is told: nobody who lives and can write is told dead; per key, alive and dead alternate; a death
 * by absence comes in its bound, not before `vouchedUntil`, and its process learns of the lapse.
 */
import type { Change } from "../../src/index.ts";
import type { Actor, Subscription } from "./actor.ts";
import type { Facts } from "./facts.ts";
import type { Target } from "./plan.ts";
import {
  calmFor,
  downAlone,
  downFor,
  type Holding,
  lagOf,
  latestDown,
  latestOutage,
  latestProof,
  type Life,
  wasDown,
  wasDownAt,
} from "./truth.ts";

/** A process that could not write although others could, for less than so many periods, is not told dead. */
const FORGIVEN = 0.8;
/** An outage of so many periods leaves a slot empty, wherever it begins. */
const LEAVES_EMPTY = 2.6;
/** Two slots to come back after it are over after so many periods at least, where a process may be a bit wrong about the time. */
const COMES_BACK_WITHIN = 1.4;
/** A death is told within so many periods, and what the operations take, of time without trouble. */
export const TOLD_WITHIN = 2.5;
const OPERATIONS = 0.1;
/** A process may be wrong about the store's time by so many periods. */
const CLOCK_ERROR = 0.11;
/** Who has slept notices it when it pings next: within so many periods without trouble. */
export const AWAKE_WITHIN = 1.5;
/** Others have pinged in four slots since an outage. */
const RETURNED_AFTER = 2.5;
/** Within so many periods of a step, who is in another trouble besides may be told dead. */
const STEP_NEAR = 5;

export class Judge {
  readonly latencies: number[] = [];
  readonly #facts: Facts;
  readonly #wrong: (what: string) => void;

  constructor(facts: Facts, wrong: (what: string) => void) {
    this.#facts = facts;
    this.#wrong = wrong;
  }

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
    for (const holding of this.#facts.holdings.get(key) ?? []) {
      // What is told at first, by one whose reads are late, is as late.
      const isLate = calmFor(actor.life, this.#facts.now) < 0 && holding.visibleAt > actor.life.bornAt;
      const isKnown =
        before === undefined ? holding.visibleAt < subscription.watchedAt && !isLate : knew(before, holding);
      if (isKnown) {
        this.#judgeDeath(actor, subscription.watchedAt, change, holding, said);
      }
    }
  }

  #judgeDeath(actor: Actor, watchedAt: number, { cause, key }: Change, holding: Holding, said: string): void {
    const { now } = this.#facts;
    const { life } = holding;
    if (this.#facts.isRestoring(life)) return;
    if (now - holding.visibleAt < this.#facts.periodMs / 2) return; // a restart that came too late to be read
    if (this.#wasReplaced(holding) || this.#hasMoved(holding) || this.#isComingBack(life)) return;
    if (cause === "killed" && this.#wasKilled(holding)) return;
    if (
      cause === "initial" &&
      this.#facts.kills.some((kill) => kill.key === key && this.#isNews(kill.at, life))
    )
      return;
    if (holding.endedAt <= now && holding.how !== "crashed") this.#judgeEnd(holding, cause, said);
    else if (cause === "initial" && wasDownAt(actor.life, now)) return; // told as it was known before it was cut off
    else if (life.endedAt > now && !(cause === "initial" && this.#isNearShortOutage(life))) {
      this.#judgeAbsence(actor, holding, said);
    }
    if (cause === "expired") this.#judgeLatency(actor, watchedAt, holding, said);
  }

  /** Whether its process may not have heard yet of what happened then. */
  #isNews(at: number, life: Life): boolean {
    const { now, periodMs } = this.#facts;
    return life.troubles > 0 || now - Math.max(at, life.calmFrom) <= 4 * periodMs;
  }

  /** Whether its process had to open another session: what it holds is there as soon as it can write it. */
  #hasMoved({ life, session }: Holding): boolean {
    const now = this.#actorOf?.(life)?.presence?.session;
    return now !== undefined && now !== session;
  }

  /**
   * Whether it was away alone for so long that its records may have been pruned, and is in trouble since: it writes them again,
   * and an unanswered write is repeated only when its time is over. Its pings do not show to those who lack the records.
   */
  #isComingBack(life: Life): boolean {
    const { now, periodMs, retentionSlots } = this.#facts;
    if (calmFor(life, now) >= 0) return false;
    const away = latestDown(life, now - retentionSlots * periodMs);
    if (away === undefined) return false;
    const long = (retentionSlots / 2) * periodMs;
    const alone = downAlone(life, this.#facts.lives, away.from, away.to);
    // While nobody could write nothing was pruned; nor in the slots in which all come back.
    return alone > long || (downFor(life, away.from, away.to) > long && alone > RETURNED_AFTER * periodMs);
  }

  /**
   * A short outage of all leaves no slot empty, so who was cut off alone besides has not missed one slot only; nor do several
   * that are short, or one after which all is done that was held up. A long one gives everybody two slots to come back.
   */
  #isForgiven(life: Life, proof: number, alone: number): boolean {
    if (alone > FORGIVEN) return false;
    const { now, periodMs, lives } = this.#facts;
    if (alone <= 0.05 || downFor(life, proof, now) <= FORGIVEN * periodMs) return true;
    const outage = latestOutage(lives, proof, now, LEAVES_EMPTY * periodMs);
    return outage !== undefined && now - outage < COMES_BACK_WITHIN * periodMs;
  }

  /** Whether this start or an earlier one was killed, by itself or by another. */
  #wasKilled({ key, life }: Holding): boolean {
    const own = (this.#facts.holdings.get(key) ?? []).filter((other) => other.life === life);
    const first = Math.min(...own.map(({ calledAt }) => calledAt));
    return (
      own.some(({ how }) => how === "killed") ||
      this.#facts.kills.some((kill) => kill.key === key && kill.at >= first)
    );
  }

  /** Whether its pinger was started again since: then that start counts. */
  #wasReplaced({ key, life, calledAt }: Holding): boolean {
    return (this.#facts.holdings.get(key) ?? []).some(
      (other) => other.life === life && other.calledAt > calledAt,
    );
  }

  /** A stop is told when it has run out, not before; unless it could not be written before the presence closed. */
  #judgeEnd({ how, endedAt, heldUntil, life }: Holding, cause: Change["cause"], said: string): void {
    if (cause === "expired" && life.endedAt !== Infinity) return;
    if (this.#facts.losses.some((at) => at > endedAt)) return;
    if (how === "killed" || this.#facts.stepsSince(endedAt - this.#facts.periodMs * STEP_NEAR)) return;
    if (wasDown(life, endedAt - this.#facts.periodMs * 3)) return;
    // In trouble of any kind the end may not have been written yet when its process crashed.
    const inTrouble = life.troubles > 0 || life.calmFrom > endedAt;
    if (inTrouble && life.endedAt < endedAt + this.#facts.periodMs * 2) return;
    const early = (Math.max(endedAt, heldUntil) - this.#facts.now) / this.#facts.periodMs + 1.45;
    if (early > 0) this.#wrong(`${said} ${early.toFixed(2)} periods early after ${how}`);
  }

  /** Told dead while it lives: it must have been cut off alone, and have noticed. */
  #judgeAbsence(watcher: Actor, holding: Holding, said: string): void {
    const { now } = this.#facts;
    const { life, session } = holding;
    const proof = latestProof(life, this.#readAt(watcher));
    const alone = downAlone(life, this.#facts.lives, proof, now) / this.#facts.periodMs;
    const steps = this.#isNearStep(life);
    if (steps ? alone <= 0 && this.#facts.isCalm(life, STEP_NEAR) : this.#isForgiven(life, proof, alone)) {
      const ago = ((now - proof) / this.#facts.periodMs).toFixed(2);
      this.#wrong(
        `${said}, but its holder p${life.actor} (session ${session}) lives: it was cut off alone for ${alone.toFixed(2)} periods, pinged ${ago} periods ago`,
      );
      return;
    }
    this.#expectLapse(watcher, holding, said);
  }

  /**
   * Who has just come judges at once: who is only just back from an outage of all may not have pinged yet. That is
   * forgiven where the outage was long enough to leave an empty slot; not where what was held up has filled it, or one
   * who could write for a moment in between.
   */
  #isNearShortOutage(life: Life): boolean {
    const { now, periodMs, lives, retentionSlots } = this.#facts;
    // Nobody pinged for as long as the retention, by one outage or by several in a row.
    const newest = Math.max(...lives.map((other) => latestProof(other, now - periodMs / 2)));
    if (now - newest > (retentionSlots - 4) * periodMs) return true;
    const since = now - periodMs * 2;
    const down = latestDown(life, since);
    if (down === undefined) return false;
    const isHeld = this.#facts.lives.some((other) => latestDown(other, since)?.isHeld === true);
    const downs = this.#facts.lives
      .filter((other) => other === life || (other.bornAt < down.from && other.endedAt > now))
      .flatMap((other) => latestDown(other, since) ?? []);
    const periods = Math.min(...downs.map(({ from, to }) => Math.min(to, now) - from)) / periodMs;
    // Of an outage as long as the retention nothing is left to judge by.
    return isHeld || periods < LEAVES_EMPTY || periods > this.#facts.retentionSlots - 4;
  }

  /** It has said so, and was not back yet when the watcher read. */
  #hasJustLapsed(life: Life): boolean {
    const lapse = life.lapses.at(-1) ?? -Infinity;
    return lapse > latestProof(life, this.#facts.now - this.#facts.periodMs * 0.4);
  }

  /** Whose reads have been late since a step back does not know that the slots were moved on. */
  #isNearStep({ stale }: Life, time = this.#facts.now): boolean {
    const near = this.#facts.periodMs * STEP_NEAR;
    const late = stale.filter(({ to }) => to > time - near).map(({ from }) => from);
    return this.#facts.stepsSince(Math.min(time, ...late) - near);
  }

  /** It knows that it is not vouched for any more, and has said so; or does when it is no longer paused. */
  #expectLapse(watcher: Actor, holding: Holding, said: string): void {
    const { life } = holding;
    if (this.#isNearStep(life) || this.#hasJustLapsed(life) || this.#isJustBack(watcher, life)) return;
    const vouched = this.#vouchedUntil(life) ?? Infinity;
    const check = (): void => {
      if (life.endedAt <= this.#facts.now || holding.endedAt <= this.#facts.now) return; // it may be closing
      const machine = this.#actorOf?.(life)?.machine;
      const wokenAt = machine?.wokenAt ?? -Infinity;
      const calm = Math.min(this.#facts.now - wokenAt, calmFor(life, this.#facts.now));
      const hasSlept = wokenAt > vouched - this.#facts.periodMs * TOLD_WITHIN; // since its last ping
      const isAwaking = hasSlept && calm < this.#facts.periodMs * AWAKE_WITHIN;
      // The store's clock has stepped back before it looked: that does not show how long it slept.
      if (hasSlept && this.#isNearStep(life)) return;
      if (machine?.isPaused === true || isAwaking) this.#facts.world.after(this.#facts.periodMs * 0.3, check);
      else if (!life.lapses.some((lapse) => lapse >= vouched - this.#facts.periodMs * CLOCK_ERROR)) {
        this.#wrong(`${said}, but p${life.actor} had no lapse`);
      }
    };
    this.#facts.world.after(this.#facts.periodMs * 0.3, check);
  }

  /** Its own, as a true time; or since when it may not know better. */
  #vouchedUntil(life: Life): number | undefined {
    const actor = this.#actorOf?.(life);
    const { setBackAsleepAt = -Infinity } = actor?.machine ?? {};
    return setBackAsleepAt > latestProof(life, this.#facts.now) ? setBackAsleepAt : actor?.vouchedUntil();
  }

  #actorOf: ((life: Life) => Actor | undefined) | undefined;

  /** How the judge finds the program of a life. */
  findActors(find: (life: Life) => Actor | undefined): void {
    this.#actorOf = find;
  }

  #judgeLatency(watcher: Actor, watchedAt: number, holding: Holding, said: string): void {
    const { now } = this.#facts;
    const { life } = holding;
    if (this.#isNearStep(life, Math.min(now, holding.over))) return;
    const vouched = this.#vouchedUntil(life) ?? -Infinity;
    if (
      holding.how !== "stopped" &&
      holding.how !== "held" &&
      !this.#hasJustLapsed(life) &&
      !this.#isJustBack(watcher, life) &&
      now < vouched - this.#facts.periodMs * CLOCK_ERROR
    ) {
      const early = ((vouched - now) / this.#facts.periodMs).toFixed(2);
      this.#wrong(`${said} ${early} periods before the vouchedUntil of p${life.actor}`);
    }
    if (this.#facts.isRestoring(watcher.life)) return;
    if (holding.how !== "crashed" || watcher.life.troubles > 0 || !this.#wasAlone(holding)) return;
    const since = Math.max(holding.over, watcher.life.calmFrom, watchedAt);
    const took = (now - since) / this.#facts.periodMs;
    if (took > TOLD_WITHIN + OPERATIONS) this.#wrong(`${said} ${took.toFixed(2)} periods after the crash`);
    if (since === holding.over) this.latencies.push(took);
  }

  /** Whether it was cut off until so lately that a read which tells it dead may have begun before it pinged again. */
  #isJustBack(watcher: Actor, life: Life): boolean {
    return wasDown(life, this.#readAt(watcher));
  }

  /**
   * As of when a watcher may have read what it tells. A primary shows what it has acknowledged, so that a read after a
   * ping lacks nothing; the lagging members of the simulation show a watcher its own ping of the slot, and lack what
   * came after that, for half a slot.
   */
  #readAt(watcher: Actor): number {
    const { now, periodMs } = this.#facts;
    return now - periodMs / 4 - Math.min(lagOf(watcher.life, now), periodMs / 2);
  }

  #wasAlone(holding: Holding): boolean {
    return (this.#facts.holdings.get(holding.key) ?? []).every(
      (other) =>
        other === holding ||
        other.over < holding.over - this.#facts.periodMs * 3 ||
        other.visibleAt > this.#facts.now,
    );
  }
}

function knew({ holders }: Change, holding: Holding): boolean {
  return holders.some(({ session }) => session === holding.session);
}

export function matches(target: Target, key: string): boolean {
  if (typeof target === "string") return target === key;
  return "prefix" in target ? key.startsWith(target.prefix) : true;
}
