/**
 * The namespace that a command works on: from its flags, the environment, `heartbit.config.json`, or the defaults.
 */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { type FileSettings, readConfigFile } from "./config-file.ts";
import { DEFAULT_DATABASE } from "../lib/default-database.ts";
import { parseDuration } from "./duration.ts";
import { UsageError } from "./errors.ts";
import { printable } from "./text.ts";

/** The options of every command, as commander parses them. */
export interface CommonFlags {
  readonly store?: string;
  readonly name?: string;
  /** In ms. */
  readonly period?: number;
  readonly json?: boolean;
}

export interface Settings {
  /** `mongodb://…` or `sqlite:<directory>`. */
  readonly store: string;
  /** Nobody has said which store. */
  readonly isDefaultStore?: true;
  readonly name: string;
  /** In ms; undefined: the namespace's own. */
  readonly periodMs: number | undefined;
}

export function settingsFrom(
  flags: CommonFlags,
  env: NodeJS.ProcessEnv = process.env,
  file: FileSettings = readConfigFile(),
): Settings {
  const said = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const period = said("HEARTBIT_PERIOD");
  const store = flags.store ?? said("HEARTBIT_STORE") ?? file.store;
  return {
    store: store ?? `sqlite:${dataDirectory(env)}`,
    ...(store === undefined ? { isDefaultStore: true } : {}),
    name: flags.name ?? said("HEARTBIT_NAME") ?? file.name ?? "presence",
    periodMs: flags.period ?? (period === undefined ? file.period : periodFrom(period)),
  };
}

function periodFrom(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new UsageError(`HEARTBIT_PERIOD is ${JSON.stringify(text)}, but must be a time like 5s or 500ms.`);
}

/** The directory for data of this user's programs. */
export function dataDirectory(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home: () => string = homeDirectory,
): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = env;
  if (XDG_DATA_HOME !== undefined && isAbsolute(XDG_DATA_HOME)) return join(XDG_DATA_HOME, "heartbit");
  if (platform === "darwin") return join(home(), "Library", "Application Support", "heartbit");
  if (platform === "win32") return join(LOCALAPPDATA ?? join(home(), "AppData", "Local"), "heartbit");
  return join(home(), ".local", "share", "heartbit");
}

/** A user without a name has none, such as in a container that runs under a number, nor if HOME is empty. */
function homeDirectory(): string {
  let home = "";
  try {
    home = homedir(); // what HOME says, which may be nothing
  } catch {
    // the user has no name
  }
  if (isAbsolute(home)) return home;
  throw new UsageError(
    "There is no home directory to keep a store in: set --store, HEARTBIT_STORE or XDG_DATA_HOME.",
  );
}

/** Where a command looked, for a message that it found nothing. */
export function describePlace({ store, name }: Settings): string {
  return `in the namespace "${printable(name)}" (${describeStore(store)})`;
}

/** A sentence on how to look elsewhere, if the user did not say where to look; else nothing. */
export function adviseOnPlace({ isDefaultStore }: Settings): string {
  return isDefaultStore === true ? " Set --store or HEARTBIT_STORE to look elsewhere." : "";
}

/** The login, the hosts, the database and the options of a connection string. */
const MONGODB = /^mongodb(?:\+srv)?:\/\/(?:[^@/?]*@)?([^@/?]+)(?:\/([^@/?]*))?(?:\?[^@]*)?$/;

/** The store as it appears in a message: never with a user, a password or options. */
export function describeStore(store: string): string {
  const [, hosts, database = ""] = MONGODB.exec(store) ?? [];
  // A mistyped database is as empty as a new one, so the message must name it, also if it is the default one.
  if (hosts !== undefined)
    return `MongoDB at ${printable(`${hosts}/${decoded(database) || DEFAULT_DATABASE}`)}`;
  if (store.startsWith("sqlite:")) return `SQLite in ${printable(store.slice(7))}`;
  return store.startsWith("memory:") ? printable(store) : "MongoDB";
}

/** What is percent-encoded in a connection string; unchanged if it is encoded wrongly, which the driver refuses. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
