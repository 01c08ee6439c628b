/** One namespace in a SQLite file: implements the port `core/store.ts`. */
import { stat } from "node:fs/promises";
import { groupBits, type PingRecord, SEGMENT_SESSIONS, SEGMENT_WORDS } from "../../core/bits.ts";
import type { Clock } from "../../core/clock.ts";
import { type Config, mergeConfigs } from "../../core/records.ts";
import { prefixEnd, type Selection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type {
  Feed,
  FeedSink,
  Finding,
  Namespace,
  OpenRecords,
  Page,
  Pong,
  Pruned,
  PruneQuery,
  ReadQuery,
  StoreNotice,
  Write,
} from "../../core/store.ts";
import { OLD_MAX, storageFinding } from "../storage.ts";
import { turn } from "../../lib/turn.ts";
import type { Database } from "./database.ts";
import { openFeed } from "./feed.ts";
import { configOf, makeHead, readHead, setConfig } from "./head.ts";
import { prune } from "./pruning.ts";
import { readPages } from "./reading.ts";
import { escaped, SESSION_PINGER, SESSION_START } from "./schema.ts";
import type { Sql } from "./sql.ts";
import { Change } from "./writing.ts";

/** The name of a dropped namespace, before its number, until its data is removed. No other name begins so: `escaped`. */
const DROPPED = "\x01d";
const DROP_ROWS = 1000;

interface Start {
  readonly pinger: number;
  readonly start: number;
}

const PING = `
  INSERT INTO pings (ns, slot, seq, ms) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET ms = excluded.ms RETURNING mail`;
const MAIL = `
  INSERT INTO pings (ns, slot, seq, ms, mail) VALUES (?, ?, ?, 0, 1) ON CONFLICT DO UPDATE SET mail = 1`;
const OPENED = `
  SELECT since FROM records
  WHERE ns = ? AND session = ? AND pinger = ${SESSION_PINGER} AND start = ${SESSION_START} AND last IS NULL`;
/** The open records of a session that follow a pinger's start. */
const OPEN_AFTER = `
  FROM records INDEXED BY record_open WHERE ns = ? AND session = ? AND last IS NULL AND (pinger, start) > (?, ?)`;
/** Records that are counted at a time: SQLite goes through some 3,000 a ms. */
const COUNTED = 5000;
const SKIP_COUNTED = `SELECT pinger, start ${OPEN_AFTER} ORDER BY pinger, start LIMIT 1 OFFSET ${COUNTED - 1}`;
const COUNT_REST = `SELECT count(*) AS count ${OPEN_AFTER}`;

/** The tables of a namespace's data, and their keys. */
const TABLES = [
  ["pings", "slot, seq"],
  ["records", "session, pinger, start"],
] as const;

export class SqliteNamespace implements Namespace {
  readonly #database: Database;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #feeds = new Set<Feed>();

  constructor(database: Database, name: string, clock: Clock) {
    this.#database = database;
    this.#name = name;
    this.#clock = clock;
  }

  config(): Promise<Config | undefined> {
    return this.#database.view((sql) => configOf(readHead(sql, this.#name)));
  }

  async configure(wanted: Config): Promise<Config> {
    const found = await this.config();
    // An opening that has nothing to change needs no lock.
    if (found !== undefined && mergeConfigs(found, wanted) === found) return found;
    return this.#database.change((sql) => {
      const head = makeHead(sql, this.#name);
      const config = configOf(head);
      const holds = mergeConfigs(config ?? wanted, wanted);
      if (holds !== config) setConfig(sql, head, holds);
      return holds;
    });
  }

  raiseOffset(from: number, to: number): Promise<number> {
    return this.#database.change((sql) => {
      const head = readHead(sql, this.#name);
      const config = configOf(head);
      if (head === undefined || config?.offset !== from) return config?.offset ?? from;
      setConfig(sql, head, { ...config, offset: to });
      return to;
    });
  }

  async time(): Promise<number> {
    return this.#clock.now();
  }

  nextSeq(): Promise<number> {
    return this.#database.change((sql) => {
      const { id, seq } = makeHead(sql, this.#name);
      sql.run("UPDATE namespaces SET seq = ? WHERE id = ?", seq + 1, id);
      return seq + 1;
    });
  }

  async write(writes: readonly Write[], signal?: AbortSignal): Promise<void> {
    const begin = (sql: Sql): { apply: (write: Write) => void; end: () => void } => {
      signal?.throwIfAborted(); // before each of the changes that it takes
      const change = new Change(sql, makeHead(sql, this.#name), this.#clock.now());
      return { apply: (write) => change.apply(write), end: () => change.end() };
    };
    const metas = writes.filter(({ kind }) => kind === "meta");
    if (metas.length < writes.length) {
      await this.#database.changeEach(
        writes.filter(({ kind }) => kind !== "meta"),
        begin,
      );
      this.#database.ring();
    }
    if (metas.length === 0) return;
    await this.#database.changeEachSparingly(metas, begin);
    this.#database.ring();
  }

  ping(slot: Slot, seq: number): Promise<Pong> {
    return this.#database.change((sql) => {
      const { id } = makeHead(sql, this.#name);
      const ms = this.#clock.now();
      const { mail } = sql.get(PING, id, slot, seq, ms) as { mail: number };
      return { ms, revision: ms, hasMail: mail === 1 }; // the time is read under the lock
    });
  }

  mail(slot: Slot, seqs: readonly number[]): Promise<void> {
    return this.#database.change((sql) => {
      const { id } = makeHead(sql, this.#name);
      for (const seq of seqs) sql.run(MAIL, id, slot, seq);
    });
  }

  async countOpen(session: number): Promise<OpenRecords> {
    const { id, opened } = await this.#database.view((sql) => {
      const { id: ns } = readHead(sql, this.#name) ?? {};
      return { id: ns, opened: (sql.get(OPENED, ns, session) as { since: number } | undefined)?.since };
    });
    let count = opened === undefined ? 0 : 1;
    for (let after: Start = { pinger: SESSION_PINGER, start: SESSION_START }; ;) {
      const { pinger, start } = after;
      const { next, rest } = await this.#database.view((sql) => {
        const skipped = sql.get(SKIP_COUNTED, id, session, pinger, start) as Start | undefined;
        if (skipped !== undefined) return { next: skipped, rest: 0 };
        const { count: left } = sql.get(COUNT_REST, id, session, pinger, start) as { count: number };
        return { next: undefined, rest: left };
      });
      if (next === undefined) return { count: count + rest, opened };
      count += COUNTED;
      after = next;
      await turn();
    }
  }

  async kill(key: string): Promise<void> {
    await this.#database.change((sql) => {
      const change = new Change(sql, makeHead(sql, this.#name), this.#clock.now());
      change.kill(key);
      change.end();
    });
    this.#database.ring();
  }

  async pings(from: Slot): Promise<PingRecord[]> {
    const segments = await this.#database.view((sql) => {
      const { id } = readHead(sql, this.#name) ?? {};
      const query = `
        SELECT json_group_array(json_array(slot, ms, json(seqs))) AS json FROM (
          SELECT slot, max(ms) AS ms, json_group_array(seq) AS seqs FROM pings
          WHERE ns = ? AND slot >= ? AND ms > 0 GROUP BY slot, seq / ${SEGMENT_SESSIONS})`;
      return (id === undefined ? [] : sql.json(query, id, bounded(from))) as [Slot, number, number[]][];
    });
    return segments.flatMap(([slot, ms, seqs]) => recordsOf(slot, ms, seqs));
  }

  read(query: ReadQuery): AsyncIterable<Page> {
    return readPages(this.#database, this.#name, query);
  }

  async prune(query: PruneQuery): Promise<Pruned> {
    const done = await prune(this.#database, this.#name, query);
    await this.#removeDropped();
    return done;
  }

  /** Removes the namespace at once, then its data piece by piece. */
  async drop(): Promise<void> {
    const isDropped = await this.#database.change((sql) => {
      const rename = "UPDATE namespaces SET name = ? || id WHERE name = ?";
      return sql.run(rename, DROPPED, escaped(this.#name)) > 0;
    });
    if (!isDropped) return;
    this.#database.ring();
    await this.#removeDropped();
  }

  /** Removes the data of dropped namespaces: also where the process that dropped one has ended before it was done. */
  async #removeDropped(): Promise<void> {
    const find = "SELECT id FROM namespaces WHERE name > ? AND name < ?";
    for (;;) {
      const found = await this.#database.view((sql) => sql.get(find, DROPPED, prefixEnd(DROPPED)));
      if (found === undefined) return;
      const { id } = found as { id: number };
      for (const [table, key] of TABLES) {
        const some = `SELECT ${key} FROM ${table} WHERE ns = :ns LIMIT ${DROP_ROWS}`;
        const statement = `DELETE FROM ${table} WHERE ns = :ns AND (${key}) IN (${some})`;
        while ((await this.#database.change((sql) => sql.run(statement, { ns: id }))) === DROP_ROWS)
          await turn();
      }
      await this.#database.change((sql) => sql.run("DELETE FROM namespaces WHERE id = ?", id));
    }
  }

  feed(select: Selection, sink: FeedSink): Feed {
    const feed = openFeed(this.#database, this.#name, select, sink);
    this.#feeds.add(feed);
    return {
      ready: feed.ready,
      close: () => {
        this.#feeds.delete(feed);
        return feed.close();
      },
    };
  }

  notices(listener: (notice: StoreNotice) => void): () => void {
    this.#database.listeners.add(listener);
    return () => this.#database.listeners.delete(listener);
  }

  /** The bytes are those of the file, which all namespaces of the directory share. */
  async examine(beforeSlot: Slot): Promise<Finding[]> {
    const { size } = await stat(this.#database.place.file);
    const old = await this.#database.view((sql) => {
      const { id } = readHead(sql, this.#name) ?? {};
      const query = "SELECT count(*) AS n FROM (SELECT 1 FROM pings WHERE ns = ? AND slot < ? LIMIT ?)";
      return (sql.get(query, id, bounded(beforeSlot), OLD_MAX) as { n: number }).n;
    });
    return [await this.#examineLock(), storageFinding({ bytes: size, old })];
  }

  async #examineLock(): Promise<Finding> {
    const held = await this.#database.whoHoldsLock();
    if (held === undefined) return { check: "lock", level: "ok", found: "The lock for writing is free." };
    const advice =
      "Let that process go on (SIGCONT, `docker unpause`), or end it: nobody can write until then.";
    return { check: "lock", level: "error", found: held, advice };
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) await feed.close();
    this.#feeds.clear();
  }
}

/** The argument may be before the first slot, or after the last. */
function bounded(slot: Slot): number {
  return Math.min(Math.max(slot, 0), Number.MAX_SAFE_INTEGER);
}

function recordsOf(slot: Slot, ms: number, seqs: readonly number[]): PingRecord[] {
  return [...groupBits(seqs)].map(([segment, masks]) => {
    const words = new Int32Array(SEGMENT_WORDS);
    for (const [word, mask] of masks) words[word] = mask;
    return { slot, segment, words, ms, revision: ms };
  });
}
