/**
 * The namespace that a command works on: from its flags, the environment, `heartbit.config.json`, or the defaults.
 */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { toError } from "../core/errors.ts";
import { isMaybeUnescaped, partsOf } from "../lib/connection-string.ts";
import { DEFAULT_DATABASE } from "../lib/default-database.ts";
import { checkOptions } from "../presence/options.ts";
import { faultOf } from "../stores/target.ts";
import { CONFIG_FILE, type FileSettings, readConfigFile } from "./config-file.ts";
import { formatDuration, parseDuration } from "./duration.ts";
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
  /** What the user wrote it in: `--period`. */
  readonly periodFrom?: string;
}

export function settingsFrom(
  flags: CommonFlags,
  env: NodeJS.ProcessEnv = process.env,
  file: FileSettings = readConfigFile(),
): Settings {
  const said = (name: keyof FileSettings): Said | undefined => {
    const variable = `HEARTBIT_${name.toUpperCase()}`;
    if (flags[name] !== undefined) return { value: flags[name], from: `--${name}` };
    if (env[variable] !== undefined && env[variable] !== "") return { value: env[variable], from: variable };
    return file[name] === undefined ? undefined : { value: file[name], from: `"${name}" in ${CONFIG_FILE}` };
  };
  const [store, name, period] = [said("store"), said("name"), said("period")];
  return {
    ...(store === undefined
      ? { store: `sqlite:${dataDirectory(env)}`, isDefaultStore: true }
      : { store: checkStore(store) }),
    name: name === undefined ? "presence" : checkName(name),
    periodMs: period === undefined ? undefined : checkPeriod(period),
    ...(period === undefined ? {} : { periodFrom: period.from }),
  };
}

/** A setting, and what it is called where the user wrote it. */
interface Said {
  readonly value: string | number;
  readonly from: string;
}

/** Throws `UsageError` if a flag is wrong. */
export function checkFlags({ store, name, period }: CommonFlags): void {
  if (store !== undefined) checkStore({ value: store, from: "--store" });
  if (name !== undefined) checkName({ value: name, from: "--name" });
  if (period !== undefined) checkPeriod({ value: period, from: "--period" });
}

function checkStore({ value, from }: Said): string {
  const fault = faultOf(String(value));
  if (fault === undefined) return String(value);
  const { what, hint = "" } = fault;
  throw new UsageError(
    `${from} ${what}, but must be mongodb://…, mongodb+srv://… or sqlite:<directory>. ${hint}`.trimEnd(),
  );
}

/** The library's check of an option, under the name that the user knows. */
function checkName({ value, from }: Said): string {
  try {
    return checkOptions({ name: String(value) }, undefined).name;
  } catch (error) {
    throw new UsageError(toError(error).message.replace("The option name", from), { cause: error });
  }
}

const PERIOD_MS_MIN = 100;
const PERIOD_MS_MAX = 3_600_000;

function checkPeriod({ value, from }: Said): number {
  const ms = typeof value === "number" ? value : parseDuration(value);
  if (ms === undefined) {
    throw new UsageError(`${from} is ${JSON.stringify(value)}, but must be a time like 5s or 500ms.`);
  }
  if (Number.isInteger(ms) && ms >= PERIOD_MS_MIN && ms <= PERIOD_MS_MAX) return ms;
  const said = ms < 1000 ? `${ms} ms` : formatDuration(ms);
  throw new UsageError(`${from} is ${said}, but must be from 100 ms to 1 h. A number alone is in ms.`);
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

/** The namespace and its store. */
export function describeNamespace({ store, name }: Settings): string {
  return `the namespace "${printable(name)}" (${describeStore(store)})`;
}

/** Where a command looked, for a message that it found nothing. */
export function describePlace(settings: Settings): string {
  return `in ${describeNamespace(settings)}`;
}

/** Says that there is no such namespace: nothing else shows that it was mistyped. `then`: what follows from that. */
export function describeUnused(settings: Settings, then: string): string {
  return `Nobody has used ${describeNamespace(settings)} yet${then}.${adviseOnPlace(settings)}`;
}

/** A sentence on how to look elsewhere, if the user did not say where to look; else nothing. */
export function adviseOnPlace({ isDefaultStore }: Settings): string {
  return isDefaultStore === true ? " Set --store or HEARTBIT_STORE to look elsewhere." : "";
}

/** The store as it appears in a message: never with a user, a password or options. */
export function describeStore(store: string): string {
  if (store.startsWith("sqlite:")) return `SQLite in ${printable(store.slice(7))}`;
  if (store.startsWith("memory:")) return `${printable(store)}, which no other process sees`;
  const parts = partsOf(store);
  // What is before an unescaped "@" may be a part of a password.
  if (parts.hosts === "" || isMaybeUnescaped(parts) || parts.query.includes("@")) return "MongoDB";
  // A mistyped database is as empty as a new one, so the message must name it, also if it is the default one.
  return `MongoDB at ${printable(`${parts.hosts}/${decoded(parts.database) || DEFAULT_DATABASE}`)}`;
}

/** What is percent-encoded in a connection string; unchanged if it is encoded wrongly, which the driver refuses. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
