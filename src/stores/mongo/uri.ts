/** Connection strings: the database they name, a client for them, and what must not be told of them. */
import type * as Driver from "mongodb";
import type { MongoClient, MongoClientOptions } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";

/** Where the connection string names none. (The driver's default is "test".) */
export const DATABASE = "heartbit";

/** One ping loop, one polling loop and two change streams need no more. */
const POOL_SIZE = 10;
const CONNECT_MS = 3000;
const HEARTBEAT_MS_MIN = 500; // the driver allows no less
const HEARTBEAT_MS_MAX = 10_000;

/** `mongodb://hosts/database?options`. A slash in a name, a password or a path of a socket is written `%2F`. */
const URI = /^mongodb(?:\+srv)?:\/\/(?<authority>[^/?]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?$/s;

export function namesDatabase(uri: string): boolean {
  return (URI.exec(uri)?.groups?.["database"] ?? "") !== "";
}

/** Does no I/O. Rejects what the driver cannot read with `INVALID_OPTION`. */
export function makeClient(driver: typeof Driver, uri: string, periodMs: number): MongoClient {
  try {
    // The driver waits for a server of this kind when it connects; all that heartbit does goes to the primary.
    const readPreference = driver.ReadPreference.primary;
    return new driver.MongoClient(uri, { ...defaultsFor(uri, periodMs), readPreference });
  } catch (error) {
    const said = withoutSecrets(uri, error instanceof Error ? error.message : String(error));
    // No cause: the driver's error quotes the connection string.
    throw new HeartbitError("INVALID_OPTION", `The MongoDB connection string is not valid: ${said}.`);
  }
}

/** What the connection string leaves open. */
function defaultsFor(uri: string, periodMs: number): MongoClientOptions {
  const defaults: MongoClientOptions = {
    appName: "heartbit",
    maxPoolSize: POOL_SIZE,
    connectTimeoutMS: CONNECT_MS,
    serverSelectionTimeoutMS: CONNECT_MS,
    // Twice a period: so a step of the server's clock is noticed within one, and the loss of the server too.
    heartbeatFrequencyMS: Math.min(Math.max(periodMs / 2, HEARTBEAT_MS_MIN), HEARTBEAT_MS_MAX),
  };
  const said = new Set(
    Array.from(new URLSearchParams(URI.exec(uri)?.groups?.["query"] ?? "").keys(), (name) =>
      name.toLowerCase(),
    ),
  );
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => !said.has(name.toLowerCase())));
}

/** The text without the connection string and without what it keeps secret. */
function withoutSecrets(uri: string, text: string): string {
  const secrets = [uri];
  const userinfo = uri.slice(uri.indexOf("//") + 2, Math.max(uri.lastIndexOf("@"), 0));
  const password = userinfo.slice(userinfo.indexOf(":") + 1);
  for (const secret of [userinfo, password, decoded(password)]) secrets.push(secret);
  for (const [name, value] of new URLSearchParams(uri.slice(uri.indexOf("?") + 1))) {
    if (/password|token|secret|properties/i.test(name)) secrets.push(value);
  }
  return secrets.reduce(
    (left, secret) => (secret === "" ? left : left.replaceAll(secret, "***")),
    text.replace(/\.$/, ""),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
