import {
  includesKey,
  isEmptySelection,
  missingFrom,
  select,
  type Selection,
  type WatchTarget,
} from "../../core/selection.ts";

/** What an observer has loaded, and follows since. Part of what is wanted, whole once all that is wanted is loaded. */
export class Loaded implements Selection {
  #all = false;
  #keys = new Set<string>();
  #prefixes = new Set<string>();

  get all(): boolean {
    return this.#all;
  }

  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  get prefixes(): ReadonlySet<string> {
    return this.#prefixes;
  }

  /** As it is now, for who keeps it. */
  copy(): Selection {
    return { all: this.#all, keys: new Set(this.#keys), prefixes: new Set(this.#prefixes) };
  }

  has(target: WatchTarget): boolean {
    if (typeof target === "string") return includesKey(this, target);
    return isEmptySelection(missingFrom(this, select([target])));
  }

  /** These have been loaded; those that nobody wants any more are passed over. */
  add({ all, keys, prefixes }: Selection, wanted: Selection): void {
    if (all && wanted.all) this.#all = true;
    for (const key of keys) if (wanted.keys.has(key)) this.#keys.add(key);
    for (const prefix of prefixes) if (wanted.prefixes.has(prefix)) this.#prefixes.add(prefix);
  }

  /** One has left who wanted this target: as `narrow`, without a look at all keys for each of many that leave. */
  leave(target: WatchTarget, wanted: Selection): void {
    if (wanted.all) return;
    if (typeof target === "string") {
      if (!wanted.keys.has(target)) this.#keys.delete(target);
    } else if ("prefix" in target && target.prefix !== "") {
      const { prefix } = target;
      if (wanted.prefixes.has(prefix) || !this.#prefixes.delete(prefix)) return;
      for (const key of wanted.keys) if (key.startsWith(prefix)) this.#keys.add(key);
      for (const other of wanted.prefixes) if (other.startsWith(prefix)) this.#prefixes.add(other);
    } else this.narrow(wanted);
  }

  /** Keeps what is wanted, and only that. What a wider target has loaded for a narrower one stays loaded. */
  narrow(wanted: Selection): void {
    if (wanted.all) return;
    const keys = [...wanted.keys].filter((key) => includesKey(this, key));
    const prefixes = [...wanted.prefixes].filter((prefix) => this.has({ prefix }));
    this.#all = false;
    this.#keys = new Set(keys);
    this.#prefixes = new Set(prefixes);
  }
}
