/** Whether what is stored is bounded by what lives or has died within the retention. */
import type { Namespace } from "../../src/core/store.ts";
import type { Plan } from "./plan.ts";
import type { Holding, Life } from "./truth.ts";

/** The clock may have stepped, and what is dead is told so a little later: so many slots more. */
const SLACK_SLOTS = 12;
/** A process may have to open its session anew a few times, besides each time it is destroyed, and write what it holds with it. */
const REOPENED_MAX = 5;

/** Prunes, and tells what is left that should not be. */
export async function auditStorage(
  store: Namespace,
  plan: Plan,
  storeMs: number,
  now: number,
  holdings: readonly Holding[],
  lives: readonly Life[],
): Promise<string[]> {
  const { periodMs, retentionSlots } = plan;
  const offset = (await store.config())?.offset ?? 0;
  const beforeSlot = Math.floor(storeMs / periodMs) + offset - retentionSlots;
  await store.prune({ beforeSlot, beforeMs: storeMs - retentionSlots * periodMs, limit: Infinity });
  const since = now - (retentionSlots + SLACK_SLOTS) * periodMs;
  const held = holdings.filter(({ over }) => over > since);
  const reopened = REOPENED_MAX + plan.events.filter((event) => event.do === "destroy").length;
  const registrationsMax =
    held.reduce((sum, { killedEvents }) => sum + 1 + killedEvents.length, 0) * reopened;
  const sessionsMax = lives.filter(({ endedAt }) => endedAt > since).length * reopened;
  let [registrations, sessions] = [0, 0];
  const everything = { select: { all: true, keys: new Set<string>(), prefixes: new Set<string>() } };
  for await (const page of store.read(everything)) {
    registrations += page.registrations.length;
    sessions += page.sessions.length;
  }
  const slots = new Set((await store.pings(-Infinity)).map(({ slot }) => slot)).size;
  return [
    ...(slots > retentionSlots + SLACK_SLOTS ? [`${slots} slots of pings are stored`] : []),
    ...(registrations > registrationsMax
      ? [`${registrations} registrations are stored of ${held.length} that lived lately`]
      : []),
    ...(sessions > sessionsMax ? [`${sessions} sessions are stored`] : []),
  ];
}
