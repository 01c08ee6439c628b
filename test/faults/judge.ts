/**
 * The judge: reads what all processes have logged, and finds what was promised and did not hold. Pure.
 *
 *   false death   who ran and could write is told dead; or before its `vouchedUntil`; or without learning of it (a lapse)
 *   late          a crash, a kill or a stop is not told in its bound of calm time
 *   lost          who holds a key in calm is not known to a watcher in calm
 *   disagree      two healthy watchers in calm hold different things true of a key, for longer than it takes to be told
 *   order         per watcher and key, alive and dead do not alternate
 *   unhealed      a watcher is stale in calm; a process ended by itself; an error that nobody caught
 *   storage       what is stored is more than what lives and what died lately
 *
 * A process is in calm when no fault has hit it, or all, for a while, and its own event loop has turned.
 */
import type { Loss, Run } from "./log.ts";
import { covered, merge, quietSince, type Span, touches } from "./spans.ts";
import { type Holding, type View, Witness } from "./witness.ts";

/** A death by absence is told in so many periods of calm, and what the operations take (one read and one ping). */
const TOLD_WITHIN = 2.5;
const OPERATIONS = 0.4;
/** A join, a kill or an update is heard in so many periods, whatever the feed does. */
const HEARD_WITHIN = 1.7;
/** How long it takes, in periods, to find a store again that is back: the driver looks for it twice a period. */
const RECOVERY = 1;
/** After a trouble a watcher is healthy again in so many periods of calm. */
const HEALED_WITHIN = 4;
/** A process may be wrong about the store's time by so many periods. */
const CLOCK_ERROR = 0.1;
/** What a watcher read may be so old, in periods, when it tells of it: a read and a ping, each given up after a fifth. */
const READ_AGE = 0.4;
/** Missing so much, in periods, is forgiven to who was hit alone. */
const FORGIVEN = 0.8;
/** A death is judged by the latest slots, so by what was so many periods ago at most. */
const JUDGED_BY = 3.5;
/** A crash that was so little calm around that nothing can be said of it, in periods. */
const WAIT_MAX = 30;
/** What was stopped or killed is known to a watcher, as the cause of a death, for so many periods. */
const ENDED_LATELY = 30;
/**
 * What was dropped on purpose is there again in so many periods of calm: it is looked for in every fourth slot, and not in
 * the two after it was written.
 */
const RESTORED_WITHIN = 7;
/** Pruning is by chance: what died may be stored for so many times the retention. */
const PRUNED_WITHIN = 2;

export interface Wrong {
  readonly kind: "false death" | "late" | "lost" | "disagree" | "order" | "unhealed" | "storage";
  readonly t: number;
  readonly what: string;
}

export interface Verdict {
  readonly run: Run;
  readonly wrong: readonly Wrong[];
  readonly told: Record<string, number>;
  /** How many periods after a crash in calm each watcher in calm was told, in order. */
  readonly crashes: readonly number[];
  /** How many ms after a start in calm each watcher in calm was told, in order. */
  readonly joins: readonly number[];
  /** Deaths told of processes that lived, because of what had hit them alone. */
  readonly rightlyDead: number;
  /** Deaths told of processes that lived when what they held had just been destroyed. */
  readonly notJudged: number;
  readonly checks: Readonly<Record<"holdings" | "ends" | "agreements", number>>;
  /** In how many periods some watcher was in calm; and of these, most were stale, because the machine was too busy. */
  readonly calm: { readonly periods: number; readonly busy: number };
}

export function judge(run: Run): Verdict {
  return new Judge(run).judge();
}

class Judge {
  readonly #run: Run;
  readonly #period: number;
  readonly #witnesses: readonly Witness[];
  readonly #kills: readonly { readonly key: string; readonly t: number }[];
  readonly #holders = new Map<string, { readonly witness: Witness; readonly holding: Holding }[]>();
  /** When what was acknowledged was lost: the latest of it, and all that is held. */
  readonly #losses: Readonly<Record<Loss, readonly Span[]>>;
  readonly #wrong: Wrong[] = [];
  readonly #told: Record<string, number> = {};
  readonly #crashes: number[] = [];
  readonly #joins: number[] = [];
  readonly #checks = { holdings: 0, ends: 0, agreements: 0 };
  #rightlyDead = 0;
  #notJudged = 0;
  #calmPeriods = { periods: 0, busy: 0 };
  readonly #calm = new Map<Witness, readonly Span[]>();

  constructor(run: Run) {
    this.#run = run;
    this.#period = run.periodMs;
    this.#witnesses = run.lives.map((life) => new Witness(life, run));
    this.#losses = {
      "the latest": run.faults.filter(({ loses }) => loses === "the latest"),
      "what is held": run.faults.filter(({ loses }) => loses === "what is held"),
    };
    this.#kills = run.lives.flatMap(({ lines }) =>
      lines.filter((line) => line.e === "kills").map(({ key, t }) => ({ key, t })),
    );
    for (const witness of this.#witnesses) {
      for (const holding of witness.holdings) {
        const others = this.#holders.get(holding.key);
        if (others === undefined) this.#holders.set(holding.key, [{ witness, holding }]);
        else others.push({ witness, holding });
      }
      this.#calm.set(witness, this.#troublesOf(witness));
    }
  }

  judge(): Verdict {
    for (const witness of this.#witnesses) {
      this.#judgeProcess(witness);
      for (const [key, views] of witness.views) this.#judgeViews(witness, key, views);
    }
    this.#judgeHealth();
    this.#judgeEnds();
    this.#audit();
    this.#judgeStorage();
    return {
      run: this.#run,
      wrong: this.#wrong.toSorted((a, b) => a.t - b.t),
      told: this.#told,
      crashes: this.#crashes.toSorted((a, b) => a - b),
      joins: this.#joins.toSorted((a, b) => a - b),
      rightlyDead: this.#rightlyDead,
      notJudged: this.#notJudged,
      checks: this.#checks,
      calm: this.#calmPeriods,
    };
  }

  #find(kind: Wrong["kind"], t: number, what: string): void {
    this.#wrong.push({ kind, t, what });
  }

  /** When it was in trouble, with the time that it takes to notice that it is over; not what it says itself. */
  #troublesOf({ own, shared, from }: Witness): readonly Span[] {
    const recovery = RECOVERY * this.#period;
    const start = { from: -Infinity, to: from };
    return merge([
      start,
      ...[...own, ...shared].map((span) => ({ from: span.from, to: span.to + recovery })),
    ]);
  }

  #isCalm(witness: Witness, time: number, periods: number): boolean {
    return !touches(this.#calm.get(witness) ?? [], time - periods * this.#period, time);
  }

  // ---- each process, and each watcher for itself

  #judgeProcess({ life, broken, name }: Witness): void {
    if (life.how === "exited") this.#find("unhealed", life.to, `${name} ended by itself`);
    for (const why of broken) this.#find("unhealed", life.from, `${name}: ${why}`);
  }

  /**
   * Who is stale in calm while most others are healthy; and all, where most are stale for most of the calm. Now and then most
   * are because the machine is too busy to answer in a fifth of the period: that is counted.
   */
  #judgeHealth(): void {
    const calm = { periods: 0, busy: 0 };
    const since = new Map<Witness, number>();
    for (let t = this.#run.from; t <= this.#run.to; t += this.#period) {
      const watchers = this.#witnesses.filter(
        (one) => one.watched.length > 0 && isThere(one, t) && this.#isCalm(one, t, HEALED_WITHIN),
      );
      if (watchers.length === 0) continue;
      const stale = watchers.filter((one) => touches(one.stale, t, t));
      const isBusy = stale.length > watchers.length / 2;
      calm.periods++;
      if (isBusy) calm.busy++;
      for (const one of watchers) {
        if (isBusy || !stale.includes(one)) since.delete(one);
        else if (!since.has(one)) since.set(one, t);
        const periods = (t - (since.get(one) ?? t)) / this.#period;
        if (periods >= HEALED_WITHIN) {
          this.#find(
            "unhealed",
            t,
            `${one.name} is stale for ${periods} periods of calm, while most are healthy`,
          );
          since.delete(one);
        }
      }
    }
    this.#calmPeriods = calm;
    if (calm.busy > calm.periods / 2)
      this.#find(
        "unhealed",
        this.#run.to,
        `most watchers were stale in ${calm.busy} of ${calm.periods} periods of calm`,
      );
  }

  #judgeViews(witness: Witness, key: string, views: readonly View[]): void {
    let wasAlive = false;
    let heardAt = -Infinity;
    for (const view of views) {
      const { t, alive, cause } = view;
      this.#told[cause] = (this.#told[cause] ?? 0) + 1;
      const fits = cause === "updated" ? alive && wasAlive : alive !== wasAlive;
      if (!fits)
        this.#find(
          "order",
          t,
          `${witness.name} was told ${key} ${inWords(view)} after ${wasAlive ? "alive" : "dead"}`,
        );
      wasAlive = alive;
      if (!alive) this.#judgeDeath(witness, key, view, heardAt);
      heardAt = t;
    }
  }

  // ---- deaths of those who live

  /** `heardAt`: when the watcher was last told of the key. */
  #judgeDeath(watcher: Witness, key: string, { t, cause }: View, heardAt: number): void {
    const holders = (this.#holders.get(key) ?? []).filter(
      // A start that came too late to be read.
      ({ holding }) => holding.from <= t - this.#period / 2 && holding.endingAt > t,
    );
    for (const { witness: holder, holding } of holders) {
      const said = `${watcher.name} was told that ${key} of ${holder.name} is dead (${cause})`;
      if (this.#wasKilled(key, holding, t)) continue;
      if (cause === "killed" && this.#hasMissedKill(key, heardAt, t)) continue;
      const isRestoring = this.#isRestoring(holder, t);
      const find = (what: string): void => {
        if (isRestoring) this.#notJudged++;
        else this.#find("false death", t, what);
      };
      if (cause !== "expired" && !this.#hasOtherEnded(key, holder, t)) {
        find(`${said}, but nobody has killed or stopped it`);
        continue;
      }
      const vouched = holder.vouchedAt(t - READ_AGE * this.#period);
      if (vouched > t + CLOCK_ERROR * this.#period && !this.#hasLost("the latest", t)) {
        find(`${said} ${this.#periods(vouched - t)} before its vouchedUntil`);
        continue;
      }
      if (!this.#wasHitAlone(holder, t)) {
        find(
          `${said}, but nothing has hit it alone; its vouchedUntil passed ${this.#periods(t - vouched)} ago`,
        );
        continue;
      }
      this.#rightlyDead++;
      this.#expectLapse(holder, t, vouched, said);
    }
  }

  /** The cause is that of the last holder to go: another of the key may have been stopped or killed lately. */
  #hasOtherEnded(key: string, holder: Witness, t: number): boolean {
    return (this.#holders.get(key) ?? []).some(
      ({ witness, holding }) =>
        witness !== holder &&
        (holding.how === "stopped" || holding.how === "killed") &&
        holding.endingAt <= t &&
        holding.overAt >= t - ENDED_LATELY * this.#period,
    );
  }

  /** Whether it could not write although others could, for longer than is forgiven. */
  #wasHitAlone({ own, shared }: Witness, t: number): boolean {
    const since = t - JUDGED_BY * this.#period;
    const recovery = (RECOVERY / 2) * this.#period;
    const hits = own.filter(({ from, to }) => from <= t && to >= since);
    if (hits.length === 0) return false;
    // A short outage of all leaves no slot empty: who was hit alone besides has not missed one slot only.
    if (touches(shared, since, t)) return true;
    const missed = merge(hits.map(({ from, to }) => ({ from, to: to + recovery })));
    return covered(missed, since, t) >= FORGIVEN * this.#period;
  }

  #wasKilled(key: string, { calledAt }: Holding, t: number): boolean {
    return this.#kills.some((kill) => kill.key === key && kill.t >= calledAt - this.#period && kill.t <= t);
  }

  /** Whether a holder has killed it since it was last heard of: who was away is told that, and then of the next start. */
  #hasMissedKill(key: string, heardAt: number, t: number): boolean {
    return (this.#holders.get(key) ?? []).some(
      ({ holding: { how, endingAt } }) => how === "killed" && endingAt >= heardAt && endingAt <= t,
    );
  }

  /** What it held was destroyed, and it has not had the time in calm since to write it again. */
  #isRestoring(holder: Witness, t: number): boolean {
    const need = RESTORED_WITHIN * this.#period;
    const troubles = this.#calm.get(holder) ?? [];
    return this.#losses["what is held"].some(
      ({ from, to }) => from <= t && t <= quietSince(troubles, to, need),
    );
  }

  #hasLost(loss: Loss, t: number): boolean {
    return touches(this.#losses[loss], t - RESTORED_WITHIN * this.#period, t);
  }

  /** It learns of it when its `vouchedUntil` passes, or as soon as its event loop turns again. */
  #expectLapse(holder: Witness, t: number, vouched: number, said: string): void {
    const limit = quietSince(holder.own, t, this.#period / 2);
    if (Math.min(holder.to, holder.closingAt, this.#run.to) <= limit) return;
    const since = vouched - CLOCK_ERROR * this.#period;
    const knows = holder.lapses.some((lapse) => lapse >= since && lapse <= limit);
    if (!knows && !this.#hasLost("the latest", t)) {
      this.#find("false death", t, `${said}, and it had no lapse`);
    }
  }

  // ---- what has ended

  #judgeEnds(): void {
    for (const [key, holders] of this.#holders) {
      for (const { witness, holding } of holders) {
        if (holding.how === "lives" || holding.overAt >= this.#run.to) continue;
        for (const watcher of this.#witnesses) this.#judgeEnd(key, witness, holding, watcher);
      }
    }
  }

  #judgeEnd(key: string, holder: Witness, holding: Holding, watcher: Witness): void {
    const since = watcher.watches(key);
    if (since === undefined || watcher === holder) return;
    const { overAt, how, isCutShort = false } = holding;
    const from = Math.max(overAt, since);
    const bound = how === "killed" && !isCutShort ? HEARD_WITHIN : TOLD_WITHIN + OPERATIONS;
    const troubles = merge([...(this.#calm.get(watcher) ?? []), ...watcher.stale]);
    const due = quietSince(troubles, from, bound * this.#period);
    if (due > Math.min(watcher.to, watcher.closingAt, this.#run.to)) return;
    if (due - from > WAIT_MAX * this.#period) return;
    const session = holder.sessionAt(holding.endingAt);
    // The same process may hold it again.
    if (
      session === undefined ||
      holder.holdings.some((other) => other.key === key && isAgain(other, holding, due))
    )
      return;
    // A store that was lost begins to count its sessions anew.
    if (
      this.#witnesses.some(
        (other) => other !== holder && other.to > overAt && other.sessions.includes(session),
      )
    )
      return;
    // Written to a record that was destroyed, or under another number: to others it ends by its absence, once its process is back.
    if (how !== "crashed" && this.#isRestoring(holder, overAt)) return;
    this.#checks.ends++;
    const view = watcher.viewAt(key, due);
    if (view?.sessions.includes(session) === true) {
      this.#find(
        "late",
        due,
        `${watcher.name} still knows ${key} of ${holder.name} (session ${session}), ${how} ${this.#periods(due - overAt)} ago`,
      );
      return;
    }
    if (how === "crashed" && due === from + bound * this.#period && since < overAt) {
      const told = (watcher.views.get(key) ?? []).find(
        ({ t, sessions }) => t >= overAt && !sessions.includes(session),
      );
      const knew = watcher.viewAt(key, overAt)?.sessions.includes(session) === true;
      if (told !== undefined && knew) this.#crashes.push((told.t - overAt) / this.#period);
    }
  }

  // ---- who lives, once a period

  #audit(): void {
    const { from, to } = this.#run;
    for (let t = from; t <= to; t += this.#period) {
      const watchers = this.#witnesses.filter(
        (one) => one.watched.length > 0 && isThere(one, t) && this.#isCalm(one, t, 3.5),
      );
      if (watchers.length === 0 || this.#hasLost("what is held", t)) continue;
      this.#auditHoldings(watchers, t);
      this.#auditAgreement(watchers, t);
    }
    for (const [key, holders] of this.#holders) {
      for (const { witness, holding } of holders) this.#timeJoin(key, witness, holding);
    }
  }

  #auditHoldings(watchers: readonly Witness[], t: number): void {
    for (const [key, holders] of this.#holders) {
      if (this.#kills.some((kill) => kill.key === key && t - kill.t < 4 * this.#period && kill.t <= t))
        continue;
      for (const { witness: holder, holding } of holders) {
        const isHeld = holding.from <= t - HEARD_WITHIN * this.#period && holding.endingAt > t;
        if (!isHeld || !this.#isCalm(holder, t, 3.5)) continue;
        const session = holder.sessionAt(t);
        if (session === undefined || holder.sessionChangedIn(t - HEARD_WITHIN * this.#period, t)) continue;
        for (const watcher of watchers) {
          const since = watcher.watches(key);
          if (since === undefined || t - since < 3 * this.#period) continue;
          this.#checks.holdings++;
          const view = watcher.viewAt(key, t);
          if (view?.sessions.includes(session) !== true) {
            const knows =
              view === undefined
                ? "nothing"
                : `${inWords(view)} of ${JSON.stringify(view.sessions)}, ${this.#periods(t - view.t)} ago`;
            this.#find(
              "lost",
              t,
              `${holder.name} (session ${session}) holds ${key} since ${this.#periods(t - holding.from)}, but ${watcher.name} was told ${knows}`,
            );
          }
        }
      }
    }
  }

  #auditAgreement(watchers: readonly Witness[], t: number): void {
    const healthy = watchers.filter(({ stale }) => !touches(stale, t - 3.5 * this.#period, t));
    for (const key of this.#holders.keys()) {
      let first: { readonly watcher: Witness; readonly sessions: string } | undefined;
      for (const watcher of healthy) {
        const since = watcher.watches(key);
        if (since === undefined || t - since < 4 * this.#period) continue;
        const view = watcher.viewAt(key, t);
        const next = watcher.viewAt(key, t + this.#period);
        if (next !== view || t - (view?.t ?? -Infinity) < this.#period) continue; // it is just registration told
        const sessions = JSON.stringify((view?.sessions ?? []).toSorted((a, b) => a - b));
        first ??= { watcher, sessions };
        this.#checks.agreements++;
        if (sessions !== first.sessions) {
          this.#find(
            "disagree",
            t,
            `${key} is held by ${first.sessions} for ${first.watcher.name}, by ${sessions} for ${watcher.name}`,
          );
        }
      }
    }
  }

  #timeJoin(key: string, holder: Witness, { from, calledAt, endingAt }: Holding): void {
    if (!this.#isCalm(holder, from, 0) && holder.from < from - this.#period) return;
    for (const watcher of this.#witnesses) {
      const since = watcher.watches(key);
      if (since === undefined || since > calledAt - 2 * this.#period || watcher === holder) continue;
      if (watcher.to < from || !this.#isCalm(watcher, from + this.#period, 3)) continue;
      const session = holder.sessionAt(from);
      const before = watcher.viewAt(key, calledAt);
      if (session === undefined || before?.sessions.includes(session) === true) continue;
      const told = (watcher.views.get(key) ?? []).find(
        ({ t, sessions }) => t >= calledAt && sessions.includes(session),
      );
      if (told !== undefined && told.t < endingAt) this.#joins.push(told.t - calledAt);
    }
  }

  // ---- what is stored

  #judgeStorage(): void {
    const { counts, retentionSlots } = this.#run;
    const kept = PRUNED_WITHIN * retentionSlots * this.#period;
    for (const { t, sessions, registrations, pings } of counts) {
      const lately = this.#witnesses.filter(({ from, to }) => from <= t && to >= t - kept);
      // A session is lost with what was lost, and a new one is opened, once a loss.
      const losses =
        Object.values(this.#losses)
          .flat()
          .filter(({ to, from }) => from <= t && to >= t - kept).length + 1;
      const starts = lately.flatMap(({ holdings }) => holdings.filter((one) => one.overAt >= t - kept));
      const kills = this.#kills.filter((kill) => kill.t <= t && kill.t >= t - kept).length * 2;
      const segments = 1 + Math.floor(Math.max(0, ...lately.flatMap((one) => one.sessions)) / 1024);
      const bounds = {
        sessions: lately.length * losses,
        registrations: (starts.length + kills + lately.length * 2) * losses,
        pings: (kept / this.#period) * segments,
      };
      for (const kind of ["sessions", "registrations", "pings"] as const) {
        const count = { sessions, registrations, pings }[kind];
        if (count > bounds[kind])
          this.#find("storage", t, `${count} ${kind} are stored, more than ${bounds[kind]}`);
      }
    }
  }

  #periods(ms: number): string {
    return `${(ms / this.#period).toFixed(2)} periods`;
  }
}

function isThere({ from, to, closingAt }: Witness, t: number): boolean {
  return from < t && Math.min(to, closingAt) > t;
}

function isAgain(other: Holding, holding: Holding, due: number): boolean {
  return other !== holding && other.from > holding.from && other.calledAt <= due;
}

function inWords({ alive, cause }: View): string {
  return `${alive ? "alive" : "dead"} (${cause})`;
}
