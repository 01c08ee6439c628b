/** Connection strings: the database they name, a client for them, and the secrets in them. */
import type * as Driver from "mongodb";
import type { Db, MongoClient, MongoClientOptions } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import { cut, isMaybeUnescaped, type Parts, partsOf } from "../../lib/connection-string.ts";
import { DEFAULT_DATABASE } from "../../lib/default-database.ts";

/** One ping loop, one polling loop and one change stream need no more. */
const POOL_SIZE = 10;
const CONNECT_MS = 3000;
/** Connections that were needed for a moment, as for a large read, are given back. */
const IDLE_MS = 60_000;
/** In the other mode, streaming, the server answers twice in that time, over a second connection. */
const POLLING: MongoClientOptions = { serverMonitoringMode: "poll" };

/** Names of options that contain secrets - of certificates, proxies and clouds - have one of these in them. */
const SECRETS = ["password", "token", "secret", "properties"];

/** Databases that MongoDB keeps for itself: `local` is not replicated, `config` belongs to the cluster. */
const RESERVED = new Set(["local", "config"]);

/** Throws `INVALID_OPTION` if no namespace can be in this database. */
export function checkDatabase(name: string): void {
  if (!RESERVED.has(name)) return;
  const message = `The database is "${name}", which MongoDB keeps for itself: use another.`;
  throw new HeartbitError("INVALID_OPTION", message);
}

/** Makes a client, without any I/O. Throws `INVALID_OPTION` if the driver cannot parse the connection string. */
export function makeClient(driver: typeof Driver, uri: string): { client: MongoClient; db: Db } {
  const parts = partsOf(uri);
  if (isMaybeUnescaped(parts)) throw invalid(MAYBE_UNESCAPED);
  try {
    // The driver waits for such a server when it connects; all operations of heartbit go to the primary.
    const readPreference = driver.ReadPreference.primary;
    const client = new driver.MongoClient(uri, { ...defaultsFor(driver, parts), readPreference });
    return { client, db: parts.database === "" ? client.db(DEFAULT_DATABASE) : client.db() };
  } catch {
    throw invalid(whyInvalid(driver, parts));
  }
}

function invalid(why: string): HeartbitError {
  // No cause: the driver's error quotes the connection string.
  return new HeartbitError("INVALID_OPTION", `The MongoDB connection string is not valid: ${why}.`);
}

const MAYBE_UNESCAPED =
  "a user, a password or an option has a character that must be percent-encoded (@ as %40, / as %2F), or a value that it may not have";

/** The driver's error for the same connection string without its secrets, so that it cannot reveal any. */
function whyInvalid(driver: typeof Driver, { scheme, login, hosts, database, query }: Parts): string {
  if (query.includes("@")) return MAYBE_UNESCAPED; // what is before it may be a part of a password
  const options = query.split("&");
  // The text after a secret may be the rest of it.
  const secret = options.findIndex((option) => isSecret(cut(option, "=")[0]));
  const shown = secret < 0 ? options : options.slice(0, secret);
  const place = `${login === undefined ? "" : "user:password@"}${hosts}/${database}`;
  try {
    const client = new driver.MongoClient(`${scheme}://${place}?${shown.join("&")}`);
    void client.close();
    client.db(); // throws if the name is invalid
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return said.endsWith(".") ? said.slice(0, -1) : said;
  }
  return MAYBE_UNESCAPED;
}

function isSecret(option: string): boolean {
  return SECRETS.some((part) => option.toLowerCase().includes(part));
}

/** Options that the connection string does not set. */
function defaultsFor(driver: typeof Driver, { query }: Parts): MongoClientOptions {
  const said = new Map(
    Array.from(new URLSearchParams(query), ([name, value]) => [name.toLowerCase(), value]),
  );
  const defaults: MongoClientOptions = {
    appName: "heartbit",
    maxPoolSize: Math.max(POOL_SIZE, Number(said.get("minpoolsize") ?? 0)),
    maxIdleTimeMS: IDLE_MS,
    connectTimeoutMS: CONNECT_MS,
    serverSelectionTimeoutMS: CONNECT_MS,
    ...(knows(driver, POLLING) ? POLLING : {}),
  };
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => !said.has(name.toLowerCase())));
}

/** Whether this release of the driver accepts the options. Constructing a client does no I/O. */
function knows(driver: typeof Driver, options: MongoClientOptions): boolean {
  try {
    void new driver.MongoClient("mongodb://localhost", options).close();
    return true;
  } catch {
    return false;
  }
}
