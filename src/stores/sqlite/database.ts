/**
 * The SQLite file of a directory: opens it, and opens it again if it was removed or replaced.
 *
 * A transaction is a synchronous piece of work of at most a few milliseconds. SQLite itself never waits for the lock: a
 * transaction that finds it taken is tried again a moment later, and the program continues meanwhile.
 */
import { writeSync } from "node:fs";
import { HeartbitError } from "../../core/errors.ts";
import type { StoreNotice } from "../../core/store.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { turn } from "../../lib/turn.ts";
import {
  checkInner,
  closeBell,
  deleteLeftovers,
  findPlace,
  type Identity,
  identityOf,
  isSame,
  lockInode,
  makeStore,
  openBell,
  type Place,
  discard,
} from "./directory.ts";
import { type Connection, loadDriver } from "./driver.ts";
import { isBroken, isBusy, isDamage, isPassing, openingError, operatingError } from "./failures.ts";
import { findLockHolder, lockClause } from "./lock-holder.ts";
import { APPLICATION_ID } from "./schema.ts";
import { Sql } from "./sql.ts";

/** The longest time, in ms, for a transaction, and for all work in one turn of the event loop. */
export const SLICE_MS = 4;
/**
 * After a sparing change this process makes no other one for this many times as long as it held the lock, at most for
 * `REST_MS_MAX` ms.
 */
const REST_FACTOR = 100;
const REST_MS_MAX = 100;
/** The longest pause before the lock is tried again, in ms. */
const PAUSE_MS_MAX = 8;
/**
 * A transaction takes milliseconds. If the lock is taken and nobody has committed for this long, in ms, check the
 * process that holds it: if it is stopped, that is an outage.
 */
const SUSPECT_MS = 50;
/**
 * After this long, in ms, it is an outage in any case: the holder may be in another container, or frozen undetectably.
 */
const HELD_MS_MAX = 1000;
/** An operation that has waited for the lock for this long, in ms, is given up. */
const PATIENCE_MS = 2000;
/** How long an opening waits for others that open the file, in ms. */
const LOCK_PATIENCE_MS = 20_000;
/** How long an opening may be blocked by a file that is being removed or replaced, in ms. */
const PASSING_MS = 1000;
/** After this many new files, damage is no longer repaired by another one. */
const REPAIRS_MAX = 3;

type Begin = "BEGIN" | "BEGIN IMMEDIATE";

interface Opened {
  readonly connection: Connection;
  readonly sql: Sql;
  readonly identity: Identity;
  readonly bell: number;
}

export class Database {
  readonly place: Place;
  /** Notified when the file was lost or its lock is held, and when that is over. */
  readonly listeners = new Set<(notice: StoreNotice) => void>();
  readonly #connect: (path: string) => Connection;
  #opened: Opened | undefined;
  #generation = 0;
  #opening: Promise<Opened> | undefined;
  #isClosed = false;
  /** What listeners were notified as lost, until it is found again. */
  #lost: "file" | "lock" | undefined;
  /** Since when the lock has been taken without a commit in between, and the version at that time. */
  #held: { readonly version: unknown; readonly since: number; tries: number } | undefined;
  /** All operations that wait for the lock wait together, so only one of them tries it at a time. */
  #pause: Promise<void> | undefined;
  /**
   * How long SQLite has worked in this turn of the event loop, which a program that only awaits this store never ends.
   */
  #workedMs = 0;
  /** How long this process has held the lock in all, in ms. */
  #heldMs = 0;
  /** The end of the rest after sparing changes: a monotonic time, in ms. */
  #restsUntil = -Infinity;

  private constructor(place: Place, connect: (path: string) => Connection) {
    this.place = place;
    this.#connect = connect;
  }

  /** Opens the file of the directory, and creates it if there is none. */
  static async open(directory: string, connect = loadDriver()): Promise<Database> {
    const database = new Database(await findPlace(directory), connect);
    await database.#use();
    await deleteLeftovers(database.place).catch(() => {}); // another process may do it, within a day
    return database;
  }

  /** Runs `body`, which must not wait for anything, on one consistent view of the file. */
  view<T>(body: (sql: Sql) => T): Promise<T> {
    return this.#transaction("BEGIN", body);
  }

  /** Runs `body`, which must not wait for anything, as one atomic, exclusive change. */
  async change<T>(body: (sql: Sql) => T): Promise<T> {
    return this.#transaction("BEGIN IMMEDIATE", body);
  }

  /**
   * Applies the items in as few changes as possible without keeping others waiting: each takes a few milliseconds, with
   * a turn of the event loop in between. `begin` returns a function that applies one item, and one that ends the
   * change.
   */
  async changeEach<T>(
    items: readonly T[],
    begin: (sql: Sql) => { readonly apply: (item: T) => void; readonly end: () => void },
  ): Promise<void> {
    for (let at = 0; at < items.length;) {
      at = await this.change((sql) => {
        const until = systemClock.monotonic() + SLICE_MS;
        const { apply, end } = begin(sql);
        let next = at;
        do apply(items[next++] as T);
        while (next < items.length && systemClock.monotonic() < until);
        end();
        return next;
      });
      if (at < items.length) await turn();
    }
  }

  /**
   * Like `changeEach`, for changes that a program may make in an endless loop. A process that is stopped while it holds
   * the lock stops the writes of all others, so a loop must not hold it for a large part of the time.
   */
  async changeEachSparingly<T>(...[items, begin]: Parameters<typeof this.changeEach<T>>): Promise<void> {
    if (items.length === 0) return;
    const restMs = this.#restsUntil - systemClock.monotonic();
    if (restMs > 0) await pause(restMs);
    const before = this.#heldMs;
    await this.changeEach(items, begin);
    const nextMs = Math.min(REST_FACTOR * (this.#heldMs - before), REST_MS_MAX);
    this.#restsUntil = Math.max(this.#restsUntil, systemClock.monotonic() + nextMs);
  }

  /** Counts the files that were opened one after the other: the bell does not reach a feed of an earlier one. */
  get generation(): number {
    return this.#generation;
  }

  /** Wakes the feeds of all processes. */
  ring(): void {
    try {
      if (this.#opened !== undefined) writeSync(this.#opened.bell, "!", 0);
    } catch {} // a feed is only a hint
  }

  /** One sentence that says which process holds the lock; undefined if it is free, or will be in a moment. */
  async whoHoldsLock(): Promise<string | undefined> {
    try {
      await this.change(() => undefined);
      return undefined;
    } catch (error) {
      if (this.#lost !== "lock") throw error;
      return (error as Error).message;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => {});
    this.#closeFile();
  }

  // ---- transactions

  async #transaction<T>(begin: Begin, body: (sql: Sql) => T): Promise<T> {
    try {
      return await this.#tryTransaction(begin, body);
    } catch (error) {
      throw operatingError(this.place.file, error);
    }
  }

  async #tryTransaction<T>(begin: Begin, body: (sql: Sql) => T): Promise<T> {
    const since = systemClock.monotonic();
    for (let repairs = 0; ;) {
      if (this.#pause !== undefined) await this.#pause;
      if (this.#workedMs > SLICE_MS) await this.#giveTurn();
      const opened = this.#current() ?? (await this.#use());
      if (opened !== this.#opened) continue; // the file was replaced meanwhile
      const began = systemClock.monotonic();
      try {
        const result = run(opened.sql, begin, body);
        if (begin === "BEGIN IMMEDIATE") {
          this.#heldMs += systemClock.monotonic() - began;
          this.#lockIsFree();
        }
        return result;
      } catch (error) {
        if (isBusy(error)) await this.#waitForLock(opened, since);
        else if (isDamage(error) && repairs++ < REPAIRS_MAX) await this.#reopen(opened, "is damaged");
        else {
          if (isBroken(error) && opened === this.#opened) this.#closeFile();
          throw error;
        }
      } finally {
        this.#workedMs += systemClock.monotonic() - began;
      }
    }
  }

  async #giveTurn(): Promise<void> {
    await turn();
    this.#workedMs = 0;
  }

  async #waitForLock({ sql }: Opened, since: number): Promise<void> {
    const now = systemClock.monotonic();
    const version = versionOf(sql); // another one after each commit of others
    if (this.#held === undefined || this.#held.version !== version)
      this.#held = { version, since: now, tries: 0 };
    const { since: heldSince, tries } = this.#held;
    this.#held.tries++;
    const heldMs = now - heldSince;
    if (heldMs > SUSPECT_MS) await this.#suspectHolder(heldMs, now - since);
    this.#pause ??= pause(tries < 2 ? 0 : 1 + Math.random() * Math.min(tries, PAUSE_MS_MAX)).finally(() => {
      this.#pause = undefined;
    });
    await this.#pause;
  }

  async #suspectHolder(heldMs: number, waitedMs: number): Promise<void> {
    const isOver = waitedMs > PATIENCE_MS && heldMs > HELD_MS_MAX;
    if (!isOver && this.#lost !== undefined) return;
    const inode = lockInode(this.place);
    const holder = inode === undefined ? undefined : await findLockHolder(inode);
    const sentence = `${this.place.file} cannot be written: ${lockClause(holder, heldMs)}`;
    if (holder?.isStopped === true || heldMs > HELD_MS_MAX) this.#lose("lock", sentence);
    if (isOver) throw new HeartbitError("STORE_UNAVAILABLE", `${sentence}.`);
  }

  #lockIsFree(): void {
    this.#held = undefined;
    if (this.#lost === "lock") this.#find();
  }

  // ---- the file

  /** The open file, if it is still the one at its path. */
  #current(): Opened | undefined {
    const opened = this.#opened;
    if (opened === undefined || this.#isClosed || this.#opening !== undefined) return undefined;
    return isSame(opened.identity, identityOf(this.place.file)) ? opened : undefined;
  }

  async #use(): Promise<Opened> {
    if (this.#isClosed)
      throw new HeartbitError("STORE_UNAVAILABLE", `The SQLite store ${this.place.file} is closed.`);
    const current = this.#current();
    if (current !== undefined) return current;
    await this.#reopen(this.#opened, "was removed or replaced");
    return this.#use();
  }

  /** Opens the file at the path in place of the one that was open; `what` is wrong with that one. */
  async #reopen(before: Opened | undefined, what: string): Promise<void> {
    if (before !== this.#opened) return; // another operation has done so
    this.#opening ??= this.#replace(before, what).finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  async #replace(before: Opened | undefined, what: string): Promise<Opened> {
    if (before !== undefined) {
      this.#lose("file", `${this.place.file} ${what}`);
      // If the file is still there, it is damaged, or the files beside it are gone. Processes that open it from now on
      // and those that have it open would not see each other's locks.
      if (before.identity[0] === identityOf(this.place.file)[0]) discard(this.place);
    }
    this.#closeFile();
    const opened = await this.#open();
    if (this.#lost === "file") this.#find();
    return opened;
  }

  #closeFile(): void {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) return;
    closeBell(opened.bell);
    opened.connection.close();
  }

  async #open(): Promise<Opened> {
    const since = systemClock.monotonic();
    for (let tries = 0, repairs = 0; ; tries++) {
      let before: string | undefined;
      try {
        before = identityOf(this.place.file)[0];
        await checkInner(this.place);
        if (before === undefined) {
          await makeStore(this.place, this.#connect);
          continue;
        }
        const opened = this.#openFile();
        // The file is opened by its path, so it must have been the same one before and after.
        if (opened.identity[0] === before) {
          this.#generation++;
          return (this.#opened = opened);
        }
        closeBell(opened.bell);
        opened.connection.close();
      } catch (error) {
        const triedMs = systemClock.monotonic() - since;
        if (isDamage(error) && repairs++ < REPAIRS_MAX) {
          if (identityOf(this.place.file)[0] === before) discard(this.place); // otherwise another process has done so
        } else if (!(isBusy(error) ? triedMs < LOCK_PATIENCE_MS : isPassing(error) && triedMs < PASSING_MS))
          throw openingError(this.place.file, error);
      }
      await pause(1 + Math.random() * Math.min(tries, PAUSE_MS_MAX));
    }
  }

  #openFile(): Opened {
    const connection = this.#connect(this.place.file);
    try {
      // OFF: a crash of the machine may damage the file, but the next boot has another file.
      connection.exec(`PRAGMA synchronous = ${this.place.isOfThisRun ? "OFF" : "NORMAL"}`);
      connection.exec("PRAGMA wal_autocheckpoint = 250");
      connection.exec("PRAGMA journal_size_limit = 1048576");
      // Reading also opens the files beside it, and keeps SQLite from deleting them while this connection is open.
      const row = connection.prepare("PRAGMA application_id").get() as { application_id: number };
      connection.prepare("SELECT count(*) FROM namespaces").get();
      if (row.application_id !== APPLICATION_ID)
        throw Object.assign(new Error("not heartbit's"), { errcode: 26 });
      return {
        connection,
        sql: new Sql(connection),
        identity: identityOf(this.place.file),
        bell: openBell(this.place),
      };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  // ---- notices

  #lose(what: "file" | "lock", reason: string): void {
    if (this.#lost === what) return;
    this.#lost = what;
    for (const listen of this.listeners) listen({ kind: "lost", reason });
  }

  #find(): void {
    this.#lost = undefined;
    for (const listen of this.listeners) listen({ kind: "found" });
  }
}

function run<T>(sql: Sql, begin: Begin, body: (sql: Sql) => T): T {
  sql.run(begin);
  try {
    const result = body(sql);
    sql.run("COMMIT");
    return result;
  } catch (error) {
    try {
      sql.run("ROLLBACK");
    } catch {} // some errors have already ended the transaction
    throw error;
  }
}

function versionOf(sql: Sql): unknown {
  try {
    return (sql.get("PRAGMA data_version") as { data_version: number }).data_version;
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<void> {
  if (ms === 0) return turn();
  return new Promise((done) => void systemClock.setTimer(done, ms));
}
