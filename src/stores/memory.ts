/**
 * The store in this process's memory. Presences of the same `MemoryStore` see each other. It is the simplest
 * implementation of the port: read it beside `core/store.ts` before you write a store.
 */
import type { Clock } from "../core/clock.ts";
import { bitOf, type PingRecord, SEGMENT_WORDS } from "../core/bits.ts";
import { invalid, show } from "../core/checks.ts";
import { GivenUp } from "../core/errors.ts";
import {
  KILLED,
  type RegistrationId,
  type RegistrationRecord,
  type Config,
  earlierLast,
  mergeRegistrations,
  mergeConfigs,
  mergeSessions,
  pruned,
  type SessionRecord,
} from "../core/records.ts";
import { includesKey, isEmptySelection, type Selection } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type {
  Feed,
  FeedSink,
  Finding,
  Namespace,
  OpenRecords,
  Page,
  Pong,
  Pruned,
  PruneQuery,
  ReadQuery,
  Store,
  Write,
} from "../core/store.ts";
import { storageFinding } from "./storage.ts";
import { checkOptionsObject } from "../lib/arguments.ts";
import { systemClock } from "../lib/system-clock.ts";
import { turn } from "../lib/turn.ts";

const PAGE_REGISTRATIONS = 1000;

/** Options of a `MemoryStore`. */
export interface MemoryStoreOptions {
  /** The store's time, and the clock of presences that are given none. Default: the machine's. */
  readonly clock?: Clock;
}

/** A store in this process's memory. Presences of the same one see each other. */
export class MemoryStore implements Store {
  /** The kind, for messages. */
  readonly kind = "memory";
  /** The store's time, and the clock of presences that are given none. */
  readonly clock: Clock;
  readonly #data = new Map<string, Data>();

  /** Throws `INVALID_OPTION`. */
  constructor(options: MemoryStoreOptions = {}) {
    const { clock = systemClock } = checkOptionsObject(options, ["clock"]);
    if (typeof clock?.monotonic !== "function") throw invalid("clock", show(clock), "a clock");
    this.clock = clock;
  }

  /** Returns a namespace, without any I/O. */
  namespace(name: string): Namespace {
    return new MemoryNamespace(this.clock, () => {
      let data = this.#data.get(name);
      if (data === undefined) this.#data.set(name, (data = emptyData()));
      return data;
    });
  }

  /** For tests: deletes records of a namespace, as somebody may do by hand. Returns how many. */
  destroy(name: string, { session, registration, ping }: Doomed): number {
    const { sessions, registrations, pings } = this.#data.get(name) ?? emptyData();
    const all = sessions.size + registrations.size + pings.size;
    for (const [seq, { record }] of sessions) if (session?.(record)) sessions.delete(seq);
    for (const [id, { record }] of registrations) if (registration?.(record)) registrations.delete(id);
    for (const [id, { record }] of pings) if (ping?.(record)) pings.delete(id);
    return all - sessions.size - registrations.size - pings.size;
  }

  /** Returns how many records of each kind a namespace has. */
  counts(name: string): { sessions: number; registrations: number; pings: number } {
    const { sessions, registrations, pings } = this.#data.get(name) ?? emptyData();
    return { sessions: sessions.size, registrations: registrations.size, pings: pings.size };
  }

  /** Does nothing: the data stays. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A record with the revision of the namespace at which it last changed. */
interface Kept<T> {
  readonly record: T;
  readonly revision: number;
}

interface Data {
  config: Config | undefined;
  seq: number;
  revision: number;
  readonly sessions: Map<number, Kept<SessionRecord>>;
  readonly registrations: Map<string, Kept<RegistrationRecord>>;
  readonly pings: Map<string, { record: PingRecord; readonly mail: Set<number> }>;
  readonly feeds: Set<{ readonly select: Selection; readonly sink: FeedSink }>;
}

function emptyData(): Data {
  return {
    config: undefined,
    seq: 0,
    revision: 0,
    sessions: new Map(),
    registrations: new Map(),
    pings: new Map(),
    feeds: new Set(),
  };
}

const idOf = ({ session, pinger, start }: RegistrationId): string => `${session}.${pinger}.${start}`;

/** Which records to delete; none of a kind that is not named. */
export interface Doomed {
  /** Whether to delete this session. */
  readonly session?: (session: SessionRecord) => boolean;
  /** Whether to delete this registration. */
  readonly registration?: (registration: RegistrationRecord) => boolean;
  /** Whether to delete the pings of this slot and segment. */
  readonly ping?: (ping: PingRecord) => boolean;
}

class MemoryNamespace implements Namespace {
  readonly #clock: Clock;
  readonly #data: () => Data;
  readonly #closers = new Set<() => void>();

  constructor(clock: Clock, data: () => Data) {
    this.#clock = clock;
    this.#data = data;
  }

  async config(): Promise<Config | undefined> {
    const { config } = this.#data();
    return config && { ...config };
  }

  async configure(wanted: Config): Promise<Config> {
    const data = this.#data();
    data.config = { ...mergeConfigs(data.config ?? wanted, wanted) };
    return { ...data.config };
  }

  async raiseOffset(from: number, to: number): Promise<number> {
    const data = this.#data();
    if (data.config?.offset === from) data.config = { ...data.config, offset: to };
    return data.config?.offset ?? from;
  }

  async time(): Promise<number> {
    return this.#clock.now();
  }

  async nextSeq(): Promise<number> {
    return ++this.#data().seq;
  }

  async write(writes: readonly Write[], signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw new GivenUp("The write was given up before it began.");
    const sessions = new Set<number>();
    const registrations = new Set<string>();
    for (const write of writes) {
      if (write.kind === "session") this.#putSession(write.session, sessions);
      else if (write.kind === "touch") this.#touch(write.session, write.slot, sessions);
      else if (write.kind === "endSession") sessions.add(this.#endSession(write.session, write.last));
      else if (write.kind === "registration") registrations.add(this.#putRegistration(write.registration));
      else if (write.kind === "meta")
        registrations.add(this.#updateRegistration(idOf(write.registration), write));
      else registrations.add(this.#endRegistration(idOf(write.registration), write.last));
    }
    this.#report(sessions, registrations);
  }

  async ping(slot: Slot, seq: number): Promise<Pong> {
    const { segment, word, mask } = bitOf(seq);
    const pings = this.#pingsOf(slot, segment);
    const ms = this.#clock.now();
    const words = pings.record.words.slice();
    words[word] = (words[word] ?? 0) | mask;
    const revision = pings.record.revision + 1;
    pings.record = { slot, segment, words, ms, revision };
    return { ms, revision, hasMail: pings.mail.has(seq) };
  }

  async mail(slot: Slot, seqs: readonly number[]): Promise<void> {
    for (const seq of seqs) this.#pingsOf(slot, bitOf(seq).segment).mail.add(seq);
  }

  async countOpen(session: number): Promise<OpenRecords> {
    const { sessions, registrations } = this.#data();
    const own = sessions.get(session)?.record;
    const opened = own?.last === undefined ? own?.opened : undefined;
    let count = opened === undefined ? 0 : 1;
    for (const { record } of registrations.values()) {
      if (record.session === session && record.last === undefined) count++;
    }
    return { count, opened };
  }

  async kill(key: string): Promise<void> {
    const killed = new Set<string>();
    for (const [id, { record }] of this.#data().registrations) {
      if (record.key === key && record.last !== KILLED) killed.add(this.#endRegistration(id, KILLED));
    }
    this.#report(new Set(), killed);
  }

  async pings(from: Slot): Promise<PingRecord[]> {
    return Array.from(this.#data().pings.values(), ({ record }) => record)
      .filter(({ slot }) => slot >= from)
      .map((record) => ({ ...record, words: record.words.slice() }));
  }

  async *read({ select, since, session, registrations: own }: ReadQuery): AsyncIterable<Page> {
    const data = this.#data();
    const after = (since?.store as number | undefined) ?? 0;
    const cursor = { store: data.revision };
    const isOwn = (record: RegistrationRecord): boolean =>
      record.session === session && (own === "all" || (own === "ended" && record.last !== undefined));
    const seqs = new Set(session === undefined ? [] : [session]);
    if (since !== undefined && !isEmptySelection(select)) {
      for (const { record, revision } of data.sessions.values()) if (revision > after) seqs.add(record.seq);
    }
    const given = new Set<number>();
    const pageOf = (some: readonly Kept<RegistrationRecord>[]): Page => {
      for (const { record } of some) seqs.add(record.session);
      const missing = [...seqs].filter((seq) => !given.has(seq));
      for (const seq of missing) given.add(seq);
      seqs.clear();
      const sessions = missing.flatMap((seq) => data.sessions.get(seq) ?? []);
      return { sessions: sessions.map(copyOf), registrations: some.map(copyOf) };
    };
    let some: Kept<RegistrationRecord>[] = [];
    for (const kept of data.registrations.values()) {
      const { record, revision } = kept;
      if (!(revision > after && includesKey(select, record.key)) && !isOwn(record)) continue;
      if (some.length === PAGE_REGISTRATIONS) {
        yield pageOf(some);
        some = [];
        await turn(); // what changes meanwhile is found by the next read with the cursor
      }
      some.push(kept);
    }
    yield { ...pageOf(some), cursor };
  }

  async prune({ beforeSlot, beforeMs, limit }: PruneQuery): Promise<Pruned> {
    const data = this.#data();
    if (data.config !== undefined) data.config = pruned(data.config, beforeSlot);
    const isOld = ({ slot, changed = 0 }: { slot: Slot; changed?: number }): boolean =>
      slot < beforeSlot && changed <= beforeMs;
    let slots = 0;
    for (const [id, { record }] of data.pings) {
      if (record.slot >= beforeSlot || slots === limit) continue;
      data.pings.delete(id);
      slots++;
    }
    let registrations = 0;
    const remaining = new Set<number>();
    for (const [id, { record }] of data.registrations) {
      const session = data.sessions.get(record.session)?.record;
      const dead =
        record.last === undefined ? session === undefined || isOver(session) : record.last < beforeSlot;
      if (dead && isOld(record) && registrations < limit) {
        data.registrations.delete(id);
        registrations++;
      } else remaining.add(record.session);
    }
    let sessions = 0;
    for (const [seq, { record }] of data.sessions) {
      if (!isOver(record) || remaining.has(seq) || sessions === limit) continue;
      data.sessions.delete(seq);
      sessions++;
    }
    return { sessions, registrations, slots };

    function isOver(session: SessionRecord): boolean {
      return isOld(session) && (session.last === undefined || session.last < beforeSlot);
    }
  }

  async drop(): Promise<void> {
    const data = this.#data();
    data.config = undefined; // the counter continues: with a clock that stands still, the base would be the same
    data.sessions.clear();
    data.registrations.clear();
    data.pings.clear();
    data.revision++;
  }

  feed(select: Selection, sink: FeedSink): Feed {
    const { feeds } = this.#data();
    const feed = { select, sink };
    feeds.add(feed);
    const close = (): void => {
      feeds.delete(feed);
      this.#closers.delete(close);
    };
    this.#closers.add(close);
    return { ready: Promise.resolve(), close: () => Promise.resolve(close()) };
  }

  async examine(beforeSlot: Slot): Promise<Finding[]> {
    const old = [...this.#data().pings.values()].filter(({ record }) => record.slot < beforeSlot).length;
    return [storageFinding({ old })];
  }

  async close(): Promise<void> {
    for (const close of this.#closers) close();
  }

  // These collect the ids of what they change, for the feeds.

  #putSession(session: SessionRecord, reported: Set<number>): void {
    const { sessions } = this.#data();
    const known = sessions.get(session.seq);
    if (known !== undefined) {
      // A later slot is only proof of life, not a change: it is not reported, and renews no stamp.
      const { changed: _, ...raised } = session;
      sessions.set(session.seq, { ...known, record: mergeSessions(known.record, raised) });
      return;
    }
    sessions.set(session.seq, this.#stamp(session));
    reported.add(session.seq);
  }

  #touch(seq: number, slot: Slot, reported: Set<number>): void {
    const { sessions } = this.#data();
    const known = sessions.get(seq)?.record;
    if (known === undefined || known.slot >= slot) return;
    sessions.set(seq, this.#stamp({ ...known, slot }));
    reported.add(seq);
  }

  #pingsOf(slot: Slot, segment: number): { record: PingRecord; readonly mail: Set<number> } {
    const { pings } = this.#data();
    const id = `${slot}.${segment}`;
    let found = pings.get(id);
    if (found === undefined) {
      const record = { slot, segment, words: new Int32Array(SEGMENT_WORDS), ms: 0, revision: 0 };
      pings.set(id, (found = { record, mail: new Set() }));
    }
    return found;
  }

  #putRegistration(registration: RegistrationRecord): string {
    const { registrations } = this.#data();
    const id = idOf(registration);
    const known = registrations.get(id)?.record;
    registrations.set(
      id,
      this.#stamp(known === undefined ? registration : mergeRegistrations(known, registration)),
    );
    return id;
  }

  #updateRegistration(id: string, { meta, revision }: Pick<RegistrationRecord, "meta" | "revision">): string {
    const { registrations } = this.#data();
    const known = registrations.get(id)?.record;
    if (known !== undefined && known.revision < revision)
      registrations.set(id, this.#stamp({ ...known, meta, revision }));
    return id;
  }

  #endRegistration(id: string, last: Slot): string {
    const { registrations } = this.#data();
    const known = registrations.get(id)?.record;
    if (known !== undefined)
      registrations.set(id, this.#stamp({ ...known, last: earlierLast(known.last, last) }));
    return id;
  }

  #endSession(seq: number, last: Slot): number {
    const { sessions } = this.#data();
    const known = sessions.get(seq)?.record;
    if (known !== undefined)
      sessions.set(seq, this.#stamp({ ...known, last: earlierLast(known.last, last) }));
    return seq;
  }

  #stamp<T extends object>(record: T): Kept<T> {
    return { record: { ...record, changed: this.#clock.now() }, revision: ++this.#data().revision };
  }

  #report(sessions: ReadonlySet<number>, registrations: ReadonlySet<string>): void {
    const data = this.#data();
    for (const { select, sink } of data.feeds) {
      const reported = recordsOf(data.registrations, registrations).filter(({ key }) =>
        includesKey(select, key),
      );
      const seqs = new Set([...sessions, ...reported.map(({ session }) => session)]);
      if (reported.length > 0 || sessions.size > 0)
        sink.page({ sessions: recordsOf(data.sessions, seqs), registrations: reported });
    }
  }
}

function recordsOf<K, T>(kept: ReadonlyMap<K, Kept<T>>, ids: Iterable<K>): T[] {
  return [...ids].flatMap((id) => {
    const known = kept.get(id);
    return known === undefined ? [] : copyOf(known);
  });
}

/** A copy: the receiver owns it. */
function copyOf<T>({ record }: Kept<T>): T {
  return { ...record };
}
