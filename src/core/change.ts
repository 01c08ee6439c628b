/** What a program sees of a change of liveness. */
// oxlint-disable eslint/no-restricted-globals -- a Date only holds a given time here
import { decodeMeta } from "./checks.ts";
import { madeOnce } from "./made-once.ts";
import { type HolderState, MANY_HOLDERS } from "./holders.ts";
import type { Transition } from "./roster.ts";
import type { Subscription } from "./subscriptions.ts";

/** A holder of a key: one start of a pinger. */
export interface Holder<Meta = unknown> {
  /** The holder's session number, never reused in the namespace. */
  readonly session: number;
  /** The name of its machine. */
  readonly host: string;
  /** The id of its process on that machine. */
  readonly pid: number;
  /** Since when it holds the key, by the store's clock. */
  readonly since: Date;
  /** The meta that it was started or updated with; null if none was given. */
  readonly meta: Meta | null;
}

/** A change of liveness of one key. */
export interface Change<Meta = unknown> {
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
   * - `stopped`: dead, because its last holder stopped and its last ping no longer counts
   * - `killed`: dead, because its last holder was killed, or closed its presence
   * - `expired`: dead, because its last holder no longer pings
   */
  readonly cause: "initial" | Transition;
  /**
   * The live holders, oldest first; empty if dead. Each receiver has its own array and objects. For keys with very many
   * holders, an unchanged holder is the same object as in the receiver's previous change.
   */
  readonly holders: Holder<Meta>[];
}

/** @internal */
export function toHolder({ session, host, pid, since, meta }: HolderState): Holder {
  return { session, host, pid, since: new Date(since), meta: decodeMeta(meta) };
}

/**
 * @internal The changes of one subscriber. If there are many holders, the unchanged ones are the same objects as
 * before, so a join makes one object.
 */
export function changesOf(subscription: Subscription): { take(): Change | undefined } {
  const toSameHolder = madeOnce(toHolder);
  return {
    take() {
      const report = subscription.take();
      if (report === undefined) return undefined;
      const { key, cause, now, atMs } = report;
      const holders = now.map(now.length < MANY_HOLDERS ? toHolder : toSameHolder);
      return { key, alive: now.length > 0, at: new Date(atMs), cause, holders };
    },
  };
}
