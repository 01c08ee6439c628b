/**
 * What is reported, one change after the other: alive and dead alternate, who is reported alive holds the key, and who is
 * reported dead has ended, or was cut off alone, its `vouchedUntil` passed, and it learns of that.
 */
import type { Case, Kill, Watch } from "./case.ts";
import { DECIDED_BY, expectLapse, STEP_MATTERS } from "./lapses.ts";
import { type Holding, overOf, type Process, type View } from "./process.ts";
import { type Limit, PERIODS } from "./promises.ts";
import { lengthOf, type Span, touches, within } from "./spans.ts";

/** A cut so short is none: what is sent meanwhile is only late. */
const CUT_LEAST = 0.05;

/** The ends of each process by which one of its deaths was explained to a subscription: once each. */
type Explained = Map<Process, Set<Kill | Holding>>;

export interface Reports {
  readonly byCause: Record<string, number>;
  /** Reports that a process is dead which lives: it was cut off alone. */
  readonly rightlyDead: number;
}

export function judgeReports(of: Case): Reports {
  const judge = new ReportsJudge(of);
  for (const watch of of.watches) {
    for (const [key, views] of watch.subscription.views) judge.judge(watch, key, views);
  }
  return { byCause: judge.byCause, rightlyDead: judge.rightlyDead };
}

class ReportsJudge {
  readonly byCause: Record<string, number> = {};
  rightlyDead = 0;
  readonly #case: Case;

  constructor(of: Case) {
    this.#case = of;
  }

  judge(watch: Watch, key: string, views: readonly View[]): void {
    let before: View | undefined;
    const explained = new Map<Process, Set<Kill | Holding>>();
    for (const view of views) {
      this.byCause[view.cause] = (this.byCause[view.cause] ?? 0) + 1;
      this.#judgeOrder(watch, view, before);
      this.#judgeHolders(watch, key, view, before);
      for (const process of this.#dropped(watch, key, view, before)) {
        this.#judgeDeath(watch, key, view, process, explained);
      }
      if (!view.alive) this.#judgeCause(watch, key, view, before);
      before = view;
    }
  }

  #said({ process, subscription }: Watch, { key, alive, cause }: View): string {
    return `${process.name}/${subscription.id} was told that ${key} is ${alive ? "alive" : "dead"} (${cause})`;
  }

  #judgeOrder(watch: Watch, view: View, before: View | undefined): void {
    const { target, from, to } = watch.subscription;
    const { alive, cause, t } = view;
    const wasAlive = before?.alive ?? false;
    const isSingle = typeof target === "string";
    const fits =
      cause === "initial"
        ? before === undefined && (isSingle || alive)
        : cause === "updated"
          ? alive && wasAlive && !isSame(view, before)
          : alive === (cause === "joined") && alive !== wasAlive && (before !== undefined || !isSingle);
    const told = before === undefined ? "nothing" : `${before.alive ? "alive" : "dead"} (${before.cause})`;
    if (!fits) this.#case.find("order", t, `${this.#said(watch, view)} after ${told}`);
    if (t > to && to < watch.process.to) {
      this.#case.find("order", t, `${this.#said(watch, view)} after it had ended the subscription`);
    }
    if (t < from) this.#case.find("order", t, `${this.#said(watch, view)} before it watched`);
    if (alive !== view.holders.length > 0) {
      this.#case.find("order", t, `${this.#said(watch, view)} with ${view.holders.length} holders`);
    }
  }

  /** Nobody is reported alive who never held the key, or whose end must have been reported before. */
  #judgeHolders(watch: Watch, key: string, view: View, before: View | undefined): void {
    for (const { session } of view.holders) {
      if (before?.holders.some((holder) => holder.session === session) === true) continue;
      const holders = (this.#case.holders.get(key) ?? []).filter(
        ({ process, holding }) => process.sessions.has(session) && holding.calledAt <= view.t,
      );
      if (holders.length === 0) {
        this.#case.find(
          "false death",
          view.t,
          `${this.#said(watch, view)}, held by ${session}, which is nobody`,
        );
        continue;
      }
      const latest = holders.reduce((a, b) => (b.holding.calledAt > a.holding.calledAt ? b : a));
      const over = overOf(latest.process, latest.holding);
      const since = Math.max(over, watch.process.watchesSince(view.t));
      const due = this.#case.around.dueOf(watch.process, since, PERIODS.death);
      if (view.t <= due || watch.subscription.from > view.t - this.#case.ms(PERIODS.death)) continue;
      if (this.#isEndLost(latest.holding, view.t)) continue;
      const ago = this.#case.periods(view.t - over);
      this.#case.find(
        "late",
        view.t,
        `${this.#said(watch, view)}, held by ${latest.process.name}, which ended ${ago} ago`,
      );
    }
  }

  #isEndLost({ endingAt, overAt, how }: Holding, t: number): boolean {
    const lost = this.#case.around.losses(["some", "all", "the latest"]);
    const isLost =
      how !== "crashed" && lost.some(({ from, to }) => from <= t && to >= endingAt - this.#case.ms(1));
    return isLost && overAt < Infinity && this.#case.excuse("destroyed end");
  }

  /** The processes that hold the key, and whom the watcher was told to be gone. */
  #dropped(
    { process: watcher, subscription }: Watch,
    key: string,
    view: View,
    before: View | undefined,
  ): Process[] {
    const dropped: Process[] = [];
    for (const { process } of this.#case.holders.get(key) ?? []) {
      if (dropped.includes(process) || process.isIn(view)) continue;
      if (before !== undefined) {
        if (process.isIn(before)) dropped.push(process);
        continue;
      }
      if (view.alive) continue;
      const holding = this.#case.holdingAt(process, key, subscription.from);
      if (holding === undefined || holding.from >= subscription.from || holding.endingAt <= view.t) continue;
      const isLate = this.#case.around.lagOf(watcher, view.t) > 0 && holding.from > watcher.from;
      if (!(isLate && this.#case.excuse("first state of a stale read"))) dropped.push(process);
    }
    return dropped;
  }

  #judgeDeath(watch: Watch, key: string, view: View, process: Process, explained: Explained): void {
    const { t } = view;
    const said = `${this.#said(watch, view)} by ${process.name}, which`;
    const since = this.#readAt(t);
    const starts = process.holdings.filter((one) => one.key === key && one.calledAt <= t);
    const holding = starts.findLast(({ from, endingAt }) => from <= since || endingAt <= t);
    if (holding === undefined) return;
    if (this.#wasKilled(watch, process, view, explained)) return;
    if (holding.endingAt <= t) this.#judgeEnded(watch.process, view, process, holding, said);
    else this.#judgeAbsence(watch, view, process, holding, said);
  }

  /** Whether this start or an earlier one was killed, by its own process or another, and that is reported only now. */
  #wasKilled(
    { process: watcher, subscription }: Watch,
    holder: Process,
    view: View,
    explained: Explained,
  ): boolean {
    const of = this.#case;
    const { key, t, cause } = view;
    const known = explained.get(holder) ?? new Set<Kill | Holding>();
    explained.set(holder, known);
    const isNews = (kill: Kill | Holding, begunAt: number, doneAt: number): boolean => {
      if (begunAt > t || known.has(kill)) return false;
      if (cause === "initial")
        return doneAt > subscription.from - of.ms(0.5) || this.#mayNotHaveHeard(holder, doneAt, t);
      if (
        t >
        of.around.dueOf(watcher, Math.max(doneAt, subscription.from), of.around.heardWithin(watcher, doneAt))
      )
        return false;
      known.add(kill);
      return true;
    };
    for (const kill of of.kills) if (kill.key === key && isNews(kill, kill.begunAt, kill.doneAt)) return true;
    const current = holder.holdings.findLast((one) => one.key === key && one.calledAt <= t);
    return holder.holdings.some(
      (one) =>
        one !== current &&
        one.key === key &&
        (one.how === "killed" || one.how === "stopped") &&
        one.heldUntil < t &&
        isNews(one, one.endingAt, one.overAt),
    );
  }

  #mayNotHaveHeard(holder: Process, killedAt: number, t: number): boolean {
    const hears = this.#case.around.dueOf(holder, killedAt, PERIODS.killNoticedLate);
    return t <= hears && this.#case.excuse("killed before the first state");
  }

  /** A cause that nobody set: said to be killed or stopped, and nobody has killed or stopped a holder lately. */
  #judgeCause(watch: Watch, key: string, view: View, before: View | undefined): void {
    const of = this.#case;
    const { cause, t } = view;
    if (cause !== "killed" && cause !== "stopped") return;
    const isNews = (begunAt: number, doneAt: number, periods: number): boolean =>
      begunAt <= t && t <= of.around.dueOf(watch.process, Math.max(doneAt, watch.subscription.from), periods);
    const heard = (at: number): number => of.around.heardWithin(watch.process, at);
    const isKilled = of.kills.some(
      (kill) => kill.key === key && isNews(kill.begunAt, kill.doneAt, heard(kill.doneAt)),
    );
    if (cause === "killed" && isKilled) return;
    for (const { process, holding } of of.holders.get(key) ?? []) {
      if (before !== undefined && !process.isIn(before)) continue;
      const over = of.overOf(process, holding);
      const isMeant = holding.meant === cause && holding.endingAt <= t;
      if (isMeant && isNews(holding.endingAt, over, PERIODS.death)) return;
      if (isMeant && of.mayLackPings(watch.process, over, t) && of.excuse("only reads")) return;
      if (process.closesAs === cause && isNews(process.closingAt, process.to, PERIODS.death)) return;
      if ((of.isRestoring(process, t) || of.hasLostWrites(process, t)) && of.excuse("destroyed records"))
        return;
    }
    of.find("false death", t, `${this.#said(watch, view)}, but nobody has ${cause} it`);
  }

  /** Too early: a stop is reported when its last ping has run out, a crash when its `vouchedUntil` has passed. */
  #judgeEnded(watcher: Process, view: View, process: Process, holding: Holding, said: string): void {
    const of = this.#case;
    const { t } = view;
    const { endingAt, heldUntil, how, meant } = holding;
    if (how === "killed" || (meant === "killed" && view.cause === "killed")) return;
    if (view.cause === "initial" && how !== "stopped") return;
    if (how === "stopped") {
      const from = endingAt - of.ms(1);
      const isQuiet = !of.around.wasDown(process, from, t) && !of.around.hasStep(from, t);
      const leastAt = Math.max(endingAt, heldUntil) + of.ms(PERIODS.stopLeast - PERIODS.clock);
      if (!isQuiet || !this.#isEarly(watcher, t, leastAt)) return;
      if (of.isRestoring(process, t) && of.excuse("destroyed records")) return;
      of.find("false death", t, `${said} stopped, ${of.periods(leastAt - t)} early`);
      return;
    }
    const lag = of.around.lagOf(watcher, t);
    const vouched = process.vouchedAt(Math.min(endingAt, this.#readAt(t) - lag));
    if (!this.#isEarly(watcher, t, vouched - of.ms(PERIODS.clock))) return;
    if (of.isRestoring(process, t) && of.excuse("destroyed records")) return;
    if (of.mayHaveBeenPruned(process, t) && of.excuse("long absence")) return;
    // A crash is a cut that does not end.
    const isAtStep = of.around.isAfterStep(process, endingAt, endingAt) || of.around.hasStep(endingAt, t);
    const wasAtStep = isAtStep || this.#wasCutAtStep(process, t, lag);
    if (this.#excusesLease(process, t, lag, wasAtStep)) return;
    of.find("false death", t, `${said} crashed, ${of.periods(vouched - t)} before its vouchedUntil`);
  }

  /** Whether a watcher reports something earlier than it may. */
  #isEarly(watcher: Process, t: number, least: number): boolean {
    if (t >= least) return false;
    const faults = this.#case.around.faultsOf(watcher).filter((fault) => touches([fault], t, t));
    const aheadMs = Math.max(0, ...faults.map((fault) => fault.aheadMs ?? 0));
    const mostMs = Math.min(aheadMs, this.#case.ms(PERIODS.routerAhead));
    return t + mostMs < least || !this.#case.excuse("a router's clock");
  }

  /** As of when a watcher has read what it reports then. */
  #readAt(t: number): number {
    return t - this.#case.ms(PERIODS.readAge) - this.#case.log.roundTripMs;
  }

  /** It lives: it must have been cut off alone. */
  #judgeAbsence(watch: Watch, view: View, process: Process, holding: Holding, said: string): void {
    const of = this.#case;
    const { t, cause } = view;
    if (of.isRestoring(process, t) && of.excuse("destroyed records")) return;
    if (of.mayHaveBeenPruned(process, t) && of.excuse("long absence")) return;
    if (cause === "initial" && this.#excusesFirstState(watch, view, process, holding)) return;
    const lag = of.around.lagOf(watch.process, t);
    const vouched = process.vouchedAt(this.#readAt(t));
    const from = of.around.decidedSince(t, DECIDED_BY) - lag;
    const cuts = of.around.cutsAlone(process, from, t);
    const wasAtStep = this.#wasCutAtStep(process, t, lag);
    const lagging = of.around.faultsOf(watch.process).filter(({ mayLag }) => mayLag === true);
    const mayOnlyRead = watch.process.pingsFrom === Infinity;
    if (mayOnlyRead && touches(lagging, t - of.ms(1), t) && of.excuse("lagging reads")) return;
    const limit = this.#whyAbsent(process, from, t, cuts, wasAtStep);
    if (limit === undefined) {
      const [alone, ran] = [of.periods(lengthOf(cuts)), of.periods(t - vouched)];
      const why = `it was cut off alone for ${alone}, its vouchedUntil passed ${ran} ago`;
      of.find("false death", t, `${said} lives: ${why}`);
      return;
    }
    const isEarly = this.#isEarly(watch.process, t, vouched - of.ms(PERIODS.clock));
    if (isEarly && !this.#excusesLease(process, t, lag, wasAtStep)) {
      of.find("false death", t, `${said} lives, ${of.periods(vouched - t)} before its vouchedUntil`);
      return;
    }
    of.excuse(limit);
    this.rightlyDead++;
    if (!isEarly && t < vouched - of.ms(PERIODS.clock)) return; // by a router's clock: its lease has not run out
    expectLapse(of, process, holding, t, vouched, said, wasAtStep);
  }

  #wasCutAtStep(process: Process, t: number, lag: number): boolean {
    const { around } = this.#case;
    return around.wasCutAtStep(process, around.decidedSince(t, STEP_MATTERS) - lag, t);
  }

  /** The limit by which it was reported dead rightly. */
  #whyAbsent(
    process: Process,
    from: number,
    t: number,
    cuts: readonly Span[],
    wasAtStep: boolean,
  ): Limit | undefined {
    const of = this.#case;
    if (this.#isCutOff(cuts)) return "cut off alone";
    if (wasAtStep) return "step while cut off";
    // An outage of all counts as well, unless it left a slot empty.
    if (lengthOf(cuts) <= of.ms(CUT_LEAST)) return undefined;
    if (!this.#isCutOff(within(of.around.downsOf(process, t), from, t))) return undefined;
    const outage = of.around.latestOutage(from, t, PERIODS.emptySlot);
    const comesBack = outage !== undefined && t - outage < of.ms(PERIODS.comeBack);
    return comesBack ? undefined : "short outage";
  }

  /** For long enough to be reported dead; or for less, and then again. */
  #isCutOff(cuts: readonly Span[]): boolean {
    const of = this.#case;
    const isLongerThan = (periods: number, { from, to }: Span): boolean => to - from > of.ms(periods);
    return cuts.some((cut, i) => {
      const isSecond = cuts
        .slice(0, i)
        .some(
          (first) => isLongerThan(PERIODS.cutTwice, first) && cut.from - first.to <= of.ms(PERIODS.cutsApart),
        );
      return isSecond || isLongerThan(PERIODS.cutOff, cut);
    });
  }

  #excusesLease(process: Process, t: number, lag: number, wasAtStep: boolean): boolean {
    const of = this.#case;
    if (wasAtStep) return of.excuse("step while cut off");
    if (lag > 0 && process.vouchedAt(t - lag - of.ms(PERIODS.readAge)) <= t + of.ms(PERIODS.clock))
      return of.excuse("lagging reads");
    if (of.hasLostWrites(process, t)) return of.excuse("lost writes");
    const slept = of.around
      .faultsOf(process)
      .filter((fault) => fault.isSleep === true && fault.from <= t && fault.to >= t - of.ms(DECIDED_BY));
    return slept.some(({ setsBack }) => setsBack === true) && of.excuse("sleep that no clock shows");
  }

  /** When its latest cut began, or lately if it can write; never if it had not pinged before. */
  #pingedUntil(process: Process, t: number): number {
    const lately = t - this.#case.ms(2);
    const until = this.#case.around.latestDown(process, lately, t)?.from ?? lately;
    return until > process.pingsFrom ? until : -Infinity;
  }

  #excusesFirstState({ process: watcher }: Watch, { t }: View, process: Process, { from }: Holding): boolean {
    const of = this.#case;
    if (of.around.wasDown(watcher, t, t) && from >= of.around.readAsOf(watcher, t, t) - of.ms(1))
      return of.excuse("first state of a stale read");
    const isAhead = of.around
      .faultsOf(watcher)
      .some(({ aheadMs = 0 }) => aheadMs > of.ms(PERIODS.routerAhead));
    if (isAhead && of.excuse("first state by a router's clock")) return true;
    if (of.around.startedBehind(process, t)) return of.excuse("first state after a step back");
    const pinged = Math.max(
      ...of.processes.map((one) => (one.isThere(t) ? this.#pingedUntil(one, t) : -Infinity)),
    );
    if (Number.isFinite(pinged) && t - pinged > of.ms(of.log.retentionSlots - 4))
      return of.excuse("nobody pinged");
    if (!of.around.wasDown(process, t - of.ms(2), t)) return false;
    const outage = (periods: number): number | undefined =>
      of.around.latestOutage(t - of.ms(PERIODS.emptySlot + 2), t, periods);
    const wasShort = outage(CUT_LEAST) !== undefined && outage(PERIODS.emptySlot) === undefined;
    const wasHeld = of.around.wasHeld(of.around.decidedSince(t, PERIODS.emptySlot), t);
    return (wasHeld || wasShort) && of.excuse("first state after a short outage");
  }
}

function isSame(view: View, before: View | undefined): boolean {
  return before !== undefined && JSON.stringify(view.holders) === JSON.stringify(before.holders);
}
