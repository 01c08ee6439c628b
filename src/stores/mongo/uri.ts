/** Connection strings: the database they name, a client for them, and the secrets in them. */
import type * as Driver from "mongodb";
import type { Db, MongoClient, MongoClientOptions } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";

/** The default if the connection string names no database. (The driver's default is "test".) */
const DATABASE = "heartbit";

/** One ping loop, one polling loop and one change stream need no more. */
const POOL_SIZE = 10;
const CONNECT_MS = 3000;
/** Connections that were needed for a moment, as for a large read, are given back. */
const IDLE_MS = 60_000;
/** The driver's own: what is lost is noticed by the pings, long before. */
const HEARTBEAT_MS = 10_000;
/** In the other mode, streaming, the server answers twice in that time, over a second connection. */
const POLLING: MongoClientOptions = { serverMonitoringMode: "poll" };

/** Options that contain secrets: of certificates, proxies and clouds. */
const SECRET_OPTION = /^[^=]*(?:password|token|secret|properties)/i;

/** `mongodb://hosts/database?options`. A slash in a name, a password or a path of a socket is written `%2F`. */
const URI = /^mongodb(?:\+srv)?:\/\/(?<authority>[^/?]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?$/s;

function namesDatabase(uri: string): boolean {
  return (URI.exec(uri)?.groups?.["database"] ?? "") !== "";
}

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
  if (!isLoginEscaped(uri)) throw invalid(MAYBE_UNESCAPED);
  try {
    // The driver waits for such a server when it connects; all operations of heartbit go to the primary.
    const readPreference = driver.ReadPreference.primary;
    const client = new driver.MongoClient(uri, { ...defaultsFor(driver, uri), readPreference });
    return { client, db: namesDatabase(uri) ? client.db() : client.db(DATABASE) };
  } catch {
    throw invalid(whyInvalid(driver, uri));
  }
}

function invalid(why: string): HeartbitError {
  // No cause: the driver's error quotes the connection string.
  return new HeartbitError("INVALID_OPTION", `The MongoDB connection string is not valid: ${why}.`);
}

const HOSTS = /^[^:,[\]]*(?::\d*)?(?:,[^:,[\]]*(?::\d*)?)*$/;

/**
 * Whether no part of a password could be mistaken for the name of a host or a database, which appear in messages. Not
 * every release of the driver checks this.
 */
function isLoginEscaped(uri: string): boolean {
  const { authority = "", database = "" } = URI.exec(uri)?.groups ?? {};
  const parts = authority.split("@");
  if (parts.length > 2 || database.includes("@")) return false;
  if (parts.length === 1) return HOSTS.test(authority) || !uri.slice(uri.indexOf(authority)).includes("@");
  const [login = ""] = parts;
  return !/[#[\]]|:.*:|%(?![\da-f]{2})/is.test(login);
}

const MAYBE_UNESCAPED =
  "a user, a password or an option has a character that must be percent-encoded (@ as %40, / as %2F), or a value that it may not have";

/** The driver's error for the same connection string without its secrets, so that it cannot reveal any. */
function whyInvalid(driver: typeof Driver, uri: string): string {
  const {
    1: scheme = "",
    2: login,
    3: place = "",
  } = /^(mongodb(?:\+srv)?:\/\/)(?:(.*)@)?(.*)$/s.exec(uri) ?? [];
  if (login?.includes("?") === true) return MAYBE_UNESCAPED; // the text after the @ may be the rest of a secret
  const [path = "", query] = place.split("?", 2);
  const options = query?.split("&") ?? [];
  // The text after a secret may be the rest of it.
  const secret = options.findIndex((option) => SECRET_OPTION.test(option));
  const shown = secret < 0 ? options : options.slice(0, secret);
  const open = `${scheme}${login === undefined ? "" : "user:password@"}${path}?${shown.join("&")}`;
  try {
    const client = new driver.MongoClient(open);
    void client.close();
    client.db(); // throws if the name is invalid
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
  }
  return MAYBE_UNESCAPED;
}

/** Options that the connection string does not set. */
function defaultsFor(driver: typeof Driver, uri: string): MongoClientOptions {
  const defaults: MongoClientOptions = {
    appName: "heartbit",
    maxPoolSize: POOL_SIZE,
    maxIdleTimeMS: IDLE_MS,
    connectTimeoutMS: CONNECT_MS,
    serverSelectionTimeoutMS: CONNECT_MS,
    heartbeatFrequencyMS: HEARTBEAT_MS,
    ...(knows(driver, POLLING) ? POLLING : {}),
  };
  const said = new Set(
    Array.from(new URLSearchParams(URI.exec(uri)?.groups?.["query"] ?? "").keys(), (name) =>
      name.toLowerCase(),
    ),
  );
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
