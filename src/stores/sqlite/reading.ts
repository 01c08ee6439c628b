/** Reads a namespace page by page, each page on a view of its own, so that no view is held for long. */
import type { RegistrationRecord, SessionRecord } from "../../core/records.ts";
import { includesKey, prefixEnd } from "../../core/selection.ts";
import type { Page, ReadQuery } from "../../core/store.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { turn } from "../../lib/turn.ts";
import { type Database, SLICE_MS } from "./database.ts";
import { readHead } from "./head.ts";
import { escaped, SESSION_PINGER, SESSION_START, unescaped } from "./schema.ts";
import type { Sql, Value } from "./sql.ts";

/** Rows of a page: as many as one slice can read. */
const PAGE_ROWS_MIN = 50;
const PAGE_ROWS_MAX = 1000;

/** The position of a reader: in which life of the namespace, and after which change. */
interface Position {
  readonly life: string | undefined;
  readonly change: number;
}

const COLUMNS = "session, pinger, start, key, meta, revision, host, pid, since, slot, last, changed, change";
type Row = readonly [
  session: number,
  pinger: number,
  start: number,
  key: string,
  meta: string,
  revision: number,
  host: string,
  pid: number,
  since: number,
  slot: number,
  last: number | null,
  changed: number,
  change: number,
];
const at = (column: string): number => COLUMNS.split(", ").indexOf(column);

/** The indexes, and the columns by which they order rows that have the same `ns`. */
const ORDERS = {
  id: { from: "records", by: ["session", "pinger", "start"] },
  key: { from: "records INDEXED BY record_keys", by: ["key", "session", "pinger", "start"] },
  change: { from: "records INDEXED BY record_changes", by: ["change", "session", "pinger", "start"] },
} as const;

type Condition = readonly [sql: string, ...values: Value[]];

/** A part of a read: ordered rows, and which of them are wanted. */
interface Part {
  readonly order: keyof typeof ORDERS;
  readonly where: readonly Condition[];
  /** Where the rows begin. Later pages begin after the row before: of two bounds SQLite may use the wrong one. */
  readonly begin?: Condition;
  /** Also returns the sessions among the rows, whether or not they hold a wanted key. */
  readonly withSessions?: boolean;
  /** Returns only selected registrations: the rows have others too. */
  readonly isFiltered?: boolean;
  /** The row that was read last. */
  readonly after?: Row;
}

/** How far a read has come. */
interface Progress {
  /** The parts left to read; undefined before the first page. */
  parts: readonly Part[] | undefined;
  position: Position;
  limit: number;
  /** The sessions that it has returned. */
  readonly given: Set<number>;
}

export async function* readPages(
  database: Database,
  name: string,
  query: ReadQuery,
): AsyncGenerator<Page, void, undefined> {
  const progress: Progress = {
    parts: undefined,
    position: { life: undefined, change: 0 },
    limit: PAGE_ROWS_MAX,
    given: new Set(),
  };
  for (;;) {
    const page = await database.view((sql) => readPage(sql, name, query, progress));
    if (progress.parts?.length === 0) {
      yield { ...page, cursor: { store: progress.position } };
      return;
    }
    yield page;
    await turn();
  }
}

function readPage(sql: Sql, name: string, query: ReadQuery, progress: Progress): Page {
  const began = systemClock.monotonic();
  const head = readHead(sql, name);
  const isFirst = progress.parts === undefined;
  if (isFirst) progress.position = { life: head?.life, change: head?.change ?? 0 };
  if (head === undefined || head.life !== progress.position.life) {
    // The namespace is not there, or not any more; one that replaced it is read with the cursor.
    progress.parts = [];
    return { sessions: [], registrations: [] };
  }
  const page = new PageBuilder(sql, head.id, query, progress.given);
  if (isFirst) page.addExtras();
  progress.parts = fill(page, progress.parts ?? plan(head.id, progress.position, query), progress.limit);
  const built = page.build();
  if (systemClock.monotonic() - began > SLICE_MS)
    progress.limit = Math.max(PAGE_ROWS_MIN, Math.floor(progress.limit / 2));
  return built;
}

function plan(ns: number, { life, change }: Position, query: ReadQuery): Part[] {
  const { select, session, registrations, since } = query;
  const from = since?.store as Position | undefined;
  const ofNamespace: Condition = ["ns = ?", ns];
  const own: Part[] = [];
  if (session !== undefined && registrations !== undefined) {
    const isWanted: Condition[] = registrations === "ended" ? [["last IS NOT NULL"]] : [];
    const where: Condition[] = [ofNamespace, ["session <= ?", session], ...isWanted];
    own.push({ order: "id", where, begin: ["(session, pinger) > (?, ?)", session, SESSION_PINGER] });
  }
  if (from !== undefined && from.life === life) {
    if (from.change === change) return own;
    // A record that changes during this read is found by the next read with the cursor.
    const where: Condition[] = [ofNamespace, ["change <= ?", change]];
    const begin: Condition = ["change > ?", from.change];
    return [...own, { order: "change", where, begin, withSessions: true, isFiltered: true }];
  }
  // Another life of the namespace than the cursor's: everything is new, even the sessions.
  const withSessions = since !== undefined;
  const parts: Part[] = [...own];
  if (select.all || withSessions)
    parts.push({ order: "id", where: [ofNamespace], withSessions, isFiltered: !select.all });
  if (select.all || withSessions) return parts;
  for (const key of [...select.keys].map(escaped))
    parts.push({ order: "key", where: [ofNamespace, ["key <= ?", key]], begin: ["key >= ?", key] });
  for (const prefix of [...select.prefixes].map(escaped)) {
    const end = prefixEnd(prefix);
    const isBefore: Condition[] = end === undefined ? [] : [["key < ?", end]];
    parts.push({ order: "key", where: [ofNamespace, ...isBefore], begin: ["key >= ?", prefix] });
  }
  return parts;
}

/** Fills the page with at most `limit` rows. Returns the parts left to read. */
function fill(page: PageBuilder, parts: readonly Part[], limit: number): Part[] {
  const rest = [...parts];
  // Even an empty part costs a query, so it counts as a row.
  for (let left = limit; left > 0; left--) {
    const part = rest.shift();
    if (part === undefined) break;
    const rows = page.read(part, left);
    const after = rows.at(-1);
    if (rows.length === left && after !== undefined) rest.unshift({ ...part, after });
    left -= rows.length;
  }
  return rest;
}

class PageBuilder {
  readonly #sql: Sql;
  readonly #ns: number;
  readonly #query: ReadQuery;
  /** The sessions that this read has returned. */
  readonly #given: Set<number>;
  readonly #sessions: SessionRecord[] = [];
  readonly #registrations: RegistrationRecord[] = [];
  /** Sessions that were read with their registrations, and not returned yet. */
  readonly #known = new Map<number, Row>();

  constructor(sql: Sql, ns: number, query: ReadQuery, given: Set<number>) {
    this.#sql = sql;
    this.#ns = ns;
    this.#query = query;
    this.#given = given;
  }

  /** The session to return whether or not it has changed. */
  addExtras(): void {
    const { session } = this.#query;
    if (session !== undefined) this.#addSessions([session]);
  }

  /** Reads at most `limit` rows of the part. */
  read({ order, where, begin, withSessions, isFiltered, after }: Part, limit: number): Row[] {
    const { from, by } = ORDERS[order];
    const columns = by.join(", ");
    const isAfter = (row: Row): Condition => [
      `(${columns}) > (${by.map(() => "?").join(", ")})`,
      ...by.map((column) => row[at(column)]),
    ];
    const lower = after === undefined ? begin : isAfter(after);
    const conditions = lower === undefined ? where : [...where, lower];
    const selected = conditions.map(([sql]) => sql).join(" AND ");
    const values = conditions.flatMap(([, ...some]) => some);
    const rows = this.#rows(from, `${selected} ORDER BY ${columns} LIMIT ?`, [...values, limit]);
    for (const row of rows) {
      if (row[1] !== SESSION_PINGER) {
        if (isFiltered !== true || this.#isSelected(row)) this.#registrations.push(registrationOf(row));
      } else if (withSessions === true) this.#give(row);
      else this.#known.set(row[0], row);
    }
    return rows;
  }

  /** The page, with the sessions of its registrations. */
  build(): Page {
    this.#addSessions(this.#registrations.map(({ session }) => session));
    return { sessions: this.#sessions, registrations: this.#registrations };
  }

  #isSelected(row: Row): boolean {
    return includesKey(this.#query.select, unescaped(row[3]));
  }

  #addSessions(seqs: readonly number[]): void {
    const missing = new Set<number>();
    for (const seq of seqs) {
      const known = this.#known.get(seq);
      if (known !== undefined) this.#give(known);
      else if (!this.#given.has(seq)) missing.add(seq);
    }
    if (missing.size === 0) return;
    const where = `ns = ? AND session IN (SELECT value FROM json_each(?)) AND pinger = ? AND start = ?`;
    const values = [this.#ns, JSON.stringify([...missing]), SESSION_PINGER, SESSION_START];
    for (const row of this.#rows(ORDERS.id.from, where, values)) this.#give(row);
  }

  #give(row: Row): void {
    if (this.#given.has(row[0])) return;
    this.#given.add(row[0]);
    this.#sessions.push(sessionOf(row));
  }

  #rows(from: string, rest: string, values: readonly Value[]): Row[] {
    const query = `SELECT ${COLUMNS} FROM ${from} WHERE ${rest}`;
    const asText = `SELECT json_group_array(json_array(${COLUMNS})) AS json FROM (${query})`;
    return this.#sql.json(asText, ...values) as Row[];
  }
}

function sessionOf([seq, , , , , , host, pid, opened, slot, last, changed]: Row): SessionRecord {
  const session = { seq, host: unescaped(host), pid, opened, slot, changed };
  return last === null ? session : { ...session, last };
}

function registrationOf(row: Row): RegistrationRecord {
  const [session, pinger, start, key, meta, revision, , , since, slot, last, changed] = row;
  const registration = { session, pinger, start, key: unescaped(key), since, slot, meta, revision, changed };
  return last === null ? registration : { ...registration, last };
}
