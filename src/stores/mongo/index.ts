/** The store in a MongoDB database: one named by a connection string, or the caller's `Db`. */
import type * as Driver from "mongodb";
import type { Db, Document, MongoClient } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import type { Namespace, NamespaceScale, Store } from "../../core/store.ts";
import { unlessAborted } from "../../lib/abort.ts";
import { quietly } from "../../lib/handled.ts";
import { Calls, limitsFor } from "./calls.ts";
import type { Context } from "./context.ts";
import { BAD_VALUE, codeOf } from "./failures.ts";
import { namesOf } from "./indexes.ts";
import { type Monitor, monitorOf } from "./monitor.ts";
import { MongoNamespace } from "./namespace.ts";
import { Reconnector } from "./reconnecting.ts";
import { askServer, type ServerInfo, writeConcernOf } from "./server.ts";
import { ServerClock } from "./server-clock.ts";
import { checkDatabase, makeClient } from "./uri.ts";

const OPENING = limitsFor(0);

export interface OpenMongoOptions {
  /** Aborts the opening. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a store in the database that the connection string names, by default "heartbit". `close` closes its client.
 *
 * Rejects with `INVALID_OPTION` for an invalid connection string, `NOT_PERMITTED` for wrong credentials,
 * `UNSUPPORTED_SERVER` for a server before MongoDB 4.2 or without the package `mongodb`, `STORE_UNAVAILABLE` if no
 * server answers within 4 s, and the signal's reason if it is aborted.
 */
export async function openMongo(uri: string, { signal }: OpenMongoOptions = {}): Promise<MongoStore> {
  const driver = await loadDriver();
  signal?.throwIfAborted();
  const { client, db } = makeClient(driver, uri);
  checkDatabase(db.databaseName);
  const store = new MongoStore(db, client);
  try {
    await unlessAborted(store.server(), signal);
    store.keepConnected();
    return store;
  } catch (error) {
    await store.close();
    throw wrongSet(error) ?? error;
  }
}

/** A store in the caller's database; `close` leaves its client open. No I/O. Throws as `checkDatabase` does. */
export function mongoStore(db: Db): MongoStore {
  checkDatabase(db.databaseName);
  return new MongoStore(db);
}

export class MongoStore implements Store {
  readonly kind = "mongodb";
  readonly #calls: Calls;
  readonly #monitor: Monitor;
  /** Opened here, so closed here. */
  readonly #client: MongoClient | undefined;
  readonly #reconnector: Reconnector | undefined;
  #server: Promise<ServerInfo> | undefined;
  /** `Monitor.found` when the server was last asked. */
  #asked = 0;
  #topology: ServerInfo["topology"] | undefined;
  /** Whether a standalone server keeps a journal, as far as is known. */
  #hasJournal = true;

  /** Use `openMongo` or `mongoStore`. */
  constructor(db: Db, client?: MongoClient) {
    this.#reconnector = client && new Reconnector(client);
    this.#monitor = monitorOf(db.client);
    this.#calls = new Calls(
      db,
      () => void this.#reconnector?.checkLogin(),
      () => this.#look(),
    );
    this.#client = client;
  }

  /** Connects again whenever the driver would not do so by itself. */
  keepConnected(): void {
    this.#reconnector?.begin();
  }

  get db(): Db {
    return this.#calls.db;
  }

  /**
   * What kind of server it is: asked at the first use, until it has answered, and again after the server was lost and
   * found. A standalone server may come back as a member of a replica set, and another member may have another version.
   */
  async server(): Promise<ServerInfo> {
    if (this.#asked !== this.#monitor.found) this.#server = undefined;
    if (this.#server === undefined) {
      this.#asked = this.#monitor.found;
      this.#hasJournal = true;
      const asking = this.#ask().then((info) => {
        const before = this.#topology;
        this.#topology = info.topology;
        if (before !== undefined && before !== info.topology) this.#monitor.noteOtherKind();
        return info;
      });
      asking.catch(() => {
        if (this.#server === asking) this.#server = undefined;
      });
      this.#server = asking;
    }
    return this.#server;
  }

  namespace(name: string, { periodMs, retentionSlots, warn }: NamespaceScale): Namespace {
    let hasWarned = false;
    const context: Context = {
      periodMs,
      retentionSlots,
      calls: this.#calls,
      limits: limitsFor(periodMs),
      names: namesOf(name),
      monitor: this.#monitor,
      clock: new ServerClock(periodMs),
      pace: { slowUntil: -Infinity },
      server: () => this.server(),
      warn: (message) => warn?.(message),
      send: async (doing, command, limitMs, signal) => this.#write(doing, command, limitMs, signal),
      unrecognized: (collection, id) => {
        if (!hasWarned) warn?.(`Ignored unrecognized documents in ${collection}, first ${describe(id)}.`);
        hasWarned = true;
      },
    };
    return new MongoNamespace(context);
  }

  async close(): Promise<void> {
    // A server that does not answer must not delay the caller. The client releases its own resources at once.
    const client = this.#client;
    if (client === undefined) return;
    this.#reconnector?.end();
    await quietly(this.#calls.bounded("close", OPENING.closingMs, () => client.close()));
  }

  /** Not if the driver has one address only: a slow server must not be asked more for that. */
  #look(): void {
    const isDirect = this.db.client.options.directConnection;
    if (this.#topology === "replica set" && !isDirect) this.#monitor.look();
  }

  async #ask(): Promise<ServerInfo> {
    return (await askServer(this.#calls, OPENING.openingMs)).info;
  }

  async #write(doing: string, command: Document, limitMs: number, signal?: AbortSignal): Promise<Document> {
    const info = await this.server();
    const hasJournal = this.#hasJournal;
    const send = async (journaled: boolean): Promise<Document> => {
      const writeConcern = writeConcernOf(info, limitMs, journaled);
      const bounded = { ...command, writeConcern, maxTimeMS: Math.ceil(limitMs) };
      return this.#calls.command(doing, bounded, limitMs, {}, signal);
    };
    try {
      return await send(hasJournal);
    } catch (error) {
      if (info.topology !== "standalone" || !hasJournal || codeOf(error) !== BAD_VALUE) throw error;
      const reply = await send(false); // it was refused for another reason if this fails too
      this.#hasJournal = false;
      return reply;
    }
  }
}

/** The driver looks for servers of the replica set that the connection string names, and forgets all others. */
function wrongSet(error: unknown): HeartbitError | undefined {
  const { cause } = error as { cause?: { reason?: Partial<Driver.TopologyDescription> } };
  const { servers, setName } = cause?.reason ?? {};
  if (servers?.size !== 0 || typeof setName !== "string") return undefined;
  const message = `The connection string says replicaSet=${setName}, and none of its servers belongs to that.`;
  return new HeartbitError("INVALID_OPTION", message, { cause });
}

async function loadDriver(): Promise<typeof Driver> {
  try {
    return await import("mongodb");
  } catch (error) {
    throw notLoaded(error);
  }
}

/** Why the driver cannot be used: it is missing itself, or it is there and does not load. */
export function notLoaded(cause: unknown): HeartbitError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const [first = ""] = message.split("\n");
  // Plug'n'Play of Yarn words it in its own way.
  const isMissing =
    /MODULE_NOT_FOUND/.test(code ?? "") && /(["'])mongodb\1|tried to access mongodb\b(?!-)/.test(first);
  const why = isMissing
    ? "The package that speaks to MongoDB is missing: run `npm install mongodb`."
    : `The package mongodb is installed but does not load: ${first.replace(/\.$/, "")}.`;
  return new HeartbitError("UNSUPPORTED_SERVER", why, { cause });
}

function describe(id: unknown): string {
  const text = typeof id === "string" ? JSON.stringify(id) : String(id);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
