/** What is stored is bounded by what lives and what died within two retentions. */
import type { Case } from "./case.ts";
import { RETENTIONS_STORED } from "./promises.ts";

/** The sessions that share a document of pings. */
const SEGMENT = 1024;

export function judgeStorage(of: Case): void {
  for (const { t, ...counts } of of.log.counts) {
    const since = t - RETENTIONS_STORED * of.ms(of.log.retentionSlots);
    const lately = of.processes.filter(({ from, to }) => from <= t && to >= since);
    const holdings = lately.flatMap((process) =>
      process.holdings.filter(
        ({ calledAt, overAt, heldUntil }) => calledAt <= t && Math.max(overAt, heldUntil) >= since,
      ),
    );
    // Whoever was killed by another, or lost what it held, or was pruned, starts again: once each time.
    const again = (process: (typeof lately)[number]): number =>
      [...process.sessions].length -
      1 +
      process.lines.filter((line) => line.e === "killed" && line.t >= since && line.t <= t).length;
    const losses = of.around
      .losses(["the latest", "some", "all"])
      .filter(({ from, to }) => from <= t && to >= since).length;
    const sessions = lately.reduce((sum, process) => sum + Math.max(1, process.sessions.size), 0);
    const bounds = {
      sessions,
      registrations:
        holdings.length * (1 + losses) +
        lately.reduce((sum, one) => sum + again(one) * new Set(one.holdings.map(({ key }) => key)).size, 0),
      pings: (RETENTIONS_STORED * of.log.retentionSlots + 1) * (1 + Math.floor(sessions / SEGMENT)),
    };
    for (const kind of ["sessions", "registrations", "pings"] as const) {
      if (counts[kind] <= bounds[kind]) continue;
      of.find("storage", t, `${counts[kind]} ${kind} are stored, more than ${bounds[kind]}`);
    }
  }
}
