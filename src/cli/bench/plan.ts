/** What a fleet costs a replica set, calculated from the design: one ping a process and period. */

export interface PlanQuery {
  readonly processes: number;
  readonly periodMs: number;
  /** Members of the replica set that hold data. */
  readonly servers: number;
}

export interface Plan extends PlanQuery {
  readonly pingsPerSecond: number;
  /** The oplog of each member, in MB a day. */
  readonly oplogMbPerDay: number;
  /** The oplog of all members, in MB a day. */
  readonly oplogMbPerDayAll: number;
  /** Within how many ms a crash is reported without suspicion: least and most. */
  readonly toldAfterMs: readonly [least: number, most: number];
}

/**
 * The entry of a ping in the oplog: 220 bytes, calculated from its fields (the name of the collection, its UUID,
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
