/**
 * Twice a period: every watcher that has had no trouble for long enough knows who is alive, and with which meta. So two
 * such watchers agree, and no join, kill or update is lost, whatever the feed does.
 */
import type { Change } from "../../src/index.ts";
import type { Actor, Subscription } from "./actor.ts";
import type { Facts } from "./facts.ts";
import { matches, TOLD_WITHIN } from "./judge.ts";
import { type Holding, latestDown, type Life } from "./truth.ts";

/** Joins, kills and updates are told within so many periods, whatever the feed does: it may fall silent. */
const HEARD_WITHIN = 2.4;

export class Audit {
  readonly #facts: Facts;
  readonly #wrong: (what: string) => void;

  constructor(facts: Facts, wrong: (what: string) => void) {
    this.#facts = facts;
    this.#wrong = wrong;
  }

  audit(actors: readonly Actor[]): void {
    for (const actor of actors) {
      if (this.#facts.isRestoring(actor.life)) continue;
      if (actor.isOver || !this.#facts.isCalm(actor.life, 3.4)) continue;
      const { presence } = actor;
      if (presence === undefined) {
        this.#wrong(`${actor.name} could not open`);
        continue;
      }
      // Who begins to watch again begins anew.
      const hasBegun = actor.subscriptions.some(
        ({ watchedAt }) => this.#facts.now - watchedAt < this.#facts.periodMs * 3.4,
      );
      if (presence.health.state !== "healthy" && !hasBegun && !this.#mayHaveBeenPruned(actor.life))
        this.#wrong(`${actor.name} is stale: ${presence.health.reason}`);
      for (const subscription of actor.subscriptions) {
        if (!subscription.ended && this.#facts.now - subscription.watchedAt > this.#facts.periodMs * 2) {
          this.#auditSubscription(actor, subscription);
        }
      }
    }
  }

  /** Who was away for long may have been pruned. A late read does not show it, and who finds it is healthy two slots later. */
  #mayHaveBeenPruned(life: Life): boolean {
    const { now, periodMs, retentionSlots } = this.#facts;
    const away = latestDown(life, now - retentionSlots * periodMs);
    if (away === undefined || away.to - away.from < (retentionSlots / 2) * periodMs) return false;
    return !this.#facts.isCalm(life, 6);
  }

  /** Of a first state that was read late the meta is as late, until it changes: a limit that is known. */
  #auditSubscription(actor: Actor, { name, target, known, watchedAt }: Subscription): void {
    const { life } = actor;
    if (typeof target === "string" && !known.has(target))
      this.#wrong(`${name} was told nothing of ${target}`);
    for (const [key, holdings] of this.#facts.holdings) {
      if (!matches(target, key)) continue;
      const change = known.get(key);
      const alive = change?.alive ?? false;
      if (!alive && holdings.some((holding) => this.#mustBeAlive(holding))) {
        this.#wrong(`${name} ${key} is alive, but ${actor.name} was told ${change?.cause ?? "nothing"}`);
      }
      const isSettled = this.#facts.now - watchedAt > this.#facts.periodMs * (TOLD_WITHIN + 0.5);
      if (alive && isSettled && holdings.every((holding) => this.#mustBeDead(holding))) {
        this.#wrong(`${name} ${key} is dead, but ${actor.name} was told ${change?.cause}`);
      }
      const only = holdings.find((holding) => !this.#mustBeDead(holding));
      const isLate = life.stale.some(
        ({ from, to }) => from < watchedAt + this.#facts.periodMs && to > watchedAt,
      );
      if (alive && only !== undefined && this.#mustBeAlive(only) && !isLate)
        this.#auditMeta(name, only, change);
    }
  }

  #auditMeta(name: string, holding: Holding, change: Change | undefined): void {
    if (this.#facts.now - holding.metaAt < this.#facts.periodMs * HEARD_WITHIN) return;
    const metas =
      change?.holders.filter(({ session }) => session === holding.session).map(({ meta }) => meta) ?? [];
    if (metas.length > 0 && !metas.includes(holding.meta)) {
      this.#wrong(`${name} ${holding.key} has meta ${holding.meta}, but was told ${JSON.stringify(metas)}`);
    }
  }

  #mustBeAlive({ visibleAt, endedAt, life, key }: Holding): boolean {
    const now = this.#facts.now;
    if (
      this.#facts.isRestoring(life) ||
      endedAt !== Infinity ||
      now - visibleAt < this.#facts.periodMs * HEARD_WITHIN
    )
      return false;
    if (!this.#facts.isCalm(life, 3.4)) return false;
    // Its holder hears of the kill, and takes it up again; then the watcher hears of that.
    const heardMs = this.#facts.periodMs * 2 * HEARD_WITHIN;
    return !this.#facts.kills.some((kill) => kill.key === key && now - kill.at < heardMs);
  }

  #mustBeDead(holding: Holding): boolean {
    const { how, over, endedAt } = holding;
    const bound = how === "killed" ? HEARD_WITHIN : TOLD_WITHIN + 0.5;
    // Of an end that was destroyed before all had read it nobody can tell.
    const heardAt = over + bound * this.#facts.periodMs;
    if (how !== "crashed" && this.#facts.losses.some((at) => at > endedAt && at < heardAt)) return false;
    if (this.#facts.now - over < this.#facts.periodMs * bound) return false;
    // Each step back makes slots, and with them planned absences, longer by up to three periods.
    const back = how === "held" ? this.#facts.steps.filter(({ ms }) => ms < 0).length * 3 : 0;
    return this.#facts.now - over >= this.#facts.periodMs * (bound + back);
  }
}
