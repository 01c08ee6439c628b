/**
 * Twice a period: every watcher that has no reason for a suspicion is healthy, and knows who holds what, with which meta.
 * So no join, update or return is lost, whatever the feed does; and such watchers agree.
 */
import type { Case, Holder, Watch } from "./case.ts";
import { type Holding, type Process, viewAt } from "./process.ts";
import { PERIODS } from "./promises.ts";
import { touches } from "./spans.ts";

export interface Audited {
  readonly holdings: number;
  readonly agreements: number;
  readonly health: number;
}

export function audit(of: Case): Audited {
  const auditor = new Auditor(of);
  for (let t = of.log.from + of.ms(2); t <= of.log.to; t += of.ms(0.5)) auditor.audit(t);
  return auditor.checked;
}

class Auditor {
  readonly checked = { holdings: 0, agreements: 0, health: 0 };
  readonly #case: Case;
  /** What was found and is still so is told once. */
  readonly #known = new Set<string>();

  constructor(of: Case) {
    this.#case = of;
  }

  audit(t: number): void {
    const of = this.#case;
    // Round trips pass between what was done and what is told of it.
    const calm = of.processes.filter((one) => of.around.isCalmFrom(one, t - this.#healedMs, t));
    const restoring = new Set(calm.filter((one) => of.isRestoring(one, t)));
    for (const process of calm) this.#auditHealth(process, t);
    const watches = of.watches.filter(
      ({ process, subscription }) =>
        calm.includes(process) &&
        !restoring.has(process) &&
        subscription.from <= t - this.#healedMs &&
        subscription.to > t,
    );
    if (watches.length === 0) return;
    for (const [key, holders] of of.holders) {
      const own = of.watchesOf(key).filter((watch) => watches.includes(watch));
      if (own.length === 0) continue;
      for (const holder of holders) if (calm.includes(holder.process)) this.#auditHolding(holder, own, t);
      this.#auditAgreement(key, own, t);
    }
  }

  /** After the last reason for a suspicion. */
  get #healedMs(): number {
    return this.#case.ms(PERIODS.death) + this.#case.log.roundTripMs;
  }

  #heardMs(watcher: Process, time: number): number {
    return this.#case.ms(this.#case.around.heardWithin(watcher, time)) + this.#case.log.roundTripMs;
  }

  #find(promise: "unhealed" | "lost" | "missed" | "disagree", t: number, id: string, what: string): void {
    if (this.#known.has(id)) return;
    this.#known.add(id);
    this.#case.find(promise, t, what);
  }

  #auditHealth(process: Process, t: number): void {
    const of = this.#case;
    const begun = Math.max(
      -Infinity,
      ...process.subscriptions
        .filter(({ from }) => from <= t)
        .map((subscription) => Math.max(subscription.from, firstStateAt(subscription, t))),
    );
    if (begun > t - this.#healedMs) return;
    // Without a watcher its next ping says that it is healthy.
    const left = process.leftAt.some((at) => at <= t && at > t - of.ms(1) - of.log.roundTripMs);
    if (left) return;
    this.checked.health++;
    const stale = process.stale.find(({ from, to }) => from <= t && to > t);
    if (stale === undefined) return;
    if (of.isRestoring(process, t) && of.excuse("destroyed records")) return;
    if (of.mayHaveBeenPruned(process, t) && of.excuse("long absence")) return;
    if (of.mayLackPings(process, t - this.#healedMs, t) && of.excuse("only reads")) return;
    this.#find(
      "unhealed",
      t,
      `${process.name} ${stale.from}`,
      `${process.name} is stale for ${of.periods(t - stale.from)}, without a reason`,
    );
  }

  #auditHolding({ process, holding }: Holder, watches: readonly Watch[], t: number): void {
    const of = this.#case;
    const { key, from, endingAt } = holding;
    if (endingAt <= t) return;
    for (const watch of watches) {
      if (from > t - this.#heardMs(watch.process, from)) continue;
      this.checked.holdings++;
      const view = viewAt(watch.subscription, key, t);
      if (process.isIn(view)) {
        this.#auditMeta(process, holding, watch, t);
        continue;
      }
      if (this.#mayBeKilled(process, key, watch.process, t)) continue;
      if (from < watch.subscription.from && this.#isLate(watch, from)) continue;
      if (of.isRestoring(process, t) && of.excuse("destroyed records")) continue;
      if (of.mayHaveBeenPruned(process, t) && of.excuse("long absence")) continue;
      if (this.#comparesLate(process) && of.excuse("a number given twice")) continue;
      const told = view === undefined ? "nothing" : `${view.alive ? "alive" : "dead"} (${view.cause})`;
      const id = `${watch.process.name}/${watch.subscription.id} ${key} ${process.name} ${from}`;
      this.#find(
        "lost",
        t,
        id,
        `${id}: ${process.name} holds it since ${of.periods(t - from)}, but the watcher was told ${told}`,
      );
    }
  }

  /** Whether it shares a number with another process, and does not watch all keys. */
  #comparesLate({ sessions, subscriptions, name }: Process): boolean {
    const watchesAll = subscriptions.some(({ target }) => typeof target === "object" && "all" in target);
    const shares = (other: Process): boolean => [...sessions].some((one) => other.sessions.has(one));
    return !watchesAll && this.#case.processes.some((other) => other.name !== name && shares(other));
  }

  /** Whether its first state may be that of a read that lagged. */
  #mayBeLate({ process, subscription: { from } }: Watch): boolean {
    const of = this.#case;
    const lagging = of.around.faultsOf(process).filter(({ lagMs }) => lagMs !== undefined);
    return touches(lagging, from - of.ms(1), from + of.ms(1));
  }

  /** Whether its first state may lack what was done at a time. */
  #isLate(watch: Watch, at: number): boolean {
    const of = this.#case;
    const { from } = watch.subscription;
    const readAsOf = of.around.readAsOf(watch.process, from - of.ms(1), from + of.ms(1));
    return this.#mayBeLate(watch) && at >= readAsOf && of.excuse("first state of a stale read");
  }

  /** Its holder hears of a kill, and takes the key up again; then the watcher hears of that. */
  #mayBeKilled(holder: Process, key: string, watcher: Process, t: number): boolean {
    const of = this.#case;
    return of.kills.some((kill) => {
      if (kill.key !== key || kill.begunAt > t) return false;
      const noticed = of.around.dueOf(holder, kill.doneAt, PERIODS.killNoticedLate);
      return t <= of.around.dueOf(watcher, noticed, of.around.heardWithin(watcher, noticed));
    });
  }

  #auditMeta(
    process: Process,
    { key, calledAt }: Holding,
    { process: watcher, subscription }: Watch,
    t: number,
  ): void {
    const of = this.#case;
    const latest = process.updates.get(key)?.findLast((line) => line.t <= t);
    if (latest?.e !== "updated" || latest.t < calledAt) return;
    if (latest.t > t - this.#heardMs(watcher, latest.t)) return;
    const metas =
      viewAt(subscription, key, t)?.holders.filter(({ session }) => process.sessions.has(session)) ?? [];
    if (metas.some(({ meta }) => meta === latest.meta)) return;
    if (this.#isLate({ process: watcher, subscription }, latest.t)) return;
    if (of.isRestoring(process, t) && of.excuse("destroyed records")) return;
    const id = `${watcher.name}/${subscription.id} ${key} ${process.name} meta ${latest.meta}`;
    this.#find(
      "missed",
      t,
      id,
      `${id}: it is so since ${of.periods(t - latest.t)}, but the watcher was told ${JSON.stringify(metas)}`,
    );
  }

  /** Whether a holder has registered its keys again under another session, and only some still know the earlier one. */
  #isReturning(key: string, t: number): boolean {
    const of = this.#case;
    const holders = of.holders.get(key) ?? [];
    const mayBeKnownTwice = ({ process, holding: { calledAt, endingAt, heldUntil } }: Holder): boolean => {
      if (of.mayHaveBeenPruned(process, t)) return true;
      // Under its earlier session.
      const until = heldUntil + of.ms(PERIODS.death);
      return calledAt <= t && t <= until && of.mayHaveBeenPruned(process, endingAt);
    };
    if (holders.some(mayBeKnownTwice)) return of.excuse("long absence");
    return holders.some(({ process }) => of.isRestoring(process, t)) && of.excuse("destroyed records");
  }

  /** Whether the record of a planned absence is gone, which only some have read before. */
  #isAbsenceLost(key: string, t: number): boolean {
    const of = this.#case;
    const lost = of.around.losses(["some", "all"]);
    const isLost = ({ process, holding }: Holder): boolean =>
      holding.heldUntil > -Infinity &&
      t <= of.overOf(process, holding) + of.ms(PERIODS.death) &&
      lost.some(({ from, to }) => from <= t && to >= holding.endingAt);
    return (of.holders.get(key) ?? []).some(isLost) && of.excuse("destroyed absence");
  }

  #auditAgreement(key: string, watches: readonly Watch[], t: number): void {
    const of = this.#case;
    const starts = (of.holders.get(key) ?? []).map(({ holding }) => holding.from).filter((from) => from <= t);
    const latest = Math.max(...starts);
    const apart = Math.max(of.ms(1), ...watches.map(({ process }) => this.#heardMs(process, t)));
    let first: { readonly name: string; readonly holders: string } | undefined;
    const surest = watches.toSorted((a, b) => Number(this.#mayBeLate(a)) - Number(this.#mayBeLate(b)));
    for (const watch of surest) {
      const { process, subscription } = watch;
      const view = viewAt(subscription, key, t);
      // Two report a death up to a slot apart, and a join as far as their feeds are silent.
      const isNew = (view?.t ?? -Infinity) > t - apart || viewAt(subscription, key, t + apart) !== view;
      if (isNew || subscription.to < t + apart) continue;
      const sessions = (view?.holders ?? []).map(({ session }) => session).toSorted((a, b) => a - b);
      const holders = JSON.stringify(sessions);
      const name = `${process.name}/${subscription.id}`;
      first ??= { name, holders };
      this.checked.agreements++;
      if (holders === first.holders || this.#isLate(watch, latest)) continue;
      if (!this.#isReturning(key, t) && !this.#isAbsenceLost(key, t)) {
        this.#find(
          "disagree",
          t,
          `${key} ${name}`,
          `${key} is held by ${first.holders} for ${first.name}, by ${holders} for ${name}`,
        );
      }
    }
  }
}

/** When the first state arrived, if it has by then; that it does not arrive at all is found elsewhere. */
function firstStateAt({ views }: Watch["subscription"], t: number): number {
  const first = Math.min(...Array.from(views.values(), ([view]) => view?.t ?? Infinity));
  return first <= t ? first : -Infinity;
}
