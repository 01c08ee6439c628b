/**
 * The port that a store fills: where sessions, registrations and pings live. `heartbit/testing` has the suite that every
 * store must pass.
 *
 * Rules for all members:
 * - Operating errors reject with a `HeartbitError`: `STORE_UNAVAILABLE` for what may heal by itself, `NOT_PERMITTED`
 *   for a missing right or wrong credentials, `UNSUPPORTED_SERVER` for what this server can never do.
 * - Every write is idempotent: it may be given up by the caller and repeated, and it may still happen after the
 *   caller gave it up, minutes later, without harm.
 * - A write that has resolved is seen by every read begun after it, in whichever process.
 * - Nothing given to the store is kept or changed by it, nothing it returns is touched by it afterwards.
 */
import type { PingRecord } from "./bits.ts";
import type { Clock } from "./clock.ts";
import type { RegistrationId, RegistrationRecord, Config, SessionRecord } from "./records.ts";
import type { Selection } from "./selection.ts";
import type { Slot } from "./slots.ts";

/** @internal The version of the stored format that this library reads and writes. */
export const FORMAT_VERSION = 1;

/** A store: what `Presence.open` takes, and what authors of stores write. */
export interface Store {
  /** For messages and `doctor`: "memory", "sqlite", "mongodb". */
  readonly kind: string;
  /** The clock that presences of this store use when they are given none. */
  readonly clock?: Clock;
  /** Where the store tells what a person may want to look into: set by whoever opens it. */
  warn?: (message: string) => void;
  /** A namespace, without any I/O. */
  namespace(name: string, scale: { readonly periodMs: number; readonly retentionSlots: number }): Namespace;
  /** Lets go of what the store itself opened. Idempotent. */
  close(): Promise<void>;
}

/** One change of what is stored; the store applies it by the law of `records.ts`. */
export type Write =
  /** Creates the session, or raises its `slot`. */
  | { readonly kind: "session"; readonly session: SessionRecord }
  /**
   * Raises the `slot` of a session: a mere proof of life, which renews no stamp and is told to nobody. A session that is
   * not there is left so.
   */
  | { readonly kind: "raiseSession"; readonly session: number; readonly slot: Slot }
  /** Sets the `last` of a session, where it is earlier. A session that is not there is left so. */
  | { readonly kind: "endSession"; readonly session: number; readonly last: Slot }
  /** Creates the registration, or raises its `slot` and, by its revision, its `meta`; and ends it where it comes with a `last`. */
  | { readonly kind: "registration"; readonly registration: RegistrationRecord }
  /** Gives a registration a newer meta, by its revision. A registration that is not there is left so. */
  | {
      readonly kind: "meta";
      readonly registration: RegistrationId;
      readonly meta: string;
      readonly revision: number;
    }
  /** Sets the `last` of a registration, where it is earlier. A registration that is not there is left so. */
  | { readonly kind: "end"; readonly registration: RegistrationId; readonly last: Slot };

/** Where a reader is in the stream of changes. Opaque: each store has its own kind. */
export type Cursor = { readonly store: unknown };

/** Some of what a read found. The session of each registration is in the same page or in an earlier one. */
export interface Page {
  /** In any order. */
  readonly sessions: readonly SessionRecord[];
  /** In any order. */
  readonly registrations: readonly RegistrationRecord[];
  /** On the last page, and only there: read with it for what has changed since this read began. */
  readonly cursor?: Cursor;
}

/** What a read is to find. */
export interface ReadQuery {
  /** The registrations of these keys. */
  readonly select: Selection;
  /** Also the registrations of this session: what the asking presence holds itself. */
  readonly session?: number | undefined;
  /** And the record of that session, changed or not. */
  readonly withRecord?: boolean;
  /** And the record of this registration, changed or not; perhaps twice. */
  readonly registration?: RegistrationId | undefined;
  /**
   * Only what may have changed since the read that gave this cursor; it may give more, never less. Sessions too, where
   * anything is selected: all that changed, whether or not a selected registration is theirs. Absent: everything selected.
   */
  readonly since?: Cursor | undefined;
}

/** What is old enough to be pruned. */
export interface PruneQuery {
  /**
   * What is dead since before this slot goes: the retention before a slot in which all who live have been heard, or earlier.
   */
  readonly beforeSlot: Slot;
  /** The store's time, in ms, at the start of that slot: nothing stamped `changed` after it goes. */
  readonly beforeMs: number;
  /** At most about so many of each kind; call again while something was deleted. */
  readonly limit: number;
}

/** How many were deleted. */
export interface Pruned {
  /** Open presences that have ended. */
  readonly sessions: number;
  /** Keys held, and held no more. */
  readonly registrations: number;
  /** Slots whose pings were deleted. */
  readonly slots: number;
}

/** What is stored of one namespace, and what may be done with it. */
export interface Namespace {
  /** The config, or undefined when nobody has opened the namespace yet. Writes nothing. */
  config(): Promise<Config | undefined>;
  /**
   * Sets up what the store needs (collections, indexes) and the config if there is none; where there is one, raises its
   * retention as `mergeConfigs` says. Gives the config that holds, which may be another than the wanted one.
   */
  configure(wanted: Config): Promise<Config>;
  /** Sets `offset` from `from` to `to` if it still is `from`. Gives the offset that holds afterwards. */
  raiseOffset(from: number, to: number): Promise<number>;
  /** The store's time now, in ms. */
  time(): Promise<number>;
  /**
   * The next count of sessions, from 1: greater than every earlier one since the namespace was set up, never given twice.
   * The number of a session is `Config.base` and this.
   */
  nextSeq(): Promise<number>;
  /** Applies the writes in their order. When it rejects, any part of them may have happened, and still may. */
  write(writes: readonly Write[]): Promise<void>;
  /** Sets the bits of the sessions in the slot. */
  ping(slot: Slot, seqs: readonly number[]): Promise<void>;
  /** Sets `last: 0` on every registration of the key that has not got it. */
  kill(key: string): Promise<void>;
  /** All ping records of the slots from `from` on, those ahead of the present included. */
  pings(from: Slot): Promise<PingRecord[]>;
  /** Reads sessions and registrations, page by page. Ending the iteration early frees what the read holds. */
  read(query: ReadQuery): AsyncIterable<Page>;
  /**
   * Deletes what is dead for longer than the retention, each record on the condition that it still is old, so that
   * nothing written again meanwhile is hit:
   * - pings of slots before `beforeSlot`;
   * - sessions whose `slot` is before it and whose `last` is absent or before it, unless a registration of theirs remains.
   *   (A living process raises the `slot` of its session well within the retention.)
   * - registrations whose `slot` is before it and whose `last` is before it; and those without a `last` whose session is such
   *   a session.
   * - nothing that was `changed` after `beforeMs`.
   * Raises the config's `prunedBefore`, where there is a config.
   */
  prune(query: PruneQuery): Promise<Pruned>;
  /** Removes all data of the namespace. */
  drop(): Promise<void>;
  /**
   * Optional: tells changes as they happen. Only a hint: it may fall silent, tell late, twice, or out of order.
   * `select` narrows what is told of registrations; more may be told. Sessions are all told.
   */
  feed?(select: Selection, sink: FeedSink): Feed;
  /** Optional: tells what the store notices by itself. The result ends it. */
  notices?(listener: (notice: StoreNotice) => void): () => void;
  /**
   * Optional: looks at what only this kind of store has, for `doctor`, and changes nothing. What is older than
   * `beforeSlot` should have been pruned long ago. What may not be looked at is a finding, and no rejection.
   */
  examine?(beforeSlot: Slot): Promise<Finding[]>;
  /** Lets go of what the namespace holds (feeds, cursors). Idempotent. */
  close(): Promise<void>;
}

/** Something that was looked at, and how it is. */
export interface Finding {
  /** What was looked at: "indexes". */
  readonly check: string;
  /** `error`: heartbit cannot do its work; `warning`: it does, but worse than it could. */
  readonly level: "ok" | "warning" | "error";
  /** How it is: one sentence. */
  readonly found: string;
  /** What to do: one sentence, where something should be done. */
  readonly advice?: string;
}

/** Where a feed puts what it hears. Its members never throw and never block. */
export interface FeedSink {
  /** What has changed. Such a page has no cursor. */
  page(page: Page): void;
  /** The feed has ended by itself and tells nothing more; changes may have been missed. Called at most once. */
  lost(error: unknown): void;
}

/** A feed of changes that is open. */
export interface Feed {
  /**
   * Resolves when every change from now on will be told. Rejects with `UNSUPPORTED_SERVER` where this server has no
   * feed, with `NOT_PERMITTED` where this user may not have it; else as an operating error.
   */
  readonly ready: Promise<void>;
  /** Ends it: nothing more is told, not even that it is lost. Idempotent. */
  close(): Promise<void>;
}

/** What a store notices by itself. */
export type StoreNotice =
  /** The connection or the primary was lost: reads may be late, and writes may have been lost with it. */
  | { readonly kind: "lost"; readonly reason: string }
  /** There is a primary again, perhaps another one. */
  | { readonly kind: "found" }
  /** The store's time, in ms, as it was at most a moment ago: says that its clock has stepped, not by how much. */
  | { readonly kind: "time"; readonly ms: number };
