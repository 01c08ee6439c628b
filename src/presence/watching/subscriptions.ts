import { Prefixes } from "../../core/prefixes.ts";
import { EVERYTHING, prefixOf, type Selection } from "../../core/selection.ts";
import type { Subscription } from "./delivery.ts";

/** The subscriptions of one presence, by target. */
export class Subscriptions {
  readonly #byKey = new Map<string, Set<Subscription>>();
  readonly #byPrefix = new Map<string, Set<Subscription>>();
  readonly #ofAll = new Set<Subscription>();
  readonly #each = new Set<Subscription>();
  readonly #unready = new Set<Subscription>();
  readonly #keys = new Set<string>();
  readonly #prefixes = new Prefixes();

  /** The union of their targets. A live view. */
  get wanted(): Selection {
    if (this.#ofAll.size > 0) return EVERYTHING;
    return { all: false, keys: this.#keys, prefixes: this.#prefixes };
  }

  /** How many changes they have not taken yet. */
  get pending(): number {
    let pending = 0;
    for (const subscription of this.#each) pending += subscription.pending;
    return pending;
  }

  add(subscription: Subscription): void {
    this.#each.add(subscription);
    this.#unready.add(subscription);
    const { target } = subscription;
    const prefix = prefixOf(target);
    if (typeof target === "string") put(this.#byKey, this.#keys, target, subscription);
    else if (prefix) put(this.#byPrefix, this.#prefixes, prefix, subscription);
    else this.#ofAll.add(subscription);
  }

  delete(subscription: Subscription): void {
    this.#each.delete(subscription);
    this.#unready.delete(subscription);
    const { target } = subscription;
    const prefix = prefixOf(target);
    if (typeof target === "string") take(this.#byKey, this.#keys, target, subscription);
    else if (prefix) take(this.#byPrefix, this.#prefixes, prefix, subscription);
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
    return this.#each.size > this.#unready.size;
  }

  /** The subscriptions that include the key. */
  *of(key: string): IterableIterator<Subscription> {
    yield* this.#byKey.get(key) ?? [];
    for (const prefix of this.#prefixes.of(key)) yield* this.#byPrefix.get(prefix) ?? [];
    yield* this.#ofAll;
  }
}

function put(
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

function take(
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
