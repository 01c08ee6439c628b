/** Opens the store that a target of `Presence.open` names. */
import { show } from "../core/checks.ts";
import type { Clock } from "../core/clock.ts";
import { HeartbitError } from "../core/errors.ts";
import type { Store } from "../core/store.ts";
import { shared } from "../lib/shared.ts";
import { MemoryStore } from "./memory.ts";

/** A `Db` of the MongoDB driver, 6 or 7: the caller's own, never closed by heartbit. */
export interface MongoDb {
  /** The name of the database. */
  readonly databaseName: string;
  /** A collection of the database. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the driver's type, which must not be needed to compile
  collection(name: string, options?: any): any;
  /** Runs a command. */
  // oxlint-disable-next-line typescript/no-explicit-any
  command(command: any, options?: any): Promise<any>;
}

/** A `Collection` of the MongoDB driver, 6 or 7: its name is the namespace. */
export interface MongoCollection {
  /** The name of the collection. */
  readonly collectionName: string;
  /** The name of the database that it is in. */
  readonly dbName: string;
  /** That database. Drivers before 6.20 do not have this property. */
  readonly db?: MongoDb;
}

/** Anything with a `db` that is a `Db`, such as a connection of mongoose. */
export interface MongoConnection {
  /** Its database; undefined before it is connected. */
  readonly db?: MongoDb | undefined;
}

/** The driver's client. */
interface MongoDatabases {
  db(name: string): MongoDb;
}

/**
 * What `Presence.open` opens:
 * - `mongodb://...` or `mongodb+srv://...`, with a database (default `heartbit`)
 * - a `Db` of the caller's own driver, or a `Collection`, whose name is the namespace
 * - anything with a `db` that is one, such as a connection of mongoose
 * - `sqlite:<directory>`: embedded, for all processes of one machine
 * - `memory:<label>`: for the presences of one process
 * - a `Store`
 */
export type Target = string | MongoDb | MongoCollection | MongoConnection | Store;

/** The options of a presence that concern the opening of its store. */
interface OpenOptions {
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock | undefined;
}

/** @internal The namespace that the target names, if it names one. */
export function nameOf(target: Target): string | undefined {
  return isCollection(target) ? target.collectionName : undefined;
}

/**
 * @internal The store, and whether it was opened here and so must be closed. The caller's own client is never closed.
 */
export async function openStore(
  target: Target,
  options: OpenOptions,
): Promise<{ store: Store; opened: boolean }> {
  if (typeof target === "string") return { store: await openUri(target, options), opened: true };
  if (isStore(target)) return { store: target, opened: false };
  if (isCollection(target) || isDb(target)) {
    const { mongoStore } = await import("./mongo/index.ts");
    const db = isCollection(target) ? databaseOf(target) : target;
    return { store: mongoStore(db as Parameters<typeof mongoStore>[0]), opened: true };
  }
  if (isConnection(target)) {
    if (isDb(target.db)) return openStore(target.db, options);
    if (typeof target.db === "function") throw badTarget("a MongoClient", "Pass its database: client.db().");
    throw badTarget("a connection that has no db yet: await its connecting first");
  }
  throw badTarget(show(target));
}

/** @internal The directory of a SQLite store; undefined for any other target. Throws `INVALID_OPTION`. */
export function sqliteDirectory(uri: string): string | undefined {
  if (!uri.startsWith("sqlite:") || uri.length === 7) return undefined;
  const directory = uri.slice(7);
  if (!/^~(?:[/\\]|$)/.test(directory)) return directory;
  throw new HeartbitError(
    "INVALID_OPTION",
    `The directory ${show(directory)} begins with ~, which no shell has expanded: write $HOME or the whole path.`,
  );
}

/** @internal Rejects with `UNSUPPORTED_SERVER` if no SQLite store can be opened in this process. Opens none. */
export async function checkSqlite(): Promise<void> {
  const { loadDriver } = await import("./sqlite/driver.ts");
  loadDriver();
}

async function openUri(uri: string, { signal, clock }: OpenOptions): Promise<Store> {
  if (/^mongodb(\+srv)?:\/\//.test(uri)) {
    const { openMongo } = await import("./mongo/index.ts");
    return openMongo(uri, signal === undefined ? {} : { signal });
  }
  const directory = sqliteDirectory(uri);
  if (directory !== undefined) {
    const { openSqlite } = await import("./sqlite/index.ts");
    return openSqlite(directory, clock === undefined ? {} : { clock });
  }
  if (uri.startsWith("memory:") && uri.length > 7) return memory(uri.slice(7), clock);
  if (uri.startsWith("lmdb:"))
    throw new HeartbitError(
      "INVALID_OPTION",
      "The embedded store is sqlite:<directory> now, not lmdb:<directory>.",
    );
  throw badTarget(`a string that ${faultOf(uri)?.what}`, faultOf(uri)?.hint);
}

/** What is wrong with a target that is a string, and what to write instead, if that can be guessed. */
interface TargetFault {
  readonly what: string;
  readonly hint?: string;
}

/** @internal What is wrong with the scheme of a target; undefined if it names a kind of store. */
export function faultOf(uri: string): TargetFault | undefined {
  if (/^(?:mongodb(?:\+srv)?:\/\/|sqlite:.|memory:.)/s.test(uri)) return undefined;
  if (uri === "sqlite:" || uri === "memory:") return { what: `has nothing after ${show(uri)}` };
  // Show only the part before the first colon: the rest may contain a password.
  const scheme = /^[a-z][a-z+.-]*:/i.exec(uri)?.[0];
  const what = scheme === undefined ? "has no scheme" : `begins with ${show(scheme)}`;
  if (/^mongodb\b/i.test(uri)) return { what, hint: "The scheme is mongodb:// in lower case." };
  if (HOST.test(uri)) return { what, hint: "Write mongodb:// before a host." };
  return DIRECTORY.test(uri) ? { what, hint: "Write sqlite: before a directory." } : { what };
}

/** A host, with a port or a database. */
const HOST = /^(?:localhost|[\w.-]+:\d{1,5}|\[[\da-f:]+\](?::\d{1,5})?|\d+(?:\.\d+){3})(?:[/?,]|$)/i;
const DIRECTORY = /^(?:[./~\\]|[a-z]:[/\\])/i;

function memory(label: string, clock: Clock | undefined): Store {
  const memories = shared("memory", () => new Map<string, Store>());
  let store = memories.get(label);
  if (store === undefined)
    memories.set(label, (store = new MemoryStore(clock === undefined ? {} : { clock })));
  return store;
}

function isStore(target: unknown): target is Store {
  return typeof target === "object" && target !== null && "kind" in target && "namespace" in target
    ? typeof target.namespace === "function"
    : false;
}

function isCollection(target: unknown): target is MongoCollection {
  return typeof target === "object" && target !== null && "collectionName" in target && "dbName" in target;
}

/** Every driver knows a collection's client, though some do not declare it in their types. */
function databaseOf(collection: MongoCollection & { readonly client?: MongoDatabases }): MongoDb {
  const db = collection.db ?? collection.client?.db(collection.dbName);
  if (db === undefined) throw badTarget("a Collection without a client");
  return db;
}

function isDb(target: unknown): target is MongoDb {
  return typeof target === "object" && target !== null && "databaseName" in target && "collection" in target;
}

function isConnection(target: unknown): target is MongoConnection {
  return typeof target === "object" && target !== null && "db" in target;
}

function badTarget(what: string, hint?: string): HeartbitError {
  const wanted =
    "mongodb://…, mongodb+srv://…, sqlite:<directory>, memory:<label>, a Db, something with a db, a Collection or a Store";
  const more = hint === undefined ? "" : ` ${hint}`;
  return new HeartbitError("INVALID_OPTION", `The target is ${what}, but must be ${wanted}.${more}`);
}
