/**
 * The judge: reads what the processes of a run have logged, and finds each promise that did not hold. Pure. It knows the
 * promises and the limits of docs/guarantees.md (promises.ts), and nothing of how heartbit keeps them.
 */
import { type Audited, audit } from "./audit.ts";
import { Case, type Finding } from "./case.ts";
import { judgeReports, type Reports } from "./deaths.ts";
import { type Ends, judgeEnds } from "./ends.ts";
import { judgeKills } from "./kills.ts";
import { judgeLapses } from "./lapses.ts";
import type { Log } from "./log.ts";
import type { Limit } from "./promises.ts";
import { judgeStorage } from "./storage.ts";

export interface Verdict extends Reports, Pick<Ends, "crashes"> {
  /** The promises that did not hold, in the order of time: the first may be the cause of the others. */
  readonly findings: readonly Finding[];
  /** How often each limit was used as an excuse. */
  readonly excuses: ReadonlyMap<Limit, number>;
  readonly checked: Audited & { readonly ends: number; readonly kills: number };
}

export function judge(log: Log): Verdict {
  const of = new Case(log);
  for (const { name, life, lines } of of.processes) {
    if (life.how === "exited") of.find("unhealed", life.to, `${name} ended by itself`);
    for (const line of lines) if (line.e === "broken") of.find("unhealed", line.t, `${name}: ${line.why}`);
  }
  const reports = judgeReports(of);
  const ends = judgeEnds(of);
  const kills = judgeKills(of);
  judgeLapses(of);
  const audited = audit(of);
  judgeStorage(of);
  return {
    ...reports,
    crashes: ends.crashes,
    findings: of.findings.toSorted((a, b) => a.t - b.t),
    excuses: of.excuses,
    checked: { ...audited, ends: ends.checked, kills },
  };
}
