/** What the checks of the judge share: what was logged, in order, and what they have found. */
import { Circumstances } from "./circumstances.ts";
import type { Log } from "./log.ts";
import { type Holding, matches, overOf, Process, type Subscription } from "./process.ts";
import { type Limit, PERIODS, type Promised } from "./promises.ts";
import { lengthOf } from "./spans.ts";

/** A promise that did not hold. */
export interface Finding {
  readonly promise: Promised;
  readonly t: number;
  readonly what: string;
}

export interface Holder {
  readonly process: Process;
  readonly holding: Holding;
}

/** A key was killed by `kill(key)` of a presence. */
export interface Kill {
  readonly key: string;
  readonly by: Process;
  readonly begunAt: number;
  readonly doneAt: number;
  /** Whether it was done by a write that arrived after its call was over: nobody leaves mail then. */
  readonly isLate: boolean;
  /** Whether it was acknowledged; else it may never be done. */
  readonly isDone: boolean;
}

export interface Watch {
  readonly process: Process;
  readonly subscription: Subscription;
}

export class Case {
  readonly log: Log;
  readonly processes: readonly Process[];
  readonly around: Circumstances;
  readonly holders = new Map<string, Holder[]>();
  readonly kills: readonly Kill[];
  readonly watches: readonly Watch[];
  readonly findings: Finding[] = [];
  readonly excuses = new Map<Limit, number>();

  constructor(log: Log) {
    this.log = log;
    this.processes = log.lives.map((life) => new Process(life));
    this.around = new Circumstances(log, this.processes);
    for (const process of this.processes) {
      for (const holding of process.holdings) {
        const others = this.holders.get(holding.key);
        if (others === undefined) this.holders.set(holding.key, [{ process, holding }]);
        else others.push({ process, holding });
      }
    }
    this.kills = this.processes.flatMap((process) => this.#killsBy(process));
    this.watches = this.processes.flatMap((process) =>
      process.subscriptions.map((subscription) => ({ process, subscription })),
    );
  }

  ms(periods: number): number {
    return this.around.ms(periods);
  }

  periods(ms: number): string {
    return `${(ms / this.log.periodMs).toFixed(2)} periods`;
  }

  find(promise: Promised, t: number, what: string): void {
    this.findings.push({ promise, t, what });
  }

  /** Counts the use of a limit; true, so that a condition can end with it. */
  excuse(limit: Limit): true {
    this.excuses.set(limit, (this.excuses.get(limit) ?? 0) + 1);
    return true;
  }

  /** The start of a process that holds the key at a time, of those called before it. */
  holdingAt(process: Process, key: string, time: number): Holding | undefined {
    return process.holdings.findLast((holding) => holding.key === key && holding.calledAt <= time);
  }

  /** When a holding is over. A planned absence is so much longer as the store's clock steps back. */
  overOf(process: Process, holding: Holding): number {
    const { heldUntil, overAt, endingAt } = holding;
    const from = endingAt - this.ms(PERIODS.stepBack);
    const longerMs = heldUntil > overAt ? this.around.steppedBack(from, heldUntil) : 0;
    return overOf(process, holding) + longerMs;
  }

  watchesOf(key: string): readonly Watch[] {
    return this.watches.filter(({ subscription }) => matches(subscription.target, key));
  }

  /**
   * Until when a process may lack records of what it holds: after each loss it has some time without a fault to write them
   * again. Undefined if nothing was lost before a time.
   */
  restoredAt(process: Process, time: number): number | undefined {
    const until = this.around
      .losses(["some", "all"])
      .filter(({ from }) => from <= time)
      .map(({ to, loses }) =>
        this.around.dueOf(process, to, PERIODS.restored * (loses === "some" ? 2 : 1), 0),
      );
    return until.length === 0 ? undefined : Math.max(...until);
  }

  isRestoring(process: Process, time: number): boolean {
    return time <= (this.restoredAt(process, time) ?? -Infinity);
  }

  /** Whether the latest acknowledged writes were lost lately. */
  hasLostWrites(process: Process, time: number): boolean {
    return this.around
      .losses(["the latest"])
      .some(({ from, to }) => from <= time && time <= this.around.dueOf(process, to, PERIODS.restored, 0));
  }

  /**
   * Whether its records may have been pruned while it was away, by itself or with all others, and it has not had the time
   * since to write them again.
   */
  mayHaveBeenPruned(process: Process, time: number): boolean {
    const { retentionSlots } = this.log;
    return this.around.downsOf(process, time).some((away) => {
      const end = Math.min(away.to, time);
      const alone = lengthOf(this.around.cutsAlone(process, away.from, end));
      const isLong =
        (end - away.from > this.ms(retentionSlots / 2) && alone > this.ms(PERIODS.prunedAlone)) ||
        end - away.from > this.ms(retentionSlots * PERIODS.allPruned);
      return isLong && time <= this.around.dueOf(process, end, PERIODS.restored, 0);
    });
  }

  /**
   * Whether it has no pings of its own, and no other process pinged all the time to show that its reads are fresh, or
   * the store's clock had to catch up with what it had shown.
   */
  mayLackPings(process: Process, from: number, to: number): boolean {
    const pinged = (other: Process): boolean =>
      other.pingsFrom <= from && this.around.isCalmFrom(other, from, to);
    if (process.pingsFrom !== Infinity) return false;
    return !this.processes.some(pinged) || this.around.catchesUp(from, to);
  }

  #killsBy(process: Process): Kill[] {
    const kills: Kill[] = [];
    const open: { key: string; begunAt: number }[] = [];
    for (const line of process.lines) {
      if (line.e === "kills") open.push({ key: line.key, begunAt: line.t });
      else if (line.e === "has killed") {
        const index = open.findIndex(({ key }) => key === line.key);
        const begunAt = index === -1 ? line.t : (open.splice(index, 1)[0]?.begunAt ?? line.t);
        kills.push({
          key: line.key,
          by: process,
          begunAt,
          doneAt: line.t,
          isLate: index === -1,
          isDone: true,
        });
      }
    }
    // One that was not acknowledged may be done later.
    for (const { key, begunAt } of open) {
      const doneAt = this.around.dueOf(process, begunAt, PERIODS.noticedQuiet);
      kills.push({ key, by: process, begunAt, doneAt, isLate: false, isDone: false });
    }
    return kills;
  }
}
