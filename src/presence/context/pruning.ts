/** Deletes records that have been dead for longer than the retention. */
import { evaluationSlot } from "../../core/alive.ts";
import { isPruningDue, longestRetention, oldestKept, READ_SLOTS, RETURN_SLOTS } from "../../core/pruning.ts";
import type { Config } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pruned } from "../../core/store.ts";
import { type Context, forAWhile, patiently, readConfig } from "./context.ts";

/** How many records of each kind one call deletes. */
const LIMIT = 1000;

/** Prunes, if nobody has recently. */
export async function pruneInTurn(context: Context): Promise<void> {
  const { retentionSlots, time } = context;
  const config = await forAWhile(context, () => readConfig(context));
  if (config === undefined) return;
  const latest = time.slot - longestRetention(context.retentionSlots, config);
  const isDue = (before: Slot): boolean => isPruningDue(before, latest, retentionSlots, config.prunedBefore);
  if (!isDue(latest - RETURN_SLOTS)) return; // without reading the pings
  const beforeSlot = await forAWhile(context, () => readOldestKept(context, config));
  if (isDue(beforeSlot)) await prune(context, beforeSlot);
}

/** Prunes everything that is due. Returns how many records were deleted. */
export async function pruneAll(context: Context): Promise<Pruned> {
  const config = await forAWhile(context, () => readConfig(context));
  return prune(context, await forAWhile(context, () => readOldestKept(context, config)));
}

async function prune(context: Context, beforeSlot: Slot): Promise<Pruned> {
  const { time, namespace, instrumentation } = context;
  const query = { beforeSlot, beforeMs: time.at(beforeSlot), limit: LIMIT };
  const total = { sessions: 0, registrations: 0, slots: 0 };
  for (;;) {
    const pruned = await forAWhile(context, () => patiently(context, "prune", namespace.prune(query)));
    instrumentation.emit("pruned", pruned);
    for (const kind of ["sessions", "registrations", "slots"] as const) total[kind] += pruned[kind];
    if (pruned.sessions + pruned.registrations + pruned.slots === 0) return total;
  }
}

async function readOldestKept(context: Context, config: Config | undefined): Promise<Slot> {
  const { namespace, time, periodMs } = context;
  const latest = evaluationSlot(time.position);
  const pings = await patiently(context, "read pings", namespace.pings(latest - READ_SLOTS));
  return oldestKept(pings, latest, { periodMs, retention: longestRetention(context.retentionSlots, config) });
}
