/** Makes a failing plan shorter, while it still fails. */
import type { Plan } from "./plan.ts";
import { type Outcome, simulate } from "./simulation.ts";

export async function shrink(plan: Plan): Promise<{ plan: Plan; outcome: Outcome }> {
  let best = plan;
  let outcome = await simulate(plan);
  const tryPlan = async (smaller: Plan): Promise<boolean> => {
    const tried = await simulate(smaller);
    if (tried.wrong.length === 0) return false;
    [best, outcome] = [smaller, tried];
    return true;
  };
  for (let before: Plan | undefined; before !== best;) {
    before = best;
    for (let size = best.events.length; size >= 1; size = Math.floor(size / 2)) {
      for (let first = 0; first < best.events.length;) {
        const events = best.events.toSpliced(first, size);
        if (!(await tryPlan({ ...best, events }))) first += size;
      }
    }
    for (const [i, actor] of best.actors.entries()) {
      const idle = { ...actor, keys: [], watches: [], joinsAt: 1e6 };
      if (actor.joinsAt < 1e6) await tryPlan({ ...best, actors: best.actors.with(i, idle) });
    }
    const periods = Math.ceil(Math.max(4, ...best.events.map(({ at }) => at))) + 1;
    if (periods < best.periods) await tryPlan({ ...best, periods });
  }
  return { plan: best, outcome };
}

/** A failing run, as one who must mend it wants to read it. */
export function report({ plan, outcome }: { plan: Plan; outcome: Outcome }): string {
  return [
    `What was wrong, and all that was done, in periods (seed ${plan.seed}, period ${plan.periodMs} ms):`,
    ...outcome.wrong.slice(0, 3).map((what) => `  ${what}`),
    ...plan.events.map((event) => `  ${JSON.stringify(event)}`),
    "The trace:",
    ...outcome.trace.slice(0, 200),
  ].join("\n");
}
