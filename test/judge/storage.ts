/** What is stored is bounded by what lives and what died within some retentions. */
import type { Case } from "./case.ts";
import type { Process } from "./process.ts";
import { PERIODS, RETENTIONS_STORED } from "./promises.ts";
import type { Span } from "./spans.ts";

/** The sessions that share a document of pings. */
const SEGMENT = 1024;
/** Pings, and mail, may be of slots that are a little ahead, and of more slots for each step of the store's clock. */
const SLOTS_AHEAD = 4;
const SLOTS_OF_STEP = 8;

/** A session is young for so many periods at least. */
const YOUNG = 2;

interface Bounds {
  readonly sessions: number;
  readonly registrations: number;
}

export function judgeStorage(of: Case): void {
  for (const { t, ...counts } of of.log.counts) {
    const since = keptSince(of, t);
    const lostBy = (process: Process): readonly Span[] => [
      ...of.around.losses(["the latest", "some", "all"]).map(({ from, loses }) => ({
        from,
        to: from + of.ms(PERIODS.restored * (loses === "some" ? 2 : 1)),
      })),
      ...of.around.longAbsences(process).map((at) => ({ from: at, to: at })),
    ];
    const bounds = boundsOf(of, since, t, lostBy);
    // A process whose reads lag may take its session for lost, and the next one too while it is young.
    const lagging = boundsOf(of, since, t, (process) => [
      ...lostBy(process),
      ...of.around
        .faultsOf(process)
        .filter(({ mayLag }) => mayLag === true)
        .flatMap((span) =>
          Array.from({ length: Math.ceil((span.to - span.from) / of.ms(YOUNG)) }, () => span),
        ),
    ]);
    for (const kind of ["sessions", "registrations"] as const) {
      const [count, most] = [counts[kind], bounds[kind]];
      if (count <= most || (count <= lagging[kind] && of.excuse("lagging reads"))) continue;
      of.find("storage", t, `${count} ${kind} are stored, more than ${most}`);
    }
    const slots =
      Math.ceil((t - since) / of.log.periodMs) + SLOTS_AHEAD + SLOTS_OF_STEP * of.around.steps.length;
    const segments = new Set(
      of.processes.flatMap(({ sessions }) => Array.from(sessions, (seq) => Math.floor(seq / SEGMENT))),
    );
    const most = slots * Math.max(1, segments.size);
    if (counts.pings > most)
      of.find("storage", t, `${counts.pings} slots of pings are stored, more than ${most}`);
  }
}

/**
 * How many records those have that lived lately. What was lost, or pruned while its process was away, is written again as
 * another record, once each time, as soon as that is noticed; so is what another process has killed.
 */
function boundsOf(of: Case, since: number, t: number, lostBy: (process: Process) => readonly Span[]): Bounds {
  let [sessions, registrations] = [0, 0];
  const count = (spans: readonly Span[], from: number, to: number): number =>
    spans.filter((span) => span.to >= Math.max(since, from) && span.from <= Math.min(t, to)).length;
  for (const process of of.processes) {
    if (process.from > t || process.to < since) continue;
    const lost = lostBy(process);
    sessions += 1 + count(lost, process.from, process.to);
    for (const { key, calledAt, overAt, heldUntil } of process.holdings) {
      const over = Math.max(overAt, heldUntil);
      if (calledAt > t || over < since) continue;
      const kills = of.kills
        .filter((kill) => kill.key === key)
        .map(({ doneAt }) => ({ from: doneAt, to: doneAt }));
      registrations += 1 + count([...lost, ...kills], calledAt, over);
    }
  }
  return { sessions, registrations };
}

/**
 * What was dead before is pruned: since then some process that pings ran and could write for so many retentions, and by
 * how much the store's clock stepped back meanwhile.
 */
function keptSince(of: Case, t: number): number {
  const needMs = RETENTIONS_STORED * of.ms(of.log.retentionSlots) + of.around.steppedBack(-Infinity, t);
  const stepMs = of.ms(1);
  let able = 0;
  let at = t;
  for (; able < needMs && at > of.log.from; at -= stepMs) {
    const prunes = (one: Process): boolean =>
      one.pingsFrom <= at && one.isThere(at) && !of.around.wasDown(one, at - stepMs, at);
    if (of.processes.some(prunes)) able += stepMs;
  }
  return at;
}
