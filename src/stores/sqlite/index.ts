/**
 * The store in a SQLite file: embedded, shared by the processes of one machine. A process may be killed at any moment
 * without harm to the others.
 *
 * On Linux the file lives until the system reboots. No process survives that, so the next boot starts with an empty
 * file. It must be on a local file system.
 */
import type { Clock } from "../../core/clock.ts";
import type { Namespace, Store } from "../../core/store.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { Database } from "./database.ts";
import { SqliteNamespace } from "./namespace.ts";

export interface SqliteOptions {
  /** The store's time, and the clock of presences that are given none. Default: the machine's. */
  readonly clock?: Clock;
}

/**
 * Opens the SQLite store in a directory, and creates the directory if there is none. Only this loads a package with
 * SQLite.
 *
 * Rejects with `UNSUPPORTED_SERVER` if neither this Node nor an installed package has a SQLite that is safe to use,
 * with `NOT_PERMITTED` if the directory cannot be created or written, or its contents may be another user's trap, with
 * `INVALID_OPTION` if it is not a directory, and with `STORE_UNAVAILABLE` for faults that may pass (no space, too many
 * open files).
 */
export async function openSqlite(directory: string, options: SqliteOptions = {}): Promise<SqliteStore> {
  return new SqliteStore(await Database.open(directory), options.clock ?? systemClock);
}

export class SqliteStore implements Store {
  readonly kind = "sqlite";
  readonly clock: Clock;
  readonly #database: Database;

  /** @internal Use `openSqlite`. */
  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.clock = clock;
  }

  /** The data file, for tests. */
  get path(): string {
    return this.#database.place.file;
  }

  /** Returns a namespace, without any I/O. */
  namespace(name: string): Namespace {
    return new SqliteNamespace(this.#database, name, this.clock);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
