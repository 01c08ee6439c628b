/**
 * The roster: a state machine that takes records and bits, and returns changes.
 *
 *   feed       `addSession`, `addRegistration`, `addPings`: in any order, twice or late, since they merge (records.ts)
 *   evaluate   `evaluate(j)` moves `g`; only this turns absence into death (see alive.ts)
 *   take       `changes()` returns the difference between the state now and at the last `changes()`
 *
 * Work that may touch very many registrations is done in steps. Between two of them the caller may do something else,
 * and feed the roster, but must not take changes.
 *
 * A change is always the difference of two states, whatever the roster is fed, so alive and dead alternate for each
 * key.
 */
import { isAliveAt, lastPing, latestComplete } from "./alive.ts";
import { forEachSession, LatestBits, type PingRecord } from "./bits.ts";
import {
  bySeniority,
  holdersOf,
  type HolderState,
  insertBySeniority,
  type KnownRegistration,
  type KnownSession,
  listOf,
  MANY_HOLDERS,
  NO_REGISTRATIONS,
  type OneOrMany,
  sameHolders,
} from "./holders.ts";
import {
  KILLED,
  mergeRegistrations,
  mergeSessions,
  type RegistrationRecord,
  type SessionRecord,
} from "./records.ts";
import type { Slot } from "./slots.ts";
import { after, SortedKeys } from "./sorted-keys.ts";
import { doAll, STEP, type Steps } from "./steps.ts";

/** Why a key's state changed. */
export type Transition = "joined" | "updated" | "stopped" | "killed" | "expired";

/** @internal The difference between two states of a key. */
export interface RosterChange {
  readonly key: string;
  readonly cause: Transition;
  /** The live holders before and now, oldest first. The key is alive when there is one. */
  readonly before: readonly HolderState[];
  readonly now: readonly HolderState[];
}

/** The session whose pings can take a lease over; undefined where a `last` has fixed its end. */
type LeaseOwner = KnownSession | undefined;

/** @internal */
export class Roster {
  readonly #bits = new LatestBits();
  readonly #sessions = new Map<number, KnownSession>();
  /**
   * Sessions whose number has another owner now. This happens only if a server lost writes that it had acknowledged.
   * The previous owner finds out and takes another number. Until then its own earlier pings keep its registrations
   * alive.
   */
  readonly #previousOwners = new Set<KnownSession>();
  readonly #keys = new Map<string, OneOrMany>();
  /** The same keys in order, once keys with a prefix have been requested. */
  #sorted: SortedKeys | undefined;
  /** Whether all keys are in order. */
  #isSorted = false;
  /**
   * Live registrations with a lease of their own, not of their session's bits: by the slot in which it ends, and by its
   * owner. They have a `last`, or a `slot` that is later than the pings of their session, which soon take over.
   */
  readonly #individuallyLeased = new Map<Slot, Map<LeaseOwner, Set<KnownRegistration>>>();
  /** The keys touched since the last `changes()`, with their holders at that time, oldest first. */
  readonly #touched = new Map<string, OneOrMany>();
  /** Of keys with many holders: those at the last `changes()`. */
  readonly #reported = new Map<string, OneOrMany>();
  /** The position of `changes` in `#touched`. A new iterator would first step over all entries deleted so far. */
  #next: Iterator<[string, OneOrMany]> | undefined;
  #g: Slot = -Infinity;
  #load = 0;

  /**
   * The liveness threshold: registrations that pinged in it or later are alive. -Infinity before the first evaluation.
   */
  get g(): Slot {
    return this.#g;
  }

  get pings(): LatestBits {
    return this.#bits;
  }

  /** How many registrations of the session are known. */
  countOf(seq: number): number {
    return this.#sessions.get(seq)?.registrations.size ?? 0;
  }

  /** How many keys and sessions are known. */
  get size(): { keys: number; sessions: number } {
    return { keys: this.#keys.size, sessions: this.#sessions.size };
  }

  /** How many keys are alive, and how many sessions hold them. Goes through every key, and pauses between. */
  *censusInSteps(): Generator<void, { keys: number; sessions: number }, void> {
    let [keys, count] = [0, 0];
    const sessions = new Set<KnownSession>();
    for (const known of this.#keys.values()) {
      if (++count % STEP === 0) yield;
      const living = listOf(known).filter((registration) => this.#isAlive(registration));
      if (living.length > 0) keys++;
      for (const { session } of living) sessions.add(session);
    }
    return { keys, sessions: sessions.size };
  }

  // ---- feeding

  addSession(record: SessionRecord): void {
    doAll(this.addSessionInSteps(record));
  }

  /** The end of a session, and its return, take effect in the last step. */
  *addSessionInSteps(record: SessionRecord): Steps {
    let session = this.#sessions.get(record.seq);
    if (session !== undefined && record.opened < session.record.opened) return; // of the previous owner
    if (session !== undefined && record.opened > session.record.opened) {
      session.lastBit = this.#bits.latest(record.seq);
      this.#previousOwners.add(session);
      session = undefined;
    }
    if (session === undefined) {
      this.#sessions.set(record.seq, { record, registrations: new Map(), readIn: this.#load });
      return;
    }
    session.readIn = this.#load;
    const merged = mergeSessions(session.record, record);
    const ends = merged.last !== session.record.last;
    if (ends || this.#revives(session, merged.slot)) yield* this.#touchSessionBackedInSteps(session);
    session.record = mergeSessions(session.record, record); // others may have come between two steps
  }

  /** Adds a registration's record. Ignores it if its session is unknown: stores report the session first. */
  addRegistration(record: RegistrationRecord): void {
    const session = this.#sessions.get(record.session);
    if (session === undefined) return;
    session.readIn = this.#load;
    const known = session.registrations.get(record.pinger);
    if (known === undefined || record.start > known.record.start) {
      this.#touch(record.key);
      if (known !== undefined) {
        this.#touch(known.record.key);
        this.#remove(known);
      }
      this.#insert({ record, session, readIn: this.#load, holder: undefined });
    } else if (record.start === known.record.start) {
      known.readIn = this.#load;
      const merged = mergeRegistrations(known.record, record);
      if (sameLife(merged, known.record) && merged.revision === known.record.revision) return;
      this.#touch(known.record.key);
      const holder = merged.meta === known.record.meta ? known.holder : undefined;
      this.#replace(known, { ...known, record: merged, holder });
    }
  }

  addPings(records: readonly PingRecord[]): void {
    doAll(this.addPingsInSteps(records));
  }

  /**
   * Sessions that return by their pings do so in the last step. If one was silent since before slot `oldest`, its records
   * may have been pruned, so its registrations are forgotten. Its process writes again what it still holds.
   */
  *addPingsInSteps(records: readonly PingRecord[], oldest: Slot = -Infinity): Steps {
    const dead = Math.min(oldest, this.#g);
    for (const session of this.#returning(records)) {
      if (this.#isLongGone(session, dead)) yield* this.#forgetRegistrations(session, dead, -Infinity);
      yield* this.#touchSessionBackedInSteps(session);
    }
    for (const record of records) this.#bits.add(record);
  }

  /**
   * Evaluates in slot `j`: moves `g` to the latest complete slot, or to `oldest`, never back. The caller guarantees
   * that it has read all pings up to `j`, and had no suspicion.
   */
  evaluate(j: Slot, oldest: Slot): void {
    doAll(this.evaluateInSteps(j, oldest));
  }

  /** `g` moves in the last step. */
  *evaluateInSteps(j: Slot, oldest: Slot): Steps {
    const g = this.#nextG(j, oldest);
    if (g === this.#g) return;
    for (const session of this.#falling(g)) yield* this.#touchSessionBackedInSteps(session);
    for (const registrations of this.#fallingIndividually(g)) yield* this.#touchInSteps(registrations);
    this.#g = g;
    for (const slot of this.#individuallyLeased.keys()) if (slot < g) this.#individuallyLeased.delete(slot);
  }

  /** Whether `evaluate` would find a death now. */
  wouldFindDeath(j: Slot, oldest: Slot): boolean {
    const g = this.#nextG(j, oldest);
    for (const { registrations } of this.#falling(g))
      for (const { record } of registrations.values()) if (record.last === undefined) return true;
    for (const { size } of this.#fallingIndividually(g)) if (size > 0) return true;
    return false;
  }

  /** Whether a session that has not ended looks dead: a late ping of it would bring it back. */
  get isAnyoneSilent(): boolean {
    for (const session of this.#sessions.values()) {
      const hasEnded = session.record.last !== undefined || session.registrations.size === 0;
      if (!hasEnded && !isAliveAt(this.#leasedUntil(session), this.#g)) return true;
    }
    return false;
  }

  /** Begins a read of everything selected. Returns what `endLoadInSteps` needs. */
  beginLoad(): number {
    return ++this.#load;
  }

  /**
   * Ends a load: removes registrations of selected keys that were not read since `beginLoad`, since they are no longer
   * stored. One written in slot `asOf` or later stays, because the load may be older than it.
   */
  *endLoadInSteps(load: number, selected: (key: string) => boolean, asOf: Slot = Infinity): Steps {
    let count = 0;
    for (const key of this.#keys.keys()) {
      if (++count % STEP === 0) yield;
      for (const registration of this.#registrationsOf(key)) {
        if (registration.readIn >= load || registration.record.slot >= asOf || !selected(key)) continue;
        this.#touch(key);
        this.#remove(registration);
      }
    }
  }

  /**
   * Forgets the keys with the prefix that are not selected, without reporting them. Once the keys are in order, it goes
   * only through those with the prefix. Between two steps changes may be taken: they are not of forgotten keys.
   */
  *retainInSteps(prefix: string, selected: (key: string) => boolean): Steps {
    let count = 0;
    // `#touched` too: a key that a load has just removed is no longer in `#keys`, but its death is not reported yet.
    const rest = [this.#keys.keys(), this.#touched.keys()];
    for (const keys of prefix !== "" && this.#isSorted ? [this.keysWith(prefix)] : rest) {
      for (const key of keys) {
        if (key.startsWith(prefix) && !selected(key)) this.forgetKey(key);
        if (++count % STEP === 0) yield;
      }
    }
  }

  /** Forgets one key, without reporting it. */
  forgetKey(key: string): void {
    for (const registration of this.#registrationsOf(key)) this.#remove(registration);
    this.#touched.delete(key);
    this.#reported.delete(key);
  }

  /**
   * Forgets what died before slot `oldest`, as stores do when they prune. Until then the dead are kept, because a
   * record of them that is read late must not bring them back.
   */
  *forgetInSteps(oldest: Slot, oldestMs: number): Steps {
    this.#bits.forgetBefore(oldest);
    for (const [seq, session] of this.#sessions) {
      yield* this.#forgetRegistrations(session, oldest, oldestMs);
      if (this.#isForgotten(session, oldest)) this.#sessions.delete(seq);
    }
    for (const session of this.#previousOwners) {
      yield* this.#forgetRegistrations(session, oldest, oldestMs);
      if (this.#isForgotten(session, oldest)) this.#previousOwners.delete(session);
    }
  }

  // ---- reading

  /** The live holders of the key, oldest first. */
  holders(key: string): readonly HolderState[] {
    return holdersOf(this.#living(key));
  }

  /** The live holders as of the last `changes()`: the initial state for a subscriber that gets all later changes. */
  reportedHolders(key: string): readonly HolderState[] {
    return holdersOf(this.#touched.get(key) ?? this.#living(key));
  }

  isAlive(key: string): boolean {
    return this.#registrationsOf(key).some((registration) => this.#isAlive(registration));
  }

  /** The keys that have a registration, alive or recently dead. */
  keys(): IterableIterator<string> {
    return this.#keys.keys();
  }

  /** Sorts the keys, if they are not sorted yet, and keeps them sorted. Run only one at a time. */
  *sortInSteps(): Steps {
    if (this.#isSorted) return;
    const sorted = (this.#sorted ??= new SortedKeys()); // updated meanwhile as keys come and go
    let count = 0;
    for (const key of this.#keys.keys()) {
      sorted.add(key);
      if (++count % STEP === 0) yield;
    }
    this.#isSorted = true;
  }

  /** The keys of `keys()` with the prefix. The keys must be in order. Meanwhile keys may come and go. */
  *keysWith(prefix: string): IterableIterator<string> {
    for (let from = prefix; ;) {
      const keys = this.#nextKeys(prefix, from);
      yield* keys;
      if (keys.length < STEP) return;
      from = after(keys.at(-1) ?? "");
    }
  }

  /** All known registrations of the key, alive or recently dead. */
  *registrations(key: string): IterableIterator<{
    registration: RegistrationRecord;
    session: SessionRecord;
    alive: boolean;
    lastPing: Slot;
  }> {
    for (const registration of this.#registrationsOf(key)) {
      yield {
        registration: registration.record,
        session: registration.session.record,
        alive: this.#isAlive(registration),
        lastPing: this.#lastPing(registration),
      };
    }
  }

  /** The latest slot in which one of the key's registrations pinged; undefined if none is known. */
  lastPingOf(key: string): Slot | undefined {
    let latest: Slot | undefined;
    for (const registration of this.#registrationsOf(key))
      latest = Math.max(latest ?? -Infinity, this.#lastPing(registration));
    return latest;
  }

  /** Whether `changes()` has keys to go through. */
  get isTouched(): boolean {
    return this.#touched.size > 0;
  }

  /** The difference between the state at the last call and now, one change a key. Goes through at most `limit` keys. */
  changes(limit = Infinity): RosterChange[] {
    const changes: RosterChange[] = [];
    const next = (this.#next ??= this.#touched.entries());
    for (let left = limit; left > 0; left--) {
      const { done, value } = next.next();
      if (done === true) {
        this.#next = undefined;
        break;
      }
      const [key, touched] = value;
      this.#touched.delete(key);
      const before = holdersOf(touched);
      const living = this.#living(key);
      const now = holdersOf(living);
      if (now.length >= MANY_HOLDERS) this.#reported.set(key, living);
      else this.#reported.delete(key);
      if (!sameHolders(before, now))
        changes.push({ key, cause: this.#cause(listOf(touched), now), before, now });
    }
    return changes;
  }

  /** Discards pending changes without reporting them. */
  discardChanges(): void {
    this.#touched.clear();
    this.#reported.clear();
    this.#next = undefined;
  }

  // ---- inside

  #nextG(j: Slot, oldest: Slot): Slot {
    return Math.max(
      this.#g,
      latestComplete(j, oldest, (slot) => this.#bits.isEmpty(slot)),
    );
  }

  /** The sessions that are alive, and would not be with this `g`. */
  *#falling(g: Slot): IterableIterator<KnownSession> {
    for (const sessions of [this.#sessions.values(), this.#previousOwners]) {
      for (const session of sessions) {
        const last = this.#leasedUntil(session);
        if (isAliveAt(last, this.#g) && !isAliveAt(last, g)) yield session;
      }
    }
  }

  /** The registrations with a lease of their own that are alive, and would not be with this `g`. */
  *#fallingIndividually(g: Slot): IterableIterator<ReadonlySet<KnownRegistration>> {
    for (const [slot, bySession] of this.#individuallyLeased) {
      if (slot >= g) continue;
      for (const [session, registrations] of bySession) {
        // Those of a session that has ended since are dead, or fall with it.
        const isOpen = session?.record.last === undefined;
        if (session === undefined || (isOpen && this.#leasedUntil(session) < g)) yield registrations;
      }
    }
  }

  *#forgetRegistrations(session: KnownSession, oldest: Slot, oldestMs: number): Steps {
    const isLongGone = this.#isLongGone(session, oldest);
    let count = 0;
    for (const registration of session.registrations.values()) {
      if (++count % STEP === 0) yield;
      const { slot, last = session.record.last } = registration.record;
      // A registration that ended with its session ended when the session's record changed.
      const ended = registration.record.last === undefined ? session.record.changed : undefined;
      const changed = Math.max(registration.record.changed ?? 0, ended ?? 0);
      const over = last === undefined ? isLongGone : last < oldest && changed < oldestMs;
      if (over && slot < oldest && !this.#touched.has(registration.record.key)) this.#remove(registration);
    }
  }

  #isForgotten(session: KnownSession, oldest: Slot): boolean {
    return session.registrations.size === 0 && this.#isLongGone(session, oldest);
  }

  #isLongGone(session: KnownSession, oldest: Slot): boolean {
    return Math.max(session.record.slot, this.#latestBit(session)) < oldest;
  }

  #latestBit(session: KnownSession): Slot {
    return session.lastBit ?? this.#bits.latest(session.record.seq);
  }

  /** Why the key's state changed. */
  #cause(before: readonly KnownRegistration[], now: readonly HolderState[]): Transition {
    if (now.length > 0) return before.length === 0 ? "joined" : "updated";
    let cause: Transition = "expired";
    for (const { record, session } of before) {
      const latest = session.registrations.get(record.pinger)?.record ?? record;
      const last = latest.last ?? session.record.last;
      if (last === KILLED) return "killed";
      if (last !== undefined) cause = "stopped";
    }
    return cause;
  }

  #touch(key: string): void {
    if (!this.#touched.has(key)) this.#touched.set(key, this.#reported.get(key) ?? this.#living(key));
  }

  /** Some of the keys with the prefix, from this text on. The keys must be in order. */
  #nextKeys(prefix: string, from: string): string[] {
    const some: string[] = [];
    for (const key of this.#sorted?.startingWith(prefix, from) ?? []) {
      if (some.push(key) === STEP) break;
    }
    return some;
  }

  /** The sessions that these pings bring back to life. */
  #returning(records: readonly PingRecord[]): Set<KnownSession> {
    const returning = new Set<KnownSession>();
    for (const record of records) {
      forEachSession(record, (seq) => {
        const session = this.#sessions.get(seq);
        if (session !== undefined && this.#revives(session, record.slot)) returning.add(session);
      });
    }
    return returning;
  }

  /** Touches the keys of the registrations that share the session's bits. */
  *#touchSessionBackedInSteps({ registrations }: KnownSession): Steps {
    yield* this.#touchInSteps(registrations.values(), ({ record }) => record.last === undefined);
  }

  *#touchInSteps(
    registrations: Iterable<KnownRegistration>,
    isMeant: (registration: KnownRegistration) => boolean = () => true,
  ): Steps {
    let count = 0;
    for (const registration of registrations) {
      if (isMeant(registration)) this.#touch(registration.record.key);
      if (++count % STEP === 0) yield;
    }
  }

  /**
   * The live registrations of the key, oldest first. Allocates nothing for a key with one: very many may be touched.
   */
  #living(key: string): OneOrMany {
    const registrations = this.#keys.get(key) ?? NO_REGISTRATIONS;
    if (!Array.isArray(registrations)) return this.#isAlive(registrations) ? registrations : NO_REGISTRATIONS;
    return registrations.filter((registration) => this.#isAlive(registration));
  }

  #insert(registration: KnownRegistration): void {
    const { key, pinger } = registration.record;
    registration.session.registrations.set(pinger, registration);
    const others = this.#keys.get(key);
    if (others === undefined) {
      this.#keys.set(key, registration);
      this.#sorted?.add(key);
    } else if (Array.isArray(others)) insertBySeniority(others, registration);
    else this.#keys.set(key, [others, registration].toSorted(bySeniority));
    this.#leaseIndividually(registration);
  }

  #replace(known: KnownRegistration, registration: KnownRegistration): void {
    const { key, pinger } = registration.record;
    registration.session.registrations.set(pinger, registration);
    this.#endLease(known);
    const registrations = this.#keys.get(key);
    if (Array.isArray(registrations)) registrations[registrations.indexOf(known)] = registration;
    else this.#keys.set(key, registration);
    this.#leaseIndividually(registration);
  }

  #remove(registration: KnownRegistration): void {
    const { key, pinger } = registration.record;
    registration.session.registrations.delete(pinger);
    this.#endLease(registration);
    const registrations = this.#keys.get(key);
    // In place: a key may have thousands.
    if (Array.isArray(registrations)) registrations.splice(registrations.indexOf(registration), 1);
    if (registrations === registration || (Array.isArray(registrations) && registrations.length === 0)) {
      this.#keys.delete(key);
      this.#sorted?.delete(key);
    }
  }

  /** A copy, which does not change when registrations come and go. */
  #registrationsOf(key: string): KnownRegistration[] {
    const registrations = this.#keys.get(key) ?? NO_REGISTRATIONS;
    return Array.isArray(registrations) ? registrations.slice() : [registrations];
  }

  /** Notes the lease of a new version of a registration, if it has one of its own. */
  #leaseIndividually(registration: KnownRegistration): void {
    const { last, slot } = registration.record;
    const own =
      last !== undefined ||
      (registration.session.record.last === undefined && slot > this.#leasedUntil(registration.session));
    if (!own || !this.#isAlive(registration)) return;
    const [until, by] = leaseOf(registration);
    let bySession = this.#individuallyLeased.get(until);
    if (bySession === undefined) this.#individuallyLeased.set(until, (bySession = new Map()));
    const registrations = bySession.get(by);
    if (registrations === undefined) bySession.set(by, new Set([registration]));
    else registrations.add(registration);
  }

  /** Forgets the lease of this version of a registration, if it had one of its own. */
  #endLease(registration: KnownRegistration): void {
    const [until, by] = leaseOf(registration);
    const bySession = this.#individuallyLeased.get(until);
    const registrations = bySession?.get(by);
    if (registrations?.delete(registration) !== true || registrations.size > 0) return;
    bySession?.delete(by);
    if (bySession?.size === 0) this.#individuallyLeased.delete(until);
  }

  /** Whether a write or ping of the session in `slot` brings it back to life. */
  #revives(session: KnownSession, slot: Slot): boolean {
    if (session.record.last !== undefined) return false;
    return !isAliveAt(this.#leasedUntil(session), this.#g) && isAliveAt(slot, this.#g);
  }

  /** The latest slot in which the registrations that share the session's bits count as alive. */
  #leasedUntil(session: KnownSession): Slot {
    const { last, slot } = session.record;
    return last ?? Math.max(slot, this.#latestBit(session));
  }

  #lastPing(registration: KnownRegistration): Slot {
    const { slot, last } = registration.session.record;
    return lastPing(registration.record, { slot, last, bit: this.#latestBit(registration.session) });
  }

  #isAlive(registration: KnownRegistration): boolean {
    return isAliveAt(this.#lastPing(registration), this.#g);
  }
}

function sameLife(a: RegistrationRecord, b: RegistrationRecord): boolean {
  return a.slot === b.slot && a.last === b.last && a.changed === b.changed;
}

/** In which slot a lease of the registration's own would end, and its owner. */
function leaseOf({ record, session }: KnownRegistration): [Slot, LeaseOwner] {
  return record.last === undefined ? [record.slot, session] : [record.last, undefined];
}
