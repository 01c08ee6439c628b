/**
 * A process has a `lapse` when its `vouchedUntil` has passed: not before, and at once if it was reported dead. While
 * nothing keeps it from pinging, its `vouchedUntil` does not pass.
 */
import type { Case } from "./case.ts";
import type { Fault } from "./log.ts";
import type { Holding, Process } from "./process.ts";
import { PERIODS } from "./promises.ts";
import { quietSince, touches } from "./spans.ts";

/** A death is decided by the latest slots: by what was so many periods ago at most. */
export const DECIDED_BY = 3.5;
/** A step of the store's clock matters to what is decided by the latest slots before it and after it. */
export const STEP_MATTERS = 5;

export function judgeLapses(of: Case): void {
  for (const process of of.processes) {
    for (const t of process.lapses) {
      const vouched = process.vouchedAt(t - 1);
      if (vouched <= t + of.ms(PERIODS.clock)) continue;
      if (of.around.isAfterStep(process, t - of.log.roundTripMs, t) && of.excuse("lapse at a step")) continue;
      if (sleepsOf(of, process, t, t).length > 0 && of.excuse("sleep that no clock shows")) continue;
      of.find("lapse", t, `${process.name} lapsed ${of.periods(vouched - t)} before its vouchedUntil`);
    }
    judgeCalm(of, process);
  }
}

/** While it is well it does not lapse, and each ping extends its `vouchedUntil`. */
function judgeCalm(of: Case, process: Process): void {
  const isWell = (t: number): boolean =>
    process.pingsFrom <= t - of.ms(PERIODS.death) &&
    of.around.isCalm(process, t, PERIODS.death) &&
    !(of.isRestoring(process, t) && of.excuse("destroyed records")) &&
    !(of.mayHaveBeenPruned(process, t) && of.excuse("long absence"));
  const lapsed = process.lapses.find(isWell);
  if (lapsed !== undefined)
    of.find("lapse", lapsed, `${process.name} lapsed, and nothing kept it from pinging`);
  const least = of.ms(PERIODS.leaseLeast - PERIODS.clock) - of.log.roundTripMs;
  const nextMs = of.ms(PERIODS.pingsApart) + of.log.roundTripMs;
  for (let t = of.log.from; t <= of.log.to; t += of.ms(0.25)) {
    const left = process.vouchedAt(t) - t;
    if (left >= least || left === -Infinity || !isWell(t)) continue; // it has none before its first start
    const wasSet = process.clockSetAt.some((at) => at <= t && t <= at + nextMs);
    if (wasSet && of.excuse("clock set ahead")) continue;
    return of.find("late", t, `${process.name} is well, and vouched for only for ${of.periods(left)} more`);
  }
}

/** It learns of it when its `vouchedUntil` passes, or as soon as it runs; if it slept, with the answer to its next ping. */
export function expectLapse(
  of: Case,
  process: Process,
  holding: Holding,
  t: number,
  vouched: number,
  said: string,
  wasAtStep: boolean,
): void {
  const slept = sleepsOf(of, process, vouched, t);
  const wokenAt = Math.max(-Infinity, ...slept.map(({ to }) => to));
  const limit =
    slept.length > 0 || wasAtStep
      ? of.around.dueOf(process, Math.max(t, wokenAt), PERIODS.noticedQuiet)
      : quietSince(of.around.pauses(process), t, of.ms(PERIODS.clock) * 3);
  if (Math.min(process.to, process.closingAt, holding.endingAt, of.log.to) <= limit) return;
  const since = Math.min(vouched, t) - of.ms(PERIODS.clock);
  if (process.lapses.some((lapse) => lapse >= since && lapse <= limit)) return;
  const stepped = of.around.steps.some(
    ({ at, ms }) => ms < 0 && at >= vouched - of.ms(STEP_MATTERS) && at <= limit,
  );
  if (slept.length > 0 && stepped && of.excuse("step after a sleep")) return;
  if (slept.some(({ setsBack }) => setsBack === true) && of.excuse("sleep that no clock shows")) return;
  if (wasAtStep && of.excuse("step while cut off")) return;
  if (of.hasLostWrites(process, t) && of.excuse("lost writes")) return;
  of.find("lapse", t, `${said} lives and had no lapse`);
}

/** Its sleeps that a `vouchedUntil` does not know of. */
function sleepsOf(of: Case, process: Process, vouched: number, t: number): readonly Fault[] {
  const sleeps = of.around.faultsOf(process).filter(({ isSleep }) => isSleep === true);
  return sleeps.filter((sleep) => touches([sleep], vouched - of.ms(DECIDED_BY), t));
}
