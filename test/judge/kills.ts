/** A holder whose key another has killed learns of it; nobody learns of a kill that was none. */
import type { Case, Kill } from "./case.ts";
import { PERIODS } from "./promises.ts";
import { touches } from "./spans.ts";

export function judgeKills(of: Case): number {
  let checked = 0;
  for (const { name, lines } of of.processes) {
    for (const { t, key } of lines.filter((line) => line.e === "killed")) {
      if (of.kills.some((kill) => kill.key === key && kill.begunAt <= t)) continue;
      of.find("kill", t, `${name} learned of a kill of ${key}, which nobody has killed`);
    }
  }
  for (const kill of of.kills) {
    for (const { process, holding } of of.holders.get(kill.key) ?? []) {
      const isHeld = kill.isDone && holding.from <= kill.begunAt && holding.endingAt > kill.doneAt;
      if (isHeld && judgeKill(of, kill, process, holding.endingAt)) checked++;
    }
  }
  return checked;
}

function judgeKill(
  of: Case,
  { key, by, begunAt, doneAt, isLate }: Kill,
  process: Case["processes"][number],
  endingAt: number,
): boolean {
  // A kill of what is killed already ends nothing: its holder takes it up again when it hears of that, and can write.
  const isKilled = of.kills.some(
    (other) =>
      other.key === key &&
      other.doneAt <= begunAt &&
      other.doneAt !== doneAt &&
      begunAt < of.around.dueOf(process, other.doneAt, PERIODS.killNoticedLate),
  );
  if (isKilled) return false;
  const soon = doneAt + of.ms(PERIODS.killNoticed) + of.log.roundTripMs;
  const isQuiet =
    !isLate && [process, by].every((one) => !touches(of.around.troubles(one), begunAt - of.ms(1), soon));
  const due = isQuiet ? soon : of.around.dueOf(process, doneAt, PERIODS.killNoticedLate);
  if (Math.min(process.to, process.closingAt, endingAt, of.log.to) <= due) return false;
  const isTold = process.lines.some(
    (line) => line.e === "killed" && line.key === key && line.t >= begunAt && line.t <= due,
  );
  if (isTold) return true;
  if (of.isRestoring(process, begunAt) && of.excuse("destroyed records")) return true;
  const lagging = of.around.faultsOf(process).filter(({ mayLag }) => mayLag === true);
  if (touches(lagging, begunAt - of.ms(1), due) && of.excuse("lagging reads")) return true;
  const lost = of.around.losses(["some", "all", "the latest"]);
  if (lost.some(({ from, to }) => from <= due && to >= begunAt - of.ms(1)) && of.excuse("destroyed end"))
    return true;
  if (of.mayHaveBeenPruned(process, doneAt) && of.excuse("long absence")) return true;
  const readAt = due - of.ms(PERIODS.killNoticedLate);
  if (readAt - doneAt > of.ms(of.log.retentionSlots) && of.excuse("unread kill")) return true;
  of.find("kill", due, `${process.name} did not learn in ${of.periods(due - doneAt)} that ${key} was killed`);
  return true;
}
