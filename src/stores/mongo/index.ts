/** The store in a MongoDB database: in one that is named by a connection string, or in a `Db` of the caller's. */
import type * as Driver from "mongodb";
import type { Db, MongoClient } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import type { Namespace, Store } from "../../core/store.ts";
import { Calls, limitsFor } from "./calls.ts";
import type { Context } from "./context.ts";
import { namesOf } from "./indexes.ts";
import { type Monitor, monitorOf } from "./monitor.ts";
import { MongoNamespace } from "./namespace.ts";
import { keepLooking } from "./revival.ts";
import { askServer, type ServerInfo } from "./server.ts";
import { makeClient } from "./uri.ts";

const OPENING = limitsFor(0);

export interface OpenMongoOptions {
  /** The period of the presence that opens the store, in ms: how often the driver looks after the server. */
  readonly periodMs: number;
  /** Gives the opening up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A store in the database that the connection string names; "heartbit" where it names none. `close` ends its client.
 *
 * Rejects with `INVALID_OPTION` for a connection string that cannot be read, `NOT_PERMITTED` for wrong credentials,
 * `UNSUPPORTED_SERVER` for a server before MongoDB 4.2 or where the package `mongodb` is not installed, and
 * `STORE_UNAVAILABLE` where no server answers within 4 s; with the signal's reason when it gives up.
 */
export async function openMongo(uri: string, { periodMs, signal }: OpenMongoOptions): Promise<MongoStore> {
  const driver = await loadDriver();
  signal?.throwIfAborted();
  const { client, db } = makeClient(driver, uri, periodMs);
  const store = new MongoStore(db, client);
  try {
    await orAborted(store.server(), signal);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A store in the caller's database. `close` leaves its client alone. No I/O. */
export function mongoStore(db: Db): MongoStore {
  return new MongoStore(db);
}

export class MongoStore implements Store {
  readonly kind = "mongodb";
  /** Where to tell what a person may want to look into: documents that are not heartbit's. */
  warn: (message: string) => void = () => undefined;
  readonly #calls: Calls;
  readonly #monitor: Monitor;
  /** Ours to close. */
  readonly #client: MongoClient | undefined;
  readonly #letGo: () => void;
  #server: Promise<ServerInfo> | undefined;

  /** Use `openMongo` or `mongoStore`. */
  constructor(db: Db, client?: MongoClient) {
    this.#calls = new Calls(db);
    this.#monitor = monitorOf(db.client);
    this.#client = client;
    this.#letGo = client === undefined ? () => undefined : keepLooking(client);
  }

  /** The database. */
  get db(): Db {
    return this.#calls.db;
  }

  /** Who the server is: asked at the first use, and again until it has answered. */
  async server(): Promise<ServerInfo> {
    this.#server ??= this.#ask().catch((error: unknown) => {
      this.#server = undefined;
      throw error;
    });
    return this.#server;
  }

  namespace(name: string, scale: { readonly periodMs: number; readonly retentionSlots: number }): Namespace {
    const names = namesOf(name);
    let hasWarned = false;
    const context: Context = {
      ...scale,
      calls: this.#calls,
      limits: limitsFor(scale.periodMs),
      names,
      monitor: this.#monitor,
      server: () => this.server(),
      serverMs: async () => this.#monitor.clock.reached() ?? this.#sampleClock(),
      foreign: (collection, id) => {
        if (!hasWarned)
          this.warn(`Passed over what is not heartbit's in ${collection}, first ${describe(id)}.`);
        hasWarned = true;
      },
    };
    return new MongoNamespace(context);
  }

  async close(): Promise<void> {
    // A server that does not answer must not hold the caller up; what the client holds it lets go of at once.
    const client = this.#client;
    if (client === undefined) return;
    this.#letGo();
    await this.#calls.bounded("close", OPENING.closingMs, () => client.close()).catch(() => undefined);
  }

  async #ask(): Promise<ServerInfo> {
    const { info, localTimeMs } = await askServer(this.#calls, OPENING.openingMs);
    this.#monitor.clock.sample(localTimeMs);
    return info;
  }

  async #sampleClock(): Promise<number> {
    const { localTimeMs } = await askServer(this.#calls, OPENING.quickMs);
    this.#monitor.clock.sample(localTimeMs);
    return localTimeMs;
  }
}

async function loadDriver(): Promise<typeof Driver> {
  try {
    return await import("mongodb");
  } catch (error) {
    const message = "The package that speaks to MongoDB is missing: run `npm install mongodb`.";
    throw new HeartbitError("UNSUPPORTED_SERVER", message, { cause: error });
  }
}

async function orAborted<T>(running: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return running;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    running
      .finally(() => signal.removeEventListener("abort", stop))
      .then(resolve)
      .catch(reject);
  });
}

function describe(id: unknown): string {
  const text = typeof id === "string" ? JSON.stringify(id) : String(id);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
