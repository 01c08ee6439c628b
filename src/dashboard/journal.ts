/** The latest changes, numbered, so that a client that was away gets what it missed. Bounded in number and size. */
import type { Change } from "../core/change.ts";

const CHANGES_MAX = 10_000;
/** A meta has up to 16 KiB, so the number of changes alone is not enough of a bound. */
const CHARS_MAX = 8 * 1024 * 1024;

export interface Entry {
  /** From 1, without a gap. */
  readonly id: number;
  readonly key: string;
  /** The change as JSON, serialized once for all clients. */
  readonly text: string;
}

export class Journal {
  /** By number, in their order. */
  readonly #entries = new Map<number, Entry>();
  /** The number of the latest change of each key, as far as it is kept. */
  readonly #latestOf = new Map<string, number>();
  #chars = 0;
  #latest = 0;

  /** The number of the latest change; 0 before the first. */
  get latest(): number {
    return this.#latest;
  }

  add(change: Change): Entry {
    const entry = { id: ++this.#latest, key: change.key, text: JSON.stringify(change) };
    this.#entries.set(entry.id, entry);
    this.#latestOf.set(entry.key, entry.id);
    this.#chars += entry.text.length;
    for (const kept of this.#entries.values()) {
      if (this.#entries.size <= CHANGES_MAX && this.#chars <= CHARS_MAX) break;
      this.#delete(kept);
    }
    return entry;
  }

  /** Forgets everything: nobody can resume from an earlier number. */
  clear(): void {
    for (const entry of this.#entries.values()) this.#delete(entry);
    this.#latest++;
  }

  /** The change with this number; undefined if it is no longer kept, or has not happened. */
  get(id: number): Entry | undefined {
    return this.#entries.get(id);
  }

  /** Whether all changes after the one with this number are kept. */
  hasAllAfter(id: number): boolean {
    return id <= this.#latest && id >= this.#latest - this.#entries.size;
  }

  /** Whether no later change of the same key is known. */
  isLatest({ id, key }: Entry): boolean {
    return this.#latestOf.get(key) === id;
  }

  #delete({ id, key, text }: Entry): void {
    this.#entries.delete(id);
    if (this.#latestOf.get(key) === id) this.#latestOf.delete(key);
    this.#chars -= text.length;
  }
}
