import { EVERYTHING, type Selection } from "../core/selection.ts";
import type { Subscription } from "./delivery.ts";

/** The subscriptions of one presence, by what they want. */
export class Subscriptions {
  readonly #byKey = new Map<string, Set<Subscription>>();
  readonly #byPrefix = new Map<string, Set<Subscription>>();
  readonly #ofAll = new Set<Subscription>();
  readonly #unready = new Set<Subscription>();
  readonly #keys = new Set<string>();
  readonly #prefixes = new Set<string>();

  /** What they want together. A live view. */
  get wanted(): Selection {
    if (this.#ofAll.size > 0) return EVERYTHING;
    return { all: false, keys: this.#keys, prefixes: this.#prefixes };
  }

  /** How many changes they have not taken yet. */
  get pending(): number {
    let pending = 0;
    for (const some of [...this.#byKey.values(), ...this.#byPrefix.values(), this.#ofAll]) {
      for (const subscription of some) pending += subscription.pending;
    }
    return pending;
  }

  add(subscription: Subscription): void {
    this.#unready.add(subscription);
    const { target } = subscription;
    if (typeof target === "string") put(this.#byKey, this.#keys, target, subscription);
    else if ("prefix" in target && target.prefix !== "") {
      put(this.#byPrefix, this.#prefixes, target.prefix, subscription);
    } else this.#ofAll.add(subscription);
  }

  delete(subscription: Subscription): void {
    this.#unready.delete(subscription);
    const { target } = subscription;
    if (typeof target === "string") take(this.#byKey, this.#keys, target, subscription);
    else if ("prefix" in target && target.prefix !== "") {
      take(this.#byPrefix, this.#prefixes, target.prefix, subscription);
    } else this.#ofAll.delete(subscription);
  }

  /** Those that have not been handed the state at the time of `watch`. */
  unready(): Subscription[] {
    for (const subscription of this.#unready) if (subscription.ready) this.#unready.delete(subscription);
    return [...this.#unready];
  }

  /** Those that want the key. */
  *of(key: string): IterableIterator<Subscription> {
    yield* this.#byKey.get(key) ?? [];
    for (const [prefix, subscriptions] of this.#byPrefix) if (key.startsWith(prefix)) yield* subscriptions;
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
