import { Prefixes } from "./prefixes.ts";
import { includesKey, includesPrefix, prefixOf, type Selection, type WatchTarget } from "./selection.ts";

/** The selection that has been loaded and is followed since: a part of what is wanted, until all of it is loaded. */
export class Coverage implements Selection {
  #all = false;
  #keys = new Set<string>();
  #prefixes = new Prefixes();
  /** What is being loaded, except the part that left meanwhile: that is loaded again if it comes back. */
  #loading: Coverage | undefined;

  get all(): boolean {
    return this.#all;
  }

  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  get prefixes(): ReadonlySet<string> {
    return this.#prefixes;
  }

  has(target: WatchTarget): boolean {
    if (typeof target === "string") return includesKey(this, target);
    return includesPrefix(this, prefixOf(target) ?? "");
  }

  /** A subscription of this target begins, and all of it is loaded. It stays loaded when a wider target leaves. */
  join(target: WatchTarget, wanted: Selection): void {
    if (typeof target === "string") {
      if (wanted.keys.has(target)) this.#keys.add(target);
      return;
    }
    const prefix = prefixOf(target);
    if (prefix && wanted.prefixes.has(prefix)) this.#prefixes.add(prefix);
  }

  /** A load of the selection begins. */
  beginLoad(selected: Selection, wanted: Selection): void {
    this.#loading = new Coverage();
    this.#loading.#add(selected, wanted);
  }

  /** The load is complete. */
  endLoad(wanted: Selection): void {
    if (this.#loading !== undefined) this.#add(this.#loading, wanted);
    this.#loading = undefined;
  }

  /** Adds a selection, except the part that is no longer wanted. */
  #add({ all, keys, prefixes }: Selection, wanted: Selection): void {
    if (all && wanted.all) this.#all = true;
    for (const key of keys) if (wanted.keys.has(key)) this.#keys.add(key);
    for (const prefix of prefixes) if (wanted.prefixes.has(prefix)) this.#prefixes.add(prefix);
  }

  /** A subscription of this target has ended. Like `narrow`, but does not go through everything wanted. */
  leave(target: WatchTarget, wanted: Selection): void {
    if (wanted.all) return;
    this.#loading?.leave(target, wanted);
    const prefix = prefixOf(target);
    if (typeof target === "string") {
      if (!wanted.keys.has(target)) this.#keys.delete(target);
    } else if (prefix) {
      if (!wanted.prefixes.has(prefix)) this.#prefixes.delete(prefix);
    } else this.narrow(wanted);
  }

  /** Keeps only what is wanted. A narrower target stays loaded if a wider one had loaded it. */
  narrow(wanted: Selection): void {
    if (wanted.all) return;
    this.#loading?.narrow(wanted);
    const keys = [...wanted.keys].filter((key) => includesKey(this, key));
    const prefixes = [...wanted.prefixes].filter((prefix) => this.has({ prefix }));
    this.#all = false;
    this.#keys = new Set(keys);
    this.#prefixes = new Prefixes(prefixes);
  }
}
