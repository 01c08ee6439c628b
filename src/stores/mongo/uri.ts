/** Connection strings: the database they name, a client for them, and what must not be told of them. */
import type * as Driver from "mongodb";
import type { Db, MongoClient, MongoClientOptions } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";

/** Where the connection string names none. (The driver's default is "test".) */
const DATABASE = "heartbit";

/** One ping loop, one polling loop and one change stream need no more. */
const POOL_SIZE = 10;
const CONNECT_MS = 3000;
/** The driver's own: what is lost is noticed by the pings, long before. */
const HEARTBEAT_MS = 10_000;
/** The other mode, streaming, has the server answer twice in that time, over a second connection. */
const POLLING: MongoClientOptions = { serverMonitoringMode: "poll" };

/** Options with something in them that must not be told: of certificates, of proxies, of clouds. */
const SECRET_OPTION = /^[^=]*(?:password|token|secret|properties)/i;

/** `mongodb://hosts/database?options`. A slash in a name, a password or a path of a socket is written `%2F`. */
const URI = /^mongodb(?:\+srv)?:\/\/(?<authority>[^/?]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?$/s;

function namesDatabase(uri: string): boolean {
  return (URI.exec(uri)?.groups?.["database"] ?? "") !== "";
}

/** Databases in which a server keeps what is its own: `local` is not replicated, `config` is of the cluster. */
const RESERVED = new Set(["local", "config"]);

/** Rejects what is no place for a namespace with `INVALID_OPTION`. */
export function checkDatabase(name: string): void {
  if (!RESERVED.has(name)) return;
  const message = `The database is "${name}", which MongoDB keeps for itself: use another.`;
  throw new HeartbitError("INVALID_OPTION", message);
}

/** A client, and the database. Does no I/O. Rejects what the driver cannot read with `INVALID_OPTION`. */
export function makeClient(driver: typeof Driver, uri: string): { client: MongoClient; db: Db } {
  if (!isLoginEscaped(uri)) throw invalid(MAYBE_UNESCAPED);
  try {
    // The driver waits for a server of this kind when it connects; all that heartbit does goes to the primary.
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
 * Whether no part of a password can be taken for the name of a host or a database, which are told. Not every release
 * of the driver looks.
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

/** What the driver says of the same connection string without its secrets: so it cannot tell any of them. */
function whyInvalid(driver: typeof Driver, uri: string): string {
  const {
    1: scheme = "",
    2: login,
    3: place = "",
  } = /^(mongodb(?:\+srv)?:\/\/)(?:(.*)@)?(.*)$/s.exec(uri) ?? [];
  if (login?.includes("?") === true) return MAYBE_UNESCAPED; // what follows the @ may be the rest of a secret
  const [path = "", query] = place.split("?", 2);
  const options = query?.split("&") ?? [];
  // What follows a secret may be the rest of it.
  const secret = options.findIndex((option) => SECRET_OPTION.test(option));
  const told = secret < 0 ? options : options.slice(0, secret);
  const open = `${scheme}${login === undefined ? "" : "user:password@"}${path}?${told.join("&")}`;
  try {
    const client = new driver.MongoClient(open);
    void client.close();
    client.db(); // refuses what cannot name a database
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
  }
  return MAYBE_UNESCAPED;
}

/** What the connection string leaves open. */
function defaultsFor(driver: typeof Driver, uri: string): MongoClientOptions {
  const defaults: MongoClientOptions = {
    appName: "heartbit",
    maxPoolSize: POOL_SIZE,
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

/** Whether this release of the driver takes the options. A client that is only made does no I/O. */
function knows(driver: typeof Driver, options: MongoClientOptions): boolean {
  try {
    void new driver.MongoClient("mongodb://localhost", options).close();
    return true;
  } catch {
    return false;
  }
}
