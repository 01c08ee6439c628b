/** What a fleet costs a replica set, reckoned from the design: one ping a process and period. */

export interface PlanQuery {
  readonly processes: number;
  readonly periodMs: number;
  /** Members of the replica set that hold data. */
  readonly servers: number;
}

export interface Plan extends PlanQuery {
  readonly pingsPerSecond: number;
  /** Of each member, in MB. */
  readonly oplogMbPerDay: number;
  /** Of all members, in MB. */
  readonly oplogMbPerDayAll: number;
  /** Within how many ms a crash is told where there is no trouble. */
  readonly toldAfterMs: readonly [least: number, most: number];
}

/**
 * The entry of an update that sets a bit: 220 bytes, reckoned from its fields (the name of the collection, its UUID,
 * the `_id`, the word, times and term), not measured.
 */
const OPLOG_BYTES = 220;
const DAY_S = 86_400;

export function planFor(query: PlanQuery): Plan {
  const { processes, periodMs, servers } = query;
  const pingsPerSecond = (processes * 1000) / periodMs;
  const oplogMbPerDay = (pingsPerSecond * DAY_S * OPLOG_BYTES) / 1e6;
  return {
    ...query,
    pingsPerSecond,
    oplogMbPerDay,
    oplogMbPerDayAll: oplogMbPerDay * servers,
    toldAfterMs: [1.1 * periodMs, 2.5 * periodMs],
  };
}
