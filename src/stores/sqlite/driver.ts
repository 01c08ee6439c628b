/**
 * The package with SQLite: Node's own if it is new enough, otherwise `@photostructure/sqlite`, which has the same API
 * and includes its binaries.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HeartbitError } from "../../core/errors.ts";
import { shared } from "../../lib/shared.ts";

/** A prepared statement of a connection. */
export interface Statement {
  run(...values: unknown[]): { changes: number | bigint };
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}

/** A connection to one SQLite file: the used part of `DatabaseSync` of `node:sqlite`. */
export interface Connection {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

type Connect = new (path: string, options: { timeout: number }) => Connection;

/**
 * Makes a `require`. Not imported, because webpack would put a function of its own in its place, which finds nothing;
 * and not by its own name, because bundles of ES modules often begin with a `createRequire` of theirs.
 */
const { createRequire: requireFrom } = process.getBuiltinModule("node:module");

/** Loads a module by its name, as `require` does. */
export type Load = (name: string) => unknown;

const BUILT_IN = "node:sqlite";
const PACKAGE = "@photostructure/sqlite";
const INSTALL = `run \`npm install ${PACKAGE}@1\`, or use a Node whose own SQLite is 3.51.3 or later (Node 22.23, 24)`;

/**
 * Opens connections. They never wait for a lock themselves. All copies of heartbit in this process share one SQLite:
 * POSIX locks belong to a process, so two copies of SQLite that open the same file would release each other's locks.
 *
 * Throws `UNSUPPORTED_SERVER` if no package has a SQLite that is safe to use, and says what to do about it.
 */
export function loadDriver(): (path: string) => Connection {
  const Shared = shared("sqlite", () => findDriver(requireFrom(moduleUrl())));
  return (path) => new Shared(path, { timeout: 0 });
}

/** Where packages are looked up from. A module in a CommonJS bundle has no URL, so there it is the program's folder. */
function moduleUrl(): string {
  const { url } = import.meta as { url?: string };
  return url ?? pathToFileURL(join(process.cwd(), "bundle.js")).href;
}

/** The first package with a safe SQLite. Throws `UNSUPPORTED_SERVER` if there is none. */
export function findDriver(load: Load): Connect {
  const builtIn = tryLoad(() => withoutExperimentalWarning(() => load(BUILT_IN)));
  if (builtIn.version !== undefined && isSafe(builtIn.version)) return builtIn.connect;
  const installed = tryLoad(() => load(PACKAGE));
  if (installed.version !== undefined && isSafe(installed.version)) return installed.connect;

  if (installed.version !== undefined)
    throw unsupported(`${PACKAGE} has SQLite ${installed.version}, ${UNSAFE}: ${INSTALL}`);
  if (!isMissing(installed.cause))
    throw unsupported(
      `${PACKAGE} is installed but does not load: ${sentence(installed.cause)}`,
      installed.cause,
    );
  if (builtIn.version !== undefined)
    throw unsupported(`this Node has SQLite ${builtIn.version}, ${UNSAFE}: ${INSTALL}`);
  throw unsupported(`this Node has no SQLite of its own and ${PACKAGE} is not installed: ${INSTALL}`);
}

type Tried =
  | { readonly connect: Connect; readonly version: string }
  | { readonly version?: undefined; readonly cause: unknown };

function tryLoad(load: () => unknown): Tried {
  try {
    const { DatabaseSync } = load() as { DatabaseSync: Connect };
    const connection = new DatabaseSync(":memory:", { timeout: 0 });
    try {
      const row = connection.prepare("SELECT sqlite_version() AS version").get() as { version: string };
      return { connect: DatabaseSync, version: row.version };
    } finally {
      connection.close();
    }
  } catch (cause) {
    return { cause };
  }
}

const UNSAFE = "which may damage a file that several processes write";

/**
 * SQLite 3.7.0 to 3.51.2 may damage a WAL that several processes write and checkpoint
 * (https://sqlite.org/wal.html#walresetbug); 3.44.6 and 3.50.7 have the fix, too.
 */
export function isSafe(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major !== 3) return major > 3;
  return (
    minor > 51 || (minor === 51 && patch >= 3) || (minor === 50 && patch >= 7) || (minor === 44 && patch >= 6)
  );
}

/** Whether the package itself is missing, not one of its parts. */
function isMissing(cause: unknown): boolean {
  const { code, message } = cause as NodeJS.ErrnoException;
  // Bun and Deno word this differently; only Node adds the list of requiring modules.
  const [first = ""] = message.split("\n");
  return /MODULE_NOT_FOUND/.test(code ?? "") && new RegExp(`['"]${PACKAGE}['"]`).test(first);
}

function unsupported(why: string, cause?: unknown): HeartbitError {
  return new HeartbitError("UNSUPPORTED_SERVER", `The SQLite store cannot be used here: ${why}.`, { cause });
}

function sentence(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return (message.split("\n")[0] ?? "").replace(/\.$/, "");
}

/** Suppresses Node's warning that SQLite is experimental: a library should not print to the program's output. */
function withoutExperimentalWarning<T>(act: () => T): T {
  const warn = process.emitWarning.bind(process) as (...values: unknown[]) => void;
  // oxlint-disable-next-line typescript/unbound-method -- only to be put back as it was
  const before = process.emitWarning;
  process.emitWarning = (...values: unknown[]): void => {
    if (!(/SQLite/i.test(String(values[0])) && values.includes("ExperimentalWarning"))) warn(...values);
  };
  try {
    return act();
  } finally {
    process.emitWarning = before;
  }
}
