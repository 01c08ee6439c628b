/**
 * Delivers changes to subscribers. Delivery never blocks the slot loop, and is bounded: for each subscription and key,
 * changes that are not consumed yet collapse to the latest state.
 */
import { type HolderState, MANY_HOLDERS, type RosterChange } from "../../core/roster.ts";
import type { WatchTarget } from "../../core/selection.ts";
import { type Change, collapse, type Holder, type Pending, toChange, toHolder } from "../change.ts";

/** One subscriber to a target, with the changes that it has not consumed yet. */
export class Subscription {
  readonly target: WatchTarget;
  /** Whether it has the state at the time of `watch`: changes count only from then on. */
  ready = false;
  #cancelled = false;
  readonly #pending = new Map<string, Pending>();
  /** What it has got of keys with many holders. */
  #holders: WeakMap<HolderState, Holder> | undefined;
  /** Where `take` is: a new iteration would skip over all entries deleted before. */
  #next: Iterator<[string, Pending]> | undefined;
  readonly #arrived: (subscription: Subscription) => void;

  /** Calls `arrived` when there is something to take. */
  constructor(target: WatchTarget, arrived: (subscription: Subscription) => void) {
    this.target = target;
    this.#arrived = arrived;
  }

  /** How many changes have not been taken. */
  get pending(): number {
    return this.#pending.size;
  }

  begin(key: string, now: readonly HolderState[], atMs: number): void {
    this.#put({ key, known: undefined, now, cause: "initial", atMs });
  }

  push({ key, before, now, cause }: RosterChange, atMs: number): void {
    this.#put({ key, known: before, now, cause, atMs });
  }

  /** The next change to report; undefined if there is none. */
  take(): Change | undefined {
    const next = (this.#next ??= this.#pending.entries());
    for (let { done, value } = next.next(); done !== true; { done, value } = next.next()) {
      const [key, pending] = value;
      this.#pending.delete(key);
      const change = toChange(pending, (now) => this.#holdersOf(now));
      if (change !== undefined) return change;
    }
    this.#next = undefined;
    return undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#pending.clear();
  }

  /** Of many holders the unchanged ones are passed as the same objects again: a join costs one holder and not all. */
  #holdersOf(now: readonly HolderState[]): Holder[] {
    if (now.length < MANY_HOLDERS) return now.map(toHolder);
    const known = (this.#holders ??= new WeakMap<HolderState, Holder>());
    return now.map((state) => {
      let holder = known.get(state);
      if (holder === undefined) known.set(state, (holder = toHolder(state)));
      return holder;
    });
  }

  #put(pending: Pending): void {
    if (this.#cancelled) return;
    const collapsed = collapse(this.#pending.get(pending.key), pending);
    if (this.#isNothing(collapsed)) {
      this.#pending.delete(pending.key);
      return;
    }
    this.#pending.set(pending.key, collapsed);
    this.#arrived(this);
  }

  /** Whether the receiver knows the key as dead, and it is dead: nothing is kept of keys that came and went. */
  #isNothing({ known, now }: Pending): boolean {
    if (now.length > 0) return false;
    // The initial state of a prefix, or of all keys, has only live keys.
    return known === undefined ? typeof this.target !== "string" : known.length === 0;
  }
}

/** The changes of one subscription as an async iterator. Ends when it is returned, stopped or aborted. */
export class ChangeStream implements AsyncIterableIterator<Change> {
  readonly subscription: Subscription;
  readonly #ended: () => void;
  readonly #waiting: ((result: IteratorResult<Change, undefined>) => void)[] = [];
  #done = false;

  /** Calls `ended` once, when the stream has ended. */
  constructor(target: WatchTarget, ended: (stream: ChangeStream) => void) {
    this.subscription = new Subscription(target, () => this.#serve());
    this.#ended = () => ended(this);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#serve();
    });
  }

  return(): Promise<IteratorResult<Change, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  end(): void {
    if (this.#done) return;
    this.#done = true;
    this.subscription.cancel();
    this.#serve();
    this.#ended();
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const value = this.#done ? undefined : this.subscription.take();
      if (value === undefined && !this.#done) return;
      const resolve = this.#waiting.shift();
      if (value === undefined) resolve?.({ done: true, value });
      else resolve?.({ done: false, value });
    }
  }
}
