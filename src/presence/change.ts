import { type HolderState, sameHolders, type Transition } from "../core/roster.ts";

/** A holder of a key: one start of a pinger. */
export interface Holder {
  /** The holder's session number, never reused in the namespace. */
  readonly session: number;
  /** The name of its machine. */
  readonly host: string;
  /** The id of its process on that machine. */
  readonly pid: number;
  /** Since when it holds the key, by the store's clock. */
  readonly since: Date;
  /** The meta that it was started or updated with; null if none was given. */
  readonly meta: unknown;
}

/** A change of liveness of one key. */
export interface Change {
  /** The key whose state changed. */
  readonly key: string;
  /** Whether the key is alive now. */
  readonly alive: boolean;
  /** When this watcher learned of it, by the store's clock. */
  readonly at: Date;
  /**
   * - `initial`: the state at the time of `watch`
   * - `joined`: it was dead or unknown, and is alive
   * - `updated`: it is alive as before; its holders or their metas have changed
   * - `stopped`: dead, because its last holder stopped and its last ping has run out
   * - `killed`: dead, because its last holder was killed, or closed its presence
   * - `expired`: dead, because its last holder no longer pings
   */
  readonly cause: "initial" | Transition;
  /**
   * The live holders, oldest first; empty if dead. Each receiver has its own array and objects. For keys with very many
   * holders, an unchanged holder is the same object as in the receiver's previous change.
   */
  readonly holders: Holder[];
}

/** @internal */
export function toHolder({ session, host, pid, since, meta }: HolderState): Holder {
  return { session, host, pid, since: new Date(since), meta: decodeMeta(meta) };
}

/**
 * The value of a stored meta; null if it is not JSON. Any program may have written it, and listeners and lists must not
 * fail because of one holder.
 */
function decodeMeta(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** @internal A change on its way to one subscriber. */
export interface Pending {
  readonly key: string;
  /** The holders that the subscriber knows of; undefined: it knows nothing yet. */
  readonly known: readonly HolderState[] | undefined;
  readonly now: readonly HolderState[];
  readonly cause: "initial" | Transition;
  readonly atMs: number;
}

/** @internal Merges two changes on their way: the later one, with what the subscriber knew before the earlier one. */
export function collapse(earlier: Pending | undefined, later: Pending): Pending {
  return earlier === undefined ? later : { ...later, known: earlier.known };
}

/** @internal The change as it is reported; undefined if nothing has changed for the subscriber. */
export function toChange(
  { key, known, now, cause, atMs }: Pending,
  holdersOf: (now: readonly HolderState[]) => Holder[],
): Change | undefined {
  const alive = now.length > 0;
  if (known !== undefined && sameHolders(known, now)) return undefined;
  const wasAlive = known !== undefined && known.length > 0;
  const reported = known === undefined ? "initial" : alive ? (wasAlive ? "updated" : "joined") : cause;
  return { key, alive, at: new Date(atMs), cause: reported, holders: holdersOf(now) };
}
