/** What ended is reported, once and in its bound: to each watcher without a reason for a suspicion. */
import type { Case, Holder, Watch } from "./case.ts";
import { PERIODS } from "./promises.ts";
import { type Process, type View, viewAt } from "./process.ts";

export interface Ends {
  readonly checked: number;
  /** How many periods after a crash that nothing hampered each watcher was told, in order. */
  readonly crashes: readonly number[];
}

export function judgeEnds(of: Case): Ends {
  let checked = 0;
  const crashes: number[] = [];
  for (const [key, holders] of of.holders) {
    const watches = of.watchesOf(key);
    for (const holder of holders) {
      if (holder.holding.how === "lives" || holder.holding.overAt > of.log.to) continue;
      for (const watch of watches) {
        if (watch.process === holder.process) continue;
        const took = judgeEnd(of, key, holder, watch);
        if (took === undefined) continue;
        checked++;
        if (took > -Infinity) crashes.push(took);
      }
    }
  }
  return { checked, crashes: crashes.toSorted((a, b) => a - b) };
}

/** Undefined: not checked. Else the periods from the crash to its report, -Infinity if it was none. */
function judgeEnd(
  of: Case,
  key: string,
  holder: Holder,
  { process: watcher, subscription }: Watch,
): number | undefined {
  const { process, holding } = holder;
  const { how, overAt } = holding;
  const over = of.overOf(process, holding);
  const from = Math.max(over, subscription.from);
  // A close gives up while the store is away: then the keys time out.
  const gaveUp =
    holding.endingAt === process.closingAt && of.around.wasDown(process, process.closingAt, overAt);
  const bound = how === "killed" && !gaveUp ? of.around.heardWithin(watcher, from) : PERIODS.death;
  const due = of.around.dueOf(watcher, from, bound);
  const end = Math.min(watcher.to, watcher.closingAt, subscription.to, of.log.to);
  if (due > end) {
    const isLong = end - from > of.ms(2 * PERIODS.death);
    if (isLong && how === "crashed" && process.isIn(viewAt(subscription, key, end)))
      of.excuse("endless faults");
    return undefined;
  }
  // The same process may hold it again.
  const isAgain = process.holdings.some(
    (other) => other.key === key && other.calledAt > holding.calledAt && other.calledAt <= due,
  );
  if (isAgain) return undefined;
  const view = viewAt(subscription, key, due);
  if (process.isIn(view)) {
    if (isExcused(of, holder, watcher, due)) return undefined;
    const timedOut = of.around.dueOf(watcher, from, PERIODS.death);
    const timesOut = timedOut > end || !process.isIn(viewAt(subscription, key, timedOut));
    if (timesOut && isEarlierSession(of, process, view) && of.excuse("lagging reads")) return undefined;
    of.find(
      "late",
      due,
      `${watcher.name}/${subscription.id} still knows ${key} of ${process.name}, ${how} ${of.periods(due - over)} ago`,
    );
    return undefined;
  }
  const isPlain = how === "crashed" && due <= from + of.ms(bound) + of.log.roundTripMs && from === over;
  if (!isPlain || !process.isIn(viewAt(subscription, key, over))) return -Infinity;
  const told = subscription.views.get(key)?.find((one) => one.t >= over && !process.isIn(one));
  return told === undefined ? -Infinity : (told.t - over) / of.log.periodMs;
}

function isExcused(of: Case, { process, holding }: Holder, watcher: Process, due: number): boolean {
  const { endingAt, how } = holding;
  if (how !== "crashed") {
    const lost = of.around.losses(["the latest", "some", "all"]);
    if (lost.some(({ from, to }) => from <= due && to >= endingAt - of.ms(1)))
      return of.excuse("destroyed end");
  }
  if (of.mayLackPings(watcher, due - of.ms(PERIODS.death), due)) return of.excuse("only reads");
  return (
    (of.isRestoring(process, endingAt) || of.isRestoring(watcher, due)) && of.excuse("destroyed records")
  );
}

/** Whether a view shows only a session that the process took for lost, because its reads lagged. */
function isEarlierSession(of: Case, process: Process, view: View | undefined): boolean {
  const sessions = process.lines.filter((line) => line.e === "session");
  const renewed = sessions.at(-1);
  const lagged = of.around
    .faultsOf(process)
    .some(
      ({ mayLag, from, to }) =>
        mayLag === true && renewed !== undefined && from <= renewed.t && renewed.t <= to,
    );
  return lagged && !view?.holders.some(({ session }) => session === renewed?.session);
}
