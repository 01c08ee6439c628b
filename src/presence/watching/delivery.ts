/**
 * Delivers changes to subscribers. Delivery never blocks the slot loop, and is bounded: for each subscription and key,
 * changes that are not consumed yet collapse to the latest state.
 */
import type { HolderState, RosterChange } from "../../core/roster.ts";
import type { WatchTarget } from "../../core/selection.ts";
import { type Change, collapse, type Pending, toChange } from "../change.ts";

/** One subscriber to a target, with the changes that it has not consumed yet. */
export class Subscription {
  readonly target: WatchTarget;
  /** Whether it has the state at the time of `watch`: changes count only from then on. */
  ready = false;
  #cancelled = false;
  readonly #pending = new Map<string, Pending>();
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
      const isKey = typeof this.target === "string";
      // The initial state of a prefix, or of all keys, has only live keys.
      if (pending.known === undefined && pending.now.length === 0 && !isKey) continue;
      const change = toChange(pending);
      if (change !== undefined) return change;
    }
    this.#next = undefined;
    return undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#pending.clear();
  }

  #put(pending: Pending): void {
    if (this.#cancelled) return;
    this.#pending.set(pending.key, collapse(this.#pending.get(pending.key), pending));
    this.#arrived(this);
  }
}

/** The changes of one subscription as an async iterator. It ends when it is returned, stopped or aborted. */
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
