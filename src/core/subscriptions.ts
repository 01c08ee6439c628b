/**
 * What subscribers are still to be notified of. For each subscription and key, changes that were not taken yet collapse
 * to the latest state, together with the state that the subscriber knew before. What is reported is still the
 * difference of two states, and memory is bounded by the number of keys.
 */
import { Prefixes } from "./prefixes.ts";
import { type HolderState, sameHolders } from "./holders.ts";
import type { RosterChange, Transition } from "./roster.ts";
import { EVERYTHING, includesKey, prefixOf, type Selection, type WatchTarget } from "./selection.ts";

/** The state of a key, as it is reported to one subscriber. */
export interface Report {
  readonly key: string;
  readonly cause: "initial" | Transition;
  /** The live holders, oldest first. The key is alive when there is one. */
  readonly now: readonly HolderState[];
  /** The store's time, in ms, at which it was found. */
  readonly atMs: number;
}

/** A report that was not taken yet. */
interface Pending extends Report {
  /** The holders that the subscriber knows of; undefined: it knows nothing yet. */
  readonly known: readonly HolderState[] | undefined;
}

/** What the subscriptions of one watcher share: once it is over, nothing more is reported to any of them. */
export interface WatcherLife {
  isOver: boolean;
}

/** One subscriber to a target. */
export class Subscription {
  readonly target: WatchTarget;
  /** Undefined: nobody watches, the state is asked for once. */
  readonly life: WatcherLife | undefined;
  /** Whether it has the state at the time of `watch`: changes count only from then on. */
  ready = false;
  #cancelled = false;
  readonly #pending = new Map<string, Pending>();
  /** The position of `take` in `#pending`. A new iterator would first step over all entries deleted so far. */
  #next: Iterator<[string, Pending]> | undefined;
  readonly #arrived: () => void;

  /** Calls `arrived` when there is something to take. */
  constructor(target: WatchTarget, arrived: () => void, life?: WatcherLife) {
    this.target = target;
    this.life = life;
    this.#arrived = arrived;
  }

  /** How many reports have not been taken. */
  get pending(): number {
    return this.#pending.size;
  }

  begin(key: string, now: readonly HolderState[], atMs: number): void {
    this.#put({ key, known: undefined, now, cause: "initial", atMs });
  }

  push({ key, before, now, cause }: RosterChange, atMs: number): void {
    this.#put({ key, known: before, now, cause, atMs });
  }

  /** The next report; undefined if there is none. */
  take(): Report | undefined {
    if (this.#isOver) return undefined;
    const next = (this.#next ??= this.#pending.entries());
    for (let { done, value } = next.next(); done !== true; { done, value } = next.next()) {
      const [key, pending] = value;
      this.#pending.delete(key);
      const { known, now } = pending;
      if (known === undefined || !sameHolders(known, now)) return { ...pending, cause: causeOf(pending) };
    }
    this.#next = undefined;
    return undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#pending.clear();
  }

  get #isOver(): boolean {
    return this.#cancelled || this.life?.isOver === true;
  }

  /** Puts the later state in the place of the earlier one, with what the subscriber knew before that. */
  #put(later: Pending): void {
    if (this.#isOver) return;
    const earlier = this.#pending.get(later.key);
    const pending = earlier === undefined ? later : { ...later, known: earlier.known };
    if (this.#isNothing(pending)) {
      this.#pending.delete(later.key);
      return;
    }
    this.#pending.set(later.key, pending);
    this.#arrived();
  }

  /** Whether the subscriber knows the key as dead, and it is dead: nothing is kept of keys that came and went. */
  #isNothing({ known, now }: Pending): boolean {
    if (now.length > 0) return false;
    // The initial state of a prefix, or of all keys, has only live keys.
    return known === undefined ? typeof this.target !== "string" : known.length === 0;
  }
}

/** What has happened since the state that the subscriber knew. */
function causeOf({ known, now, cause }: Pending): Report["cause"] {
  if (known === undefined) return "initial";
  if (now.length === 0) return cause;
  return known.length > 0 ? "updated" : "joined";
}

/** The subscriptions of one presence, by target. */
export class Subscriptions {
  readonly #byKey = new Map<string, Set<Subscription>>();
  readonly #byPrefix = new Map<string, Set<Subscription>>();
  readonly #ofAll = new Set<Subscription>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #unready = new Set<Subscription>();
  readonly #keys = new Set<string>();
  readonly #prefixes = new Prefixes();

  /** The union of their targets. A live view. */
  get wanted(): Selection {
    if (this.#ofAll.size > 0) return EVERYTHING;
    return { all: false, keys: this.#keys, prefixes: this.#prefixes };
  }

  /** Whether one of them includes the key. */
  wants(key: string): boolean {
    return includesKey(this.wanted, key);
  }

  /** How many changes they have not taken yet. */
  get pending(): number {
    let pending = 0;
    for (const subscription of this.#subscriptions) pending += subscription.pending;
    return pending;
  }

  add(subscription: Subscription): void {
    this.#subscriptions.add(subscription);
    this.#unready.add(subscription);
    const { target } = subscription;
    const prefix = prefixOf(target);
    if (typeof target === "string") addTo(this.#byKey, this.#keys, target, subscription);
    else if (prefix) addTo(this.#byPrefix, this.#prefixes, prefix, subscription);
    else this.#ofAll.add(subscription);
  }

  delete(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    this.#unready.delete(subscription);
    const { target } = subscription;
    const prefix = prefixOf(target);
    if (typeof target === "string") removeFrom(this.#byKey, this.#keys, target, subscription);
    else if (prefix) removeFrom(this.#byPrefix, this.#prefixes, prefix, subscription);
    else this.#ofAll.delete(subscription);
  }

  /** The subscriptions that do not have the state at the time of `watch` yet. */
  unready(): Subscription[] {
    return [...this.#unready];
  }

  /** The subscription has the initial state, and gets each change from then on. */
  begun(subscription: Subscription): void {
    subscription.ready = true;
    this.#unready.delete(subscription);
  }

  /** Whether any subscription gets changes. */
  get areAnyReady(): boolean {
    return this.#subscriptions.size > this.#unready.size;
  }

  /** The subscriptions that include the key. */
  *of(key: string): IterableIterator<Subscription> {
    yield* this.#byKey.get(key) ?? [];
    for (const prefix of this.#prefixes.of(key)) yield* this.#byPrefix.get(prefix) ?? [];
    yield* this.#ofAll;
  }
}

function addTo(
  by: Map<string, Set<Subscription>>,
  names: Set<string>,
  name: string,
  subscription: Subscription,
): void {
  const those = by.get(name);
  if (those === undefined) by.set(name, new Set([subscription]));
  else those.add(subscription);
  names.add(name);
}

function removeFrom(
  by: Map<string, Set<Subscription>>,
  names: Set<string>,
  name: string,
  subscription: Subscription,
): void {
  const those = by.get(name);
  if (those?.delete(subscription) !== true || those.size > 0) return;
  by.delete(name);
  names.delete(name);
}
