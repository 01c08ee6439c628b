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
import type { Config, RegistrationId, RegistrationRecord, SessionRecord } from "./records.ts";
import type { Selection } from "./selection.ts";
import type { Slot } from "./slots.ts";

/** @internal The version of the stored format that this library reads and writes. */
export const FORMAT_VERSION = 2;

/** A store: what `Presence.open` takes, and what authors of stores write. */
export interface Store {
  /** For messages and `doctor`: "memory", "sqlite", "mongodb". */
  readonly kind: string;
  /** The clock that presences of this store use when they are given none. */
  readonly clock?: Clock;
  /** A namespace, without any I/O. */
  namespace(name: string, scale: NamespaceScale): Namespace;
  /** Lets go of what the store itself opened. Idempotent. */
  close(): Promise<void>;
}

/** What a store must know of a namespace besides its name. */
export interface NamespaceScale {
  /** The length of a slot, in ms. */
  readonly periodMs: number;
  /** How long dead records are kept, in slots. */
  readonly retentionSlots: number;
  /** Called with one sentence that a person may want to look into, such as a document that is not heartbit's. */
  readonly warn?: (message: string) => void;
}

/** One change of what is stored. The store applies it by the merge rules of `records.ts`. */
export type Write =
  /** Creates the session, or raises its `slot`. Raising it renews no stamp and is reported to nobody. */
  | { readonly kind: "session"; readonly session: SessionRecord }
  /**
   * Raises the `slot` of a session and renews its stamp, so that watchers hear at once that it is back. Does nothing where
   * the session is not stored, or has that slot already.
   */
  | { readonly kind: "touch"; readonly session: number; readonly slot: Slot }
  /** Sets the `last` of a session if the stored one is later. Does nothing if the session is not stored. */
  | { readonly kind: "endSession"; readonly session: number; readonly last: Slot }
  /** Creates the registration, or raises its `slot` and, by its revision, its `meta`; ends it if it comes with a `last`. */
  | { readonly kind: "registration"; readonly registration: RegistrationRecord }
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
  /** Whether somebody has left mail for the session in this slot: one of its records was ended by another process. */
  readonly hasMail: boolean;
}

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
  /**
   * Of the selected registrations only those that may have changed since the read that gave this cursor, and all sessions
   * that may have; more may be given, never less. Absent: everything selected, with the sessions of what is given.
   */
  readonly since?: Cursor | undefined;
  /** Also the record of this session, changed or not. */
  readonly session?: number | undefined;
  /** Also the registrations of that session, changed or not: all of them, or those that have a `last`. */
  readonly registrations?: "all" | "ended" | undefined;
}

/** What is open of a session. */
export interface OpenRecords {
  /** The session itself, if it is open, and its open registrations. */
  readonly count: number;
  /** `SessionRecord.opened`: tells it from another session with the same number. Absent if it is not open. */
  readonly opened?: number | undefined;
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
  /**
   * The store's time now, in ms, by the same clock that stamps pings if this user may write; else by the clock of the
   * server that answers.
   */
  time(): Promise<number>;
  /**
   * The next count of sessions, from 1: greater than every earlier one since the namespace was set up, never given twice.
   * The number of a session is `Config.base` and this.
   */
  nextSeq(): Promise<number>;
  /**
   * Applies the writes in their order. When it rejects, any part of them may have happened, and still may. When `signal`
   * is aborted, what has not been sent yet is not sent.
   */
  write(writes: readonly Write[], signal?: AbortSignal): Promise<void>;
  /**
   * Sets the session's bit in the slot. Every acknowledged ping has changed what is stored, if only its stamp: so it
   * proves that the server could write.
   */
  ping(slot: Slot, seq: number): Promise<Pong>;
  /** Leaves mail for the sessions in the slot: their next ping of it has `hasMail`. */
  mail(slot: Slot, seqs: readonly number[]): Promise<void>;
  /**
   * How many records of the session are open: the session itself if it has no `last`, and its registrations without
   * one; and when the session was opened, if it is open. Cheap, whatever the session holds.
   */
  countOpen(session: number): Promise<OpenRecords>;
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
  | { readonly kind: "found" };
