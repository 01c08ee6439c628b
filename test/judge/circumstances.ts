/** What was done to whom: who could write when, and who had a reason for a suspicion. */
import type { Fault, Log } from "./log.ts";
import type { Process } from "./process.ts";
import { NOTICED_QUIET_MS_MIN, PERIODS, POLL_MS_MAX } from "./promises.ts";
import { merge, quietSince, type Span, touches, without } from "./spans.ts";

/** A process logs once a period that its event loop turns. If it has not for so many, it was stopped or starved. */
const SILENCE_MIN = 1.3;

type Down = Span & { readonly effect: Fault["effect"] };

interface Own {
  readonly faults: readonly Fault[];
  /** When it could not write, or not surely. */
  readonly downs: readonly Down[];
  /** When it had a reason for a suspicion: its faults, and the time that it takes to notice that they are over. */
  readonly troubles: readonly Span[];
  /** Those of them that a step of the store's clock is the reason of. */
  readonly afterSteps: readonly Span[];
  /** When its programs did not run. */
  readonly pauses: readonly Span[];
}

export class Circumstances {
  readonly #log: Log;
  readonly #all: readonly Process[];
  readonly #own = new Map<Process, Own>();
  readonly steps: readonly { readonly at: number; readonly ms: number }[];

  constructor(log: Log, processes: readonly Process[]) {
    this.#log = log;
    this.#all = processes;
    this.steps = log.faults.flatMap(({ from, stepMs }) =>
      stepMs === undefined ? [] : [{ at: from, ms: stepMs }],
    );
    for (const process of processes) this.#own.set(process, this.#ownOf(process));
    for (const [process, own] of this.#own) {
      const afterSteps = [...own.afterSteps, ...this.#movedOnBy(process)];
      const troubles = merge([...own.troubles, ...afterSteps]);
      this.#own.set(process, { ...own, troubles, afterSteps });
    }
  }

  ms(periods: number): number {
    return periods * this.#log.periodMs;
  }

  troubles(process: Process): readonly Span[] {
    return this.#own.get(process)?.troubles ?? [];
  }

  pauses(process: Process): readonly Span[] {
    return this.#own.get(process)?.pauses ?? [];
  }

  faultsOf(process: Process): readonly Fault[] {
    return this.#own.get(process)?.faults ?? [];
  }

  /** Whether it had no trouble in so many periods before a time, and runs. */
  isCalm(process: Process, time: number, periods: number): boolean {
    return this.isCalmFrom(process, time - this.ms(periods), time);
  }

  isCalmFrom(process: Process, from: number, to: number): boolean {
    return process.isThere(to) && process.from <= from && !touches(this.troubles(process), from, to);
  }

  /** The first time, `periods` or more after `from`, before which it had no trouble for so long. */
  dueOf(process: Process, from: number, periods: number, moreMs = this.#log.roundTripMs): number {
    return quietSince(this.troubles(process), Math.max(from, process.from), this.ms(periods) + moreMs);
  }

  /** Within how many periods a watcher hears of what was written at a time: at its next poll, or later if its feed is silent. */
  heardWithin({ life }: Process, time: number): number {
    const isSilent = this.#log.faults.some(
      ({ isHint, who, from, to }) =>
        isHint === true &&
        (who === "all" || who.includes(life.name)) &&
        from <= time + this.ms(PERIODS.heardSilent) &&
        to >= time - this.ms(PERIODS.heardSilent),
    );
    return isSilent ? PERIODS.heardSilent : Math.min(PERIODS.poll, POLL_MS_MAX / this.#log.periodMs);
  }

  wasDown(process: Process, from: number, to: number): boolean {
    return touches(this.#own.get(process)?.downs ?? [], from, to);
  }

  /** When it could not write although another process could. */
  cutsAlone(process: Process, from: number, to: number): Span[] {
    const cuts: Span[] = [];
    for (const { begin, end, middle } of this.#spans(from, to)) {
      if (!this.wasDown(process, middle, middle)) continue;
      if (this.#all.some((other) => other !== process && this.#couldWrite(other, middle)))
        cuts.push({ from: begin, to: end });
    }
    return merge(cuts);
  }

  /** Whether it alone was cut off while the store's clock stepped, or before that was noticed. */
  wasCutAtStep(process: Process, from: number, to: number): boolean {
    return this.cutsAlone(process, from, to).some((cut) => this.isAfterStep(process, cut.from, cut.to));
  }

  /** Whether it may not have noticed a step of the store's clock yet. */
  isAfterStep(process: Process, from: number, to: number): boolean {
    return touches(this.#own.get(process)?.afterSteps ?? [], from, to);
  }

  /** When so many periods before a time began, without the time in which nobody could write: that decides nothing. */
  decidedSince(time: number, periods: number): number {
    let left = this.ms(periods);
    const first = time - this.ms(this.#log.retentionSlots);
    for (const { begin, end, middle } of [...this.#spans(first, time)].toReversed()) {
      if (!this.#all.some((one) => this.#couldWrite(one, middle))) continue;
      if (left <= end - begin) return end - left;
      left -= end - begin;
    }
    return first;
  }

  /** When the latest time was over in which nobody could write for so many periods, and nothing was held up. */
  latestOutage(from: number, to: number, periods: number): number | undefined {
    let outage: number | undefined;
    let since = from;
    for (const { end, middle } of this.#spans(from, to)) {
      if (this.#all.some((one) => this.#couldWrite(one, middle) || this.#isHeld(one, middle))) since = end;
      else if (end - since >= this.ms(periods)) outage = end;
    }
    return outage;
  }

  /** The end of the latest time in which it could not write without a gap, if it was over after `since`. */
  latestDown(process: Process, since: number, now: number): Span | undefined {
    const last = this.downsOf(process, now).at(-1);
    return last === undefined || last.to <= since
      ? undefined
      : { from: last.from, to: Math.min(last.to, now) };
  }

  /** The times in which it could not write that began up to now. */
  downsOf(process: Process, now = Infinity): Span[] {
    return merge((this.#own.get(process)?.downs ?? []).filter(({ from }) => from <= now));
  }

  /** When each of its absences was over that were longer than half of the retention. */
  longAbsences(process: Process): number[] {
    return this.downsOf(process)
      .filter(({ from, to }) => to - from > this.ms(this.#log.retentionSlots / 2))
      .map(({ to }) => to);
  }

  /** How old what it reads may be at a time, in ms: what is older is recognized by its own pings. */
  lagOf(process: Process, time: number): number {
    const lags = this.faultsOf(process).map(({ from, to, lagMs, standsStill = false }) => {
      if (lagMs === undefined || from > time || to < time) return 0;
      return lagMs + (standsStill ? time - from : 0);
    });
    return Math.min(this.ms(PERIODS.lag), Math.max(0, ...lags));
  }

  /** As of when what it read from one time to another may be, if its reads were late or lagged; Infinity if not. */
  readAsOf(process: Process, from: number, to: number): number {
    const stale = this.faultsOf(process).filter(
      ({ effect, lagMs }) => effect !== "disturbed" || lagMs !== undefined,
    );
    const times = stale
      .filter((fault) => touches([fault], from - this.#log.reconnectMs, to))
      .map((fault) => {
        const follows = fault.lagMs !== undefined && fault.standsStill !== true;
        return (follows ? Math.max(fault.from, from) : fault.from) - (fault.lagMs ?? 0);
      });
    return Math.min(Infinity, ...times);
  }

  /** By how much the store's clock stepped back, in ms. */
  steppedBack(from: number, to: number): number {
    const back = this.steps.filter(({ at, ms }) => ms < 0 && at >= from && at <= to);
    return back.reduce((sum, { ms }) => sum - ms, 0);
  }

  /** Whether the store's clock stepped forward, and back before everyone had pinged, and may still have to catch up. */
  catchesUp(from: number, to: number): boolean {
    const forward = this.steps.filter(({ ms }) => ms > 0);
    const hasShown = (at: number): boolean =>
      forward.some((step) => step.at <= at && at - step.at <= this.ms(PERIODS.pingsApart));
    return this.steps.some(
      ({ at, ms }) => ms < 0 && hasShown(at) && at <= to && at - ms + this.ms(1) >= from,
    );
  }

  hasStep(from: number, to: number): boolean {
    return this.steps.some(({ at }) => at >= from && at <= to);
  }

  /** Those of its faults, and of all, that lose what was stored. */
  losses(loses: readonly Fault["loses"][]): readonly Fault[] {
    return this.#log.faults.filter((fault) => fault.loses !== undefined && loses.includes(fault.loses));
  }

  /** What was held up is done afterwards: slots in which nobody could write are not empty then. */
  wasHeld(from: number, to: number): boolean {
    return this.#log.faults.some((fault) => fault.effect === "held" && fault.from <= to && fault.to >= from);
  }

  /** A process that is well has the answer to its next ping within so many ms. */
  get #nextPingMs(): number {
    return this.ms(PERIODS.pingsApart) + this.#log.roundTripMs;
  }

  #ownOf(process: Process): Own {
    const { life, lines, from, to } = process;
    const until = Math.min(to, this.#log.to);
    const given = this.#log.faults.filter(
      (fault) =>
        fault.isHint !== true &&
        (fault.who === "all" || fault.who.includes(life.name) || fault.who.includes(process.name)) &&
        fault.to >= from &&
        fault.from <= until,
    );
    const stopped = (since: number, end: number): Fault => ({
      kind: "its event loop did not turn",
      who: [life.name],
      from: since,
      to: end,
      effect: "cut off",
      isPause: true,
    });
    const turned = lines.findLast(({ e }) => e === "turns")?.t;
    const isSilent = turned !== undefined && until - turned >= this.ms(SILENCE_MIN);
    const faults = [
      ...given,
      ...lines.filter((line) => line.e === "late").map(({ from: since, t }) => stopped(since, t)),
      ...(isSilent ? [stopped(turned, until)] : []),
    ];
    const troubles = this.#troubles(faults);
    const paced = this.#pacedSpans(process);
    const afterSteps = [...this.#noticed(faults, troubles), ...this.#inherited(from)];
    return {
      faults,
      downs: faults
        .filter(({ effect }) => effect !== "disturbed")
        .flatMap((fault) => this.#downsBy(fault, paced)),
      troubles,
      afterSteps,
      pauses: merge(faults.filter(({ isPause }) => isPause === true)),
    };
  }

  /** A fault of the store may cut nobody off: whoever's pings were acknowledged at their pace could write. */
  #downsBy({ who, from, to, effect }: Fault, paced: readonly Span[]): Down[] {
    const down = { from, to: to + this.#log.reconnectMs };
    const mayBeNone = who === "all" && effect === "cut off";
    return (mayBeNone ? without(down, paced) : [down]).map((span) => ({ ...span, effect }));
  }

  /** When its pings were acknowledged at their pace. */
  #pacedSpans({ acknowledgedAt }: Process): Span[] {
    const spans = acknowledgedAt.slice(1).map((to, i) => ({ from: acknowledgedAt[i] ?? -Infinity, to }));
    return merge(spans.filter(({ from, to }) => to - from <= this.ms(PERIODS.pingsApart)));
  }

  /** Whether it started while the store's clock showed less than before a step back, and may not have caught up yet. */
  startedBehind(process: Process, time: number): boolean {
    return touches(this.#inherited(process.from), time, time);
  }

  /** A process that starts right after a step back, or while the clock shows less than before, waits with the others. */
  #inherited(from: number): Span[] {
    let [shown, shiftMs, to] = [-Infinity, 0, from];
    for (const { at, ms } of this.steps.toSorted((a, b) => a.at - b.at)) {
      if (at >= from) break;
      shown = Math.max(shown, at + shiftMs);
      shiftMs += ms;
      if (ms < 0) to = Math.max(to, at + this.ms(PERIODS.stepBack));
    }
    if (from + shiftMs < shown) to = Math.max(to, from + this.ms(PERIODS.stepBack));
    return to > from ? [{ from, to }] : [];
  }

  /** A process that was away while the store's clock stepped back, or before it noticed that, moves the slots on. */
  #movedOnBy(process: Process): Span[] {
    const noticedMs = this.#nextPingMs;
    return this.#all.flatMap((other) => {
      if (other === process) return [];
      const downs = this.#own.get(other)?.downs ?? [];
      // While it is hampered it may not notice either, so that what comes right before a cut counts as well.
      const away = merge(downs.map(({ from, to }) => ({ from: from - noticedMs, to })));
      return merge(downs.filter(({ effect }) => effect !== "hampered"))
        .filter(({ from, to }) => {
          const since = away.find((span) => span.from < from && from <= span.to)?.from ?? from;
          return to <= other.to && this.#backMs(since, to) > this.ms(PERIODS.movesOn);
        })
        .map(({ to }) => ({ from: to, to: to + this.ms(PERIODS.stepBack) }));
    });
  }

  /** By how much at most the store's clock stepped back from one time to another, in several steps too. */
  #backMs(from: number, to: number): number {
    let [left, most] = [0, 0];
    for (const { at, ms } of this.steps) {
      if (at < from || at > to) continue;
      left = Math.max(0, left - ms);
      most = Math.max(most, left);
    }
    return most;
  }

  #troubles(faults: readonly Fault[]): Span[] {
    const own = faults.filter(({ stepMs }) => stepMs === undefined);
    const quiet = own.filter(({ isQuiet }) => isQuiet === true);
    const quietMs = Math.max(this.ms(PERIODS.noticedQuiet), NOTICED_QUIET_MS_MIN);
    return own.map(({ from, to }) => {
      const mayNotKnow = quiet.some((other) => other.from <= to && other.to + quietMs >= from);
      return { from, to: to + (mayNotKnow ? quietMs : this.ms(PERIODS.noticed)) };
    });
  }

  /** A step of the store's clock is noticed by whoever is there; by others when they are back. */
  #noticed(faults: readonly Fault[], troubles: readonly Span[]): Span[] {
    return faults.flatMap(({ from, stepMs }) => {
      if (stepMs === undefined) return [];
      const away = merge(troubles).filter((span) => span.from - this.ms(2) <= from && span.to > from);
      const takesMs = stepMs < 0 ? this.ms(PERIODS.stepBack) : this.#nextPingMs;
      return [{ from, to: Math.max(from, ...away.map(({ to }) => to)) + takesMs }];
    });
  }

  /** What is written late is written: its slot is not empty. */
  #couldWrite(process: Process, time: number): boolean {
    const isCut = (this.#own.get(process)?.downs ?? []).some(
      (down) => down.effect !== "hampered" && down.from <= time && time < down.to,
    );
    return process.pingsFrom <= time && time < process.to && !isCut;
  }

  #isHeld(process: Process, time: number): boolean {
    return (this.#own.get(process)?.downs ?? []).some(
      (down) => down.effect === "held" && down.from <= time && time < down.to,
    );
  }

  /** The times from `from` to `to` in each of which nothing changed for anybody. */
  *#spans(
    from: number,
    to: number,
  ): Generator<{ readonly begin: number; readonly end: number; readonly middle: number }> {
    const marks = new Set([from, to]);
    for (const process of this.#all) {
      for (const down of this.#own.get(process)?.downs ?? []) {
        if (down.from <= to && down.to >= from) marks.add(down.from).add(down.to);
      }
      marks.add(process.to).add(process.pingsFrom);
    }
    const times = [...marks].filter((time) => time >= from && time <= to).toSorted((a, b) => a - b);
    for (let i = 1; i < times.length; i++) {
      const [begin = 0, end = 0] = [times[i - 1], times[i]];
      yield { begin, end, middle: (begin + end) / 2 };
    }
  }
}
