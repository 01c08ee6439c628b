/** Opens the store, the namespace or the presence that a command works on. */
import { existsSync } from "node:fs";
import type { Config } from "../core/records.ts";
import type { Namespace, Store } from "../core/store.ts";
import { systemClock } from "../lib/system-clock.ts";
import { onAbort } from "../lib/abort.ts";
import { checkOptions } from "../presence/options.ts";
import { Presence } from "../presence/presence.ts";
import { checkSqlite, openStore, sqliteDirectory } from "../stores/target.ts";
import { within } from "../lib/timers.ts";
import type { Settings } from "./settings.ts";

/** How long the first answer of a store may take, in ms. */
const ANSWER_LIMIT_MS = 5000;

/**
 * Calls `use` with the namespace, closes it, and returns the result. Undefined if there is no store yet, since reading
 * must not create one. Rejects if it could not be opened anyway, for want of SQLite.
 */
export async function withNamespace<T>(
  settings: Settings,
  signal: AbortSignal,
  use: (namespace: Namespace, store: Store) => Promise<T>,
): Promise<T | undefined> {
  const { store: target, name, periodMs } = settings;
  const options = checkOptions({ name, signal, ...(periodMs === undefined ? {} : { periodMs }) }, undefined);
  const directory = sqliteDirectory(target);
  if (directory !== undefined && !existsSync(directory)) {
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

/** The namespace's config, or undefined if nobody has opened it yet. Writes nothing. */
export function readConfig(settings: Settings, signal: AbortSignal): Promise<Config | undefined> {
  return withNamespace(settings, signal, (namespace) =>
    within(systemClock, ANSWER_LIMIT_MS, "config", namespace.config()),
  );
}

/** Opens the namespace, and sets it up if nobody has. Without a given period it uses the namespace's. */
export async function openPresence(settings: Settings, signal: AbortSignal): Promise<Presence> {
  const { store, name } = settings;
  const periodMs = settings.periodMs ?? (await readConfig(settings, signal))?.periodMs;
  return Presence.open(store, { name, signal, ...(periodMs === undefined ? {} : { periodMs }) });
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

/** Opens the namespace if it has been set up; otherwise undefined, since reading must not set it up. */
export async function openExisting(settings: Settings, signal: AbortSignal): Promise<Presence | undefined> {
  const config = await readConfig(settings, signal);
  if (config === undefined) return undefined;
  const { store, name, periodMs = config.periodMs } = settings;
  return Presence.open(store, { name, periodMs, signal });
}
