/** Deleting what has been dead for longer than the retention. */
import { judgedSlot } from "../../core/alive.ts";
import type { Config } from "../../core/records.ts";
import { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pruned } from "../../core/store.ts";
import { lookBack } from "./pings.ts";
import { between, bulk, knowsTime, type Shared } from "./context.ts";

/** After an outage others may be coming back too: they have so long to write again what they hold. */
const RETURN_SLOTS = 4;
/** So far back pings are looked for: an outage that was shorter ages nobody. */
const LOOK_SLOTS = 4 * RETURN_SLOTS;
/** In retentions. */
const VERY_OLD = 3;
/** In one retention it is pruned about so many times at most, however many presences there are. */
const ROUNDS = 8;
/** How many of each kind are deleted in one call. */
const LIMIT = 1000;

/** Says when to look whether to prune: once in a retention, as a mean, and at random, so that of many not all do at once. */
export class Broom {
  readonly #shared: Shared;
  #next: Slot | undefined;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** Whether it is due in this slot. Asked after each ping; `lapsed`: the first after a lapse. */
  isDue(slot: Slot, lapsed: boolean): boolean {
    const { clock, retentionSlots } = this.#shared;
    const wait = between(clock, 0, 2 * retentionSlots);
    if (lapsed) this.#next = slot + RETURN_SLOTS + wait;
    this.#next ??= slot - 1 + wait; // perhaps at once: all presences may be too short-lived for a second ping
    if (slot < this.#next) return false;
    this.#next = slot + wait;
    return true;
  }
}

/** Bounds what is done once, and repeats it for a while. */
type Attempt = <T>(act: () => Promise<T>) => Promise<T>;

/** Prunes, where nobody has lately. */
export async function pruneInTurn(shared: Shared, attempt: Attempt): Promise<void> {
  const config = await attempt(() => readConfig(shared));
  if (config === undefined) return;
  const { prunedBefore = -Infinity } = config;
  const late = shared.retentionSlots / ROUNDS;
  const latest = shared.time.slot - retentionOf(shared, config);
  // What is noted is ahead of the present after a step of the clock, or where somebody has tampered with it.
  const isAhead = prunedBefore > latest;
  if (!isAhead && latest - prunedBefore < late + RETURN_SLOTS) return;
  const beforeSlot = await attempt(() => oldestKept(shared, config));
  if (isAhead || beforeSlot - prunedBefore >= late) await prune(shared, attempt, beforeSlot);
}

/** Prunes all there is to prune; gives how many were deleted. */
export async function pruneAll(shared: Shared, attempt: Attempt): Promise<Pruned> {
  const config = await attempt(() => readConfig(shared));
  return prune(shared, attempt, await attempt(() => oldestKept(shared, config)));
}

async function prune(shared: Shared, attempt: Attempt, beforeSlot: Slot): Promise<Pruned> {
  const { time, namespace, happenings } = shared;
  const query = { beforeSlot, beforeMs: time.at(beforeSlot), limit: LIMIT };
  const total = { sessions: 0, registrations: 0, slots: 0 };
  for (;;) {
    const pruned = await attempt(() => bulk(shared, "prune", namespace.prune(query)));
    happenings.emit("pruned", pruned);
    total.sessions += pruned.sessions;
    total.registrations += pruned.registrations;
    total.slots += pruned.slots;
    if (pruned.sessions + pruned.registrations + pruned.slots === 0) return total;
  }
}

/**
 * The slot before which all is deleted. Right after an outage what lives looks as old as what does not, and who comes back may
 * have to write his record twice: so the retention counts back from the fourth latest slot with pings. Where there are no four of
 * late, an outage has just ended, or presences come and go, each for a moment: what is very old is pruned all the same.
 */
async function oldestKept(shared: Shared, config: Config | undefined): Promise<Slot> {
  const retention = retentionOf(shared, config);
  const roster = new Roster();
  await knowsTime(shared);
  const judged = judgedSlot(shared.time.position);
  await lookBack(shared, roster, judged - LOOK_SLOTS);
  let pinged = 0;
  for (let slot = judged; slot >= judged - LOOK_SLOTS; slot--) {
    if (!roster.pings.isEmpty(slot) && ++pinged === RETURN_SLOTS) return slot - retention;
  }
  return judged - VERY_OLD * retention;
}

function readConfig(shared: Shared): Promise<Config | undefined> {
  return bulk(shared, "config", shared.namespace.config());
}

/** Of the retentions of all who have opened the namespace it is the longest: each refreshes by its own what it holds. */
function retentionOf({ retentionSlots }: Shared, config: Config | undefined): number {
  return Math.max(retentionSlots, config?.retentionSlots ?? 0);
}
