/** What is stored, and how. */

/** Part of the inner directory's name, so that versions with different formats never share a file. */
export const SQLITE_FORMAT = 2;

/** Marks a file as heartbit's: "hbt1". */
export const APPLICATION_ID = 0x68627431;

/** Stands for the pinger and the start in a session's own record, which therefore sorts before its registrations. */
export const SESSION_PINGER = -1;
export const SESSION_START = 0;

/**
 * Sessions and registrations are records of one table. `change` counts the changes of the namespace, one for each
 * transaction, so the changes since a reader's latest read are a range of one index. The columns are not STRICT, since
 * times may have fractions.
 */
export const SCHEMA = `
PRAGMA application_id = ${APPLICATION_ID};
CREATE TABLE namespaces (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: what is left of a dropped namespace is no other's
  life TEXT NOT NULL DEFAULT (hex(randomblob(8))), -- differs after a namespace was set up again
  name TEXT NOT NULL UNIQUE,
  config TEXT,
  seq INTEGER NOT NULL DEFAULT 0, -- the latest session number
  change INTEGER NOT NULL DEFAULT 0 -- the number of the latest change
);
CREATE TABLE records (
  ns INTEGER NOT NULL, session INTEGER NOT NULL, pinger INTEGER NOT NULL, start INTEGER NOT NULL,
  key TEXT, meta TEXT, revision INTEGER, -- of a registration
  host TEXT, pid INTEGER, -- of a session
  since INTEGER NOT NULL, slot INTEGER NOT NULL, last INTEGER,
  changed INTEGER NOT NULL, change INTEGER NOT NULL,
  PRIMARY KEY (ns, session, pinger, start)
) WITHOUT ROWID;
CREATE INDEX record_keys ON records (ns, key) WHERE key IS NOT NULL;
CREATE INDEX record_changes ON records (ns, change);
CREATE INDEX record_open ON records (ns, session) WHERE last IS NULL;
CREATE TABLE pings (
  ns INTEGER NOT NULL, slot INTEGER NOT NULL, seq INTEGER NOT NULL,
  ms INTEGER NOT NULL, -- the stamp of the latest ping; 0: only mail was left
  mail INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (ns, slot, seq)
) WITHOUT ROWID;
`;

/**
 * Some packages truncate a text at its first NUL, so NULs are escaped. Prefixes stay prefixes, and the order does not
 * change.
 */
export function escaped(text: string): string {
  if (!text.includes("\0") && !text.includes("\x01")) return text;
  return text.replaceAll("\x01", "\x01b").replaceAll("\0", "\x01a");
}

/** The inverse of `escaped`. */
export function unescaped(text: string): string {
  return text.includes("\x01") ? text.replaceAll("\x01a", "\0").replaceAll("\x01b", "\x01") : text;
}

/** The namespace's own row. */
export interface Head {
  readonly id: number;
  readonly life: string;
  readonly config: string | null;
  readonly seq: number;
  readonly change: number;
}
