/**
 * Deletes records dead for longer than the retention, some rows at a time, each on the condition that it is still old.
 */
import { pruned } from "../../core/records.ts";
import type { Pruned, PruneQuery } from "../../core/store.ts";
import { turn } from "../../lib/turn.ts";
import type { Database } from "./database.ts";
import { configOf, readHead, setConfig } from "./head.ts";
import { SESSION_PINGER, SESSION_START } from "./schema.ts";
import type { Sql } from "./sql.ts";

const STEP_ROWS = 1000;

const isOld = (alias: string): string => `${alias}.slot < :slot AND ${alias}.changed <= :ms`;
const isOver = (alias: string): string =>
  `(${isOld(alias)} AND (${alias}.last IS NULL OR ${alias}.last < :slot))`;
const IN_STEP =
  "ns = :ns AND (session, pinger, start) >= (:s0, :p0, :t0) AND (session, pinger, start) < (:s1, :p1, :t1)";

const DELETE_REGISTRATIONS = `
  DELETE FROM records WHERE (ns, session, pinger, start) IN (
    SELECT ns, session, pinger, start FROM records r
    WHERE ${IN_STEP} AND pinger <> ${SESSION_PINGER} AND ${isOld("r")} AND (
      last < :slot OR last IS NULL AND NOT EXISTS (
        SELECT 1 FROM records s
        WHERE s.ns = r.ns AND s.session = r.session AND s.pinger = ${SESSION_PINGER} AND s.start = ${SESSION_START}
          AND NOT ${isOver("s")}))
    LIMIT :left)`;
const DELETE_SESSIONS = `
  DELETE FROM records WHERE (ns, session, pinger, start) IN (
    SELECT ns, session, pinger, start FROM records s
    WHERE ${IN_STEP} AND pinger = ${SESSION_PINGER} AND ${isOver("s")} AND NOT EXISTS (
      SELECT 1 FROM records r WHERE r.ns = s.ns AND r.session = s.session AND r.pinger > ${SESSION_PINGER})
    LIMIT :left)`;
/**
 * The first row of a step that ends before a given one. Steps go backwards, so registrations come before their session.
 */
const STEP_START = `
  SELECT session AS s, pinger AS p, start AS t FROM records
  WHERE ns = ? AND (session, pinger, start) < (?, ?, ?)
  ORDER BY session DESC, pinger DESC, start DESC LIMIT 1 OFFSET ${STEP_ROWS - 1}`;

/** The start of a step: the id of a row. */
interface At {
  readonly s: number;
  readonly p: number;
  readonly t: number;
}

const FIRST: At = { s: -1, p: -1, t: -1 };
const END: At = { s: Number.MAX_SAFE_INTEGER, p: 0, t: 0 };

export async function prune(database: Database, name: string, query: PruneQuery): Promise<Pruned> {
  const { beforeSlot, beforeMs, limit } = query;
  const id = await database.change((sql) => {
    const head = readHead(sql, name);
    const config = configOf(head);
    const after = config && pruned(config, beforeSlot);
    if (head !== undefined && after !== undefined && after !== config) setConfig(sql, head, after);
    return head?.id;
  });
  if (id === undefined) return { sessions: 0, registrations: 0, slots: 0 };

  const slots = await prunePings(database, id, beforeSlot, limit);
  let [registrations, sessions] = [0, 0];
  for (let end: At | undefined = END; end !== undefined && (registrations < limit || sessions < limit);) {
    const until: At = end;
    const step = await database.change((sql) => {
      const start = sql.get(STEP_START, id, until.s, until.p, until.t) as At | undefined;
      const { s: s0, p: p0, t: t0 } = start ?? FIRST;
      const { s: s1, p: p1, t: t1 } = until;
      const values = { ns: id, slot: beforeSlot, ms: beforeMs, s0, p0, t0, s1, p1, t1 };
      const remove = (statement: string, left: number): number => sql.run(statement, { ...values, left });
      return {
        start,
        registrations: remove(DELETE_REGISTRATIONS, limit - registrations),
        sessions: remove(DELETE_SESSIONS, limit - sessions),
      };
    });
    registrations += step.registrations;
    sessions += step.sessions;
    end = step.start;
    await turn();
  }
  return { sessions, registrations: registrations, slots };
}

/** Deletes the pings of slots before `beforeSlot`, slot by slot. Returns for how many slots, at most `limit`. */
async function prunePings(
  database: Database,
  ns: number,
  beforeSlot: number,
  limit: number,
): Promise<number> {
  let slots = 0;
  const pruneOne = (sql: Sql): boolean => {
    const query = "SELECT slot FROM pings WHERE ns = ? AND slot < ? ORDER BY slot LIMIT 1";
    const oldest = sql.get(query, ns, beforeSlot) as { slot: number } | undefined;
    if (oldest !== undefined) sql.run("DELETE FROM pings WHERE ns = ? AND slot = ?", ns, oldest.slot);
    return oldest !== undefined;
  };
  while (slots < limit && (await database.change(pruneOne))) slots++;
  return slots;
}
