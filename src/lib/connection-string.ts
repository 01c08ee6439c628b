/** The parts of a MongoDB connection string. */

/** The text of a connection string, divided where its specification divides it. */
export interface Parts {
  readonly scheme: string;
  /** The user and the password; undefined if there is no login. */
  readonly login: string | undefined;
  readonly hosts: string;
  /** Empty if none is named. */
  readonly database: string;
  readonly query: string;
}

/**
 * Divides a connection string. The driver parses it, and says whether it is valid and what it means, but not which
 * options it names, nor whether it names the database "test". (The driver's parser, `mongodb-connection-string-url`, is
 * a package that heartbit cannot load: package managers hide it, and bundlers dissolve it.) The signs at which it is
 * divided must be percent-encoded everywhere else, which the driver checks.
 */
export function partsOf(uri: string): Parts {
  const [scheme, rest = ""] = cut(uri, "://");
  const [place, query = ""] = cut(rest, "?");
  const [authority, database = ""] = cut(place, "/");
  const [first, second] = cut(authority, "@");
  const [login, hosts] = second === undefined ? [undefined, first] : [first, second];
  return { scheme, login, hosts, database, query };
}

/** What is before the first `mark`, and what is after it; undefined if there is none. */
export function cut(text: string, mark: string): [before: string, after?: string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}

/**
 * Whether a part of a password may be taken for a host or a database, which appear in messages. Releases of the driver
 * before 7 accept two `@`.
 */
export function isMaybeUnescaped({ hosts, database }: Parts): boolean {
  return hosts.includes("@") || database.includes("@");
}
