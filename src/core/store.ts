/**
 * The port that a store fills: where sessions, registrations and pings live. Every store must pass the suite in
 * `heartbit/testing`.
 *
 * Rules for all members:
 * - Operating errors reject with a `HeartbitError`: `STORE_UNAVAILABLE` if the fault may pass by itself,
 *   `NOT_PERMITTED` for a missing right or wrong credentials, `UNSUPPORTED_SERVER` if this server can never do it.
 * - Every write is idempotent. The caller may give it up and repeat it, and it may still happen minutes after it was
 *   given up, without harm.
 * - After a write has resolved, every read that begins later sees it, in any process, unless a deposed primary answers
 *   the read. Readers recognize such a stale read: it lacks their own latest ping.
 * - The store neither keeps nor changes its arguments, and does not touch what it returned.
 */
import type { PingRecord } from "./bits.ts";
import type { Clock } from "./clock.ts";
import type { Config, RegistrationId, RegistrationRecord, SessionRecord } from "./records.ts";
import type { Selection } from "./selection.ts";
import type { Slot } from "./slots.ts";

/** A store: passed to `Presence.open`, and written by authors of stores. */
export interface Store {
  /** For messages and `doctor`: "memory", "sqlite", "mongodb". */
  readonly kind: string;
  /** The clock for presences of this store that are given none. */
  readonly clock?: Clock;
  /** Returns a namespace, without any I/O. */
  namespace(name: string, scale: NamespaceScale): Namespace;
  /** Closes what the store itself opened. Idempotent. */
  close(): Promise<void>;
}

/** What a store must know about a namespace, apart from its name. */
export interface NamespaceScale {
  /** The length of a slot, in ms. */
  readonly periodMs: number;
  /** How long dead records are kept, in slots. */
  readonly retentionSlots: number;
  /** Called with one sentence that an operator may want to look into, such as an unrecognized document. */
  readonly warn?: (message: string) => void;
}

/** One change of what is stored. The store applies it by the rules of `records.ts`. */
export type Write =
  /** Creates the session, or raises its `slot`. Raising it does not renew its stamp, so nobody is notified. */
  | { readonly kind: "session"; readonly session: SessionRecord }
  /**
   * Raises the `slot` of a session and renews its stamp, so that watchers learn at once that it is back. Does nothing
   * if the session is not stored or has that slot already.
   */
  | { readonly kind: "touch"; readonly session: number; readonly slot: Slot }
  /** Sets the `last` of a session if the stored one is later. Does nothing if the session is not stored. */
  | { readonly kind: "endSession"; readonly session: number; readonly last: Slot }
  /**
   * Creates the registration, or raises its `slot` and, by its revision, its `meta`; ends it if it comes with a `last`.
   * `isNew`: nobody has sent it before, so that it is very probably not stored yet. A store may ignore this.
   */
  | { readonly kind: "registration"; readonly registration: RegistrationRecord; readonly isNew?: boolean }
  /** Gives a registration a newer meta, by its revision. Does nothing if the registration is not stored. */
  | {
      readonly kind: "meta";
      readonly registration: RegistrationId;
      readonly meta: string;
      readonly revision: number;
    }
  /** Sets the `last` of a registration if the stored one is later. Does nothing if it is not stored. */
  | { readonly kind: "end"; readonly registration: RegistrationId; readonly last: Slot };

/** The answer to a ping. */
export interface Pong {
  /** The store's time in ms, stamped when the ping was applied, by the server that holds the pings. */
  readonly ms: number;
  /** The `revision` of the pings of its slot and segment as of this ping. A read with a smaller one is older. */
  readonly revision: number;
  /** Whether the session has mail in this slot: another process ended one of its records, or raised the offset. */
  readonly hasMail: boolean;
}

/** The position of a reader in the stream of changes. Opaque: each store has its own kind. */
export type Cursor = { readonly store: unknown };

/** Part of what a read found. The session of each registration is on the same page or an earlier one. */
export interface Page {
  /** In any order. */
  readonly sessions: readonly SessionRecord[];
  /** In any order. */
  readonly registrations: readonly RegistrationRecord[];
  /** On the last page at least: a read with it finds what has changed since this read began. */
  readonly cursor?: Cursor;
}

/** What a read should find. */
export interface ReadQuery {
  /** The registrations of these keys. */
  readonly select: Selection;
  /**
   * Only the selected registrations that may have changed since the read that returned this cursor, and all sessions
   * that may have. A store may return more, never less. Absent: everything selected, with its sessions.
   */
  readonly since?: Cursor | undefined;
  /** Also this session's record, changed or not. */
  readonly session?: number | undefined;
  /** Also the registrations of `session`, changed or not: all of them, or those with a `last`. */
  readonly registrations?: "all" | "ended" | undefined;
}

/** The open records of a session. */
export interface OpenRecords {
  /** How many records are open, the session itself included. */
  readonly count: number;
  /** `SessionRecord.opened`, which distinguishes it from another session with the same number. Absent if not open. */
  readonly opened?: number | undefined;
}

/** What is old enough to prune. */
export interface PruneQuery {
  /**
   * Records that died before this slot are deleted. It lies at least a retention before a slot in which everyone alive
   * was last heard from.
   */
  readonly beforeSlot: Slot;
  /** The store's time, in ms, at the start of that slot: nothing stamped `changed` after it is deleted. */
  readonly beforeMs: number;
  /** Deletes about this many records of each kind at most. Call again until nothing was deleted. */
  readonly limit: number;
}

/** How many records were deleted. */
export interface Pruned {
  /** Sessions: presences that ended. */
  readonly sessions: number;
  /** Registrations: keys that are no longer held. */
  readonly registrations: number;
  /** Slots whose pings were deleted. */
  readonly slots: number;
}

/** The data of one namespace, and the operations on it. */
export interface Namespace {
  /**
   * Returns the config, or undefined if nobody has opened the namespace yet. Writes nothing. Never stale, unlike other
   * reads: a stale one would look like a namespace that was dropped, or lack a raised offset.
   */
  config(): Promise<Config | undefined>;
  /**
   * Sets up what the store needs (collections, indexes), and the config if there is none. If there is one, raises its
   * retention as `mergeConfigs` says. Returns the resulting config, which may differ from the wanted one.
   */
  configure(wanted: Config): Promise<Config>;
  /** Sets `offset` to `to` if it still is `from`. Returns the offset afterwards. */
  raiseOffset(from: number, to: number): Promise<number>;
  /**
   * Returns the store's time now, in ms: by the clock that stamps pings if this user may write, otherwise by the clock
   * of the server that answers.
   */
  time(): Promise<number>;
  /**
   * Returns the next count of sessions, from 1: greater than every earlier one since the namespace was set up. The
   * number of a session is `Config.base` plus this.
   */
  nextSeq(): Promise<number>;
  /**
   * Applies the writes in their order. If it rejects, any part of them may have happened or may still happen. Once
   * `signal` is aborted, nothing further is sent.
   */
  write(writes: readonly Write[], signal?: AbortSignal): Promise<void>;
  /**
   * Sets the session's bit in the slot. Every acknowledged ping has changed what is stored, even a repeated one, so it
   * proves that the server can write.
   */
  ping(slot: Slot, seq: number): Promise<Pong>;
  /** Leaves mail for the sessions in the slot: their next ping in it answers with `hasMail`. */
  mail(slot: Slot, seqs: readonly number[]): Promise<void>;
  /**
   * Counts the open records of the session: the session itself if it has no `last`, and its registrations without one.
   * Also returns when the session was opened, if it is open. Cheap, however many keys the session holds.
   */
  countOpen(session: number): Promise<OpenRecords>;
  /** Sets `last: 0` on every registration of the key. */
  kill(key: string): Promise<void>;
  /** Returns all ping records from slot `from` on, including those of future slots. */
  pings(from: Slot): Promise<PingRecord[]>;
  /** Reads sessions and registrations, page by page. Ending the iteration early frees its resources. */
  read(query: ReadQuery): AsyncIterable<Page>;
  /**
   * Deletes records that have been dead for longer than the retention. Each delete repeats its condition, so that it
   * spares records that were written again meanwhile:
   * - pings of slots before `beforeSlot`;
   * - sessions whose `slot` is before it and whose `last` is absent or before it, unless a registration of theirs
   *   remains. (A living process raises the `slot` of its session well within the retention.)
   * - registrations whose `slot` and `last` are before it; and those without a `last` whose session is not stored, or
   *   is to be deleted;
   * - nothing that was `changed` after `beforeMs`.
   * Raises the config's `prunedBefore`, if there is a config.
   */
  prune(query: PruneQuery): Promise<Pruned>;
  /** Removes all data of the namespace. */
  drop(): Promise<void>;
  /**
   * Optional: reports changes as they happen. It is only a hint: it may fall silent, and may report late, twice or out
   * of order. It reports at least the selected registrations, and all sessions.
   */
  feed?(select: Selection, sink: FeedSink): Feed;
  /** Optional: reports what the store notices by itself. Returns a function that ends it. */
  notices?(listener: (notice: StoreNotice) => void): () => void;
  /** Optional: why calls are late on this side of the store, as a clause; undefined if nothing is known. */
  delay?(): string | undefined;
  /**
   * Optional: runs an operation of the program once its turn has come among those of all presences that share this
   * store's connections, so that their pings always have some left.
   */
  inTurn?<T>(act: () => Promise<T>): Promise<T>;
  /**
   * Optional: examines what only this kind of store has, for `doctor`, and changes nothing. Records older than
   * `beforeSlot` should have been pruned long ago. A missing right is a finding, not a rejection.
   */
  examine?(beforeSlot: Slot): Promise<Finding[]>;
  /** Closes what the namespace has open (feeds, cursors). Idempotent. */
  close(): Promise<void>;
}

/** A result of an examination. */
export interface Finding {
  /** What was examined, such as "indexes". */
  readonly check: string;
  /** `error`: heartbit cannot work; `warning`: it works, but worse than it could. */
  readonly level: "ok" | "warning" | "error";
  /** The result: one sentence. */
  readonly found: string;
  /** What to do about it: one sentence, if something should be done. */
  readonly advice?: string;
}

/** Receives what a feed reports. Its members never throw and never block. */
export interface FeedSink {
  /** Takes what has changed. Such a page has no cursor. */
  page(page: Page): void;
  /** The feed has ended by itself; changes may have been missed. Called at most once. */
  lost(error: unknown): void;
}

/** A feed of changes that is open. */
export interface Feed {
  /**
   * Resolves when every change from now on will be reported. Rejects with `UNSUPPORTED_SERVER` if this server has no
   * feed, with `NOT_PERMITTED` if this user has no right to it, or with an operating error.
   */
  readonly ready: Promise<void>;
  /** Ends it: nothing more is reported, not even that it is lost. Idempotent. */
  close(): Promise<void>;
}

/** An event that a store notices by itself. */
export type StoreNotice =
  /** The connection or the primary was lost: reads may be late, and writes may have been lost with it. */
  | { readonly kind: "lost"; readonly reason: string }
  /** There is a primary again, perhaps another one. */
  | { readonly kind: "found" };
