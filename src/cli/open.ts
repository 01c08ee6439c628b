/** Opens the store, the namespace or the presence that a command works on. */
import { statSync } from "node:fs";
import { GivenUp, isHeartbitError } from "../core/errors.ts";
import { type Config, FORMAT_VERSION } from "../core/records.ts";
import type { Namespace, Store } from "../core/store.ts";
import { systemClock } from "../lib/system-clock.ts";
import { onAbort, unlessAborted } from "../lib/abort.ts";
import { checkOptions } from "../presence/options.ts";
import { Presence } from "../presence/presence.ts";
import { checkSqlite, openStore, sqliteDirectory } from "../stores/target.ts";
import { Sleeper, within } from "../lib/timers.ts";
import { formatDuration } from "./duration.ts";
import { CommandError } from "./errors.ts";
import type { Settings } from "./settings.ts";

/** How long the first answer of a store may take, in ms. */
const ANSWER_LIMIT_MS = 5000;
/** How often a namespace is looked for that is not there yet, in ms. */
const LOOK_AGAIN_MS = 500;

/**
 * Calls `use` with the namespace, closes it, and returns the result. Undefined if there is no store yet, since reading
 * must not create one. Rejects if there is no SQLite to open it with.
 */
export async function withNamespace<T>(
  settings: Settings,
  signal: AbortSignal,
  use: (namespace: Namespace, store: Store) => Promise<T>,
): Promise<T | undefined> {
  const { store: target, name, periodMs } = settings;
  const options = checkOptions({ name, signal, ...(periodMs === undefined ? {} : { periodMs }) }, undefined);
  const directory = sqliteDirectory(target);
  if (directory !== undefined && isMissing(directory)) {
    // Opening the directory would create it. A store that nobody can open here is an error all the same.
    await checkSqlite();
    return undefined;
  }
  const { store } = await openStore(target, options);
  const namespace = store.namespace(name, options);
  try {
    return await use(namespace, store);
  } finally {
    await namespace.close();
    await store.close();
  }
}

/** Whether it is not there, and not only out of sight: a directory that may not be read may have a store. */
function isMissing(directory: string): boolean {
  try {
    statSync(directory);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

/** The namespace's config, or undefined if nobody has opened it yet. Writes nothing. */
export function readConfig(settings: Settings, signal: AbortSignal): Promise<Config | undefined> {
  return withNamespace(settings, signal, readConfigOf);
}

function readConfigOf(namespace: Namespace): Promise<Config | undefined> {
  return within(systemClock, ANSWER_LIMIT_MS, "config", namespace.config());
}

/**
 * Opens the namespace, and sets it up if nobody has; calls `isNew` then. Without a given period it uses the
 * namespace's.
 */
export async function openPresence(
  settings: Settings,
  signal: AbortSignal,
  isNew?: () => void,
): Promise<Presence> {
  const config = await readConfig(settings, signal);
  const presence = await openWith(config, settings, signal);
  if (config === undefined) isNew?.();
  return presence;
}

/** Opens the namespace if it has been set up; otherwise undefined, since looking must not set it up. */
export async function openExisting(settings: Settings, signal: AbortSignal): Promise<Presence | undefined> {
  const config = await readConfig(settings, signal);
  return config === undefined ? undefined : openWith(config, settings, signal);
}

/**
 * Opens the namespace when another process has set it up, since this one does not know its period. Undefined if `until`
 * is aborted before.
 */
export async function openOnceThere(
  settings: Settings,
  signal: AbortSignal,
  until: AbortSignal,
): Promise<Presence | undefined> {
  const sleeper = new Sleeper(systemClock);
  const stopListening = onAbort(until, () => sleeper.end());
  /** A store that goes away meanwhile is waited for, too. */
  const look = async (namespace: Namespace): Promise<Config | undefined> => {
    for (;;) {
      const config = await unlessAborted(readConfigOf(namespace), until, timeIsUp).catch(ifRetryable);
      if (config !== undefined || sleeper.ended) return config;
      await sleeper.sleep(LOOK_AGAIN_MS);
    }
  };
  try {
    while (!sleeper.ended) {
      const config = await withNamespace(settings, signal, look).catch(ifRetryable);
      if (config !== undefined) return await openWith(config, settings, signal);
      await sleeper.sleep(LOOK_AGAIN_MS); // the directory of the store is not there yet, or it went away
    }
    return undefined;
  } finally {
    stopListening();
  }
}

/** The error of what an abort has cut short. */
export function timeIsUp(): GivenUp {
  return new GivenUp("The time is up.");
}

/** For a `catch`: undefined if it may succeed later. */
export function ifRetryable(error: unknown): undefined {
  if (!isHeartbitError(error) || !error.retryable) throw error;
}

function openWith(config: Config | undefined, settings: Settings, signal: AbortSignal): Promise<Presence> {
  const { store, name, periodMs, periodFrom = "the period" } = settings;
  if (config?.version === FORMAT_VERSION && periodMs !== undefined && periodMs !== config.periodMs) {
    throw new CommandError(
      `The namespace "${name}" has a period of ${formatDuration(config.periodMs)}, not ${formatDuration(periodMs)}: leave ${periodFrom} out, or choose another --name.`,
    );
  }
  const period = periodMs ?? config?.periodMs;
  return Presence.open(store, { name, signal, ...(period === undefined ? {} : { periodMs: period }) });
}

/**
 * Calls `open` with a signal. An interruption aborts the opening, but does not close what is open by then: for commands
 * that must clean up first.
 */
export async function whileOpening<T>(
  interrupted: AbortSignal,
  open: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const opening = new AbortController();
  const stopListening = onAbort(interrupted, () => opening.abort());
  try {
    return await open(opening.signal);
  } finally {
    stopListening();
  }
}
