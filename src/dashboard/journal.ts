/** The latest changes, numbered, so that a client that was away gets what it missed. Bounded in number and size. */
import type { Change } from "../presence/change.ts";

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
  #chars = 0;
  #latest = 0;

  /** The number of the latest change; 0 before the first. */
  get latest(): number {
    return this.#latest;
  }

  add(change: Change): Entry {
    const entry = { id: ++this.#latest, key: change.key, text: JSON.stringify(change) };
    this.#entries.set(entry.id, entry);
    this.#chars += entry.text.length;
    for (const [id, { text }] of this.#entries) {
      if (this.#entries.size <= CHANGES_MAX && this.#chars <= CHARS_MAX) break;
      this.#entries.delete(id);
      this.#chars -= text.length;
    }
    return entry;
  }

  /** The changes after the one with this number, oldest first; undefined if some of them are no longer kept. */
  after(id: number): Entry[] | undefined {
    if (id > this.#latest || id < this.#latest - this.#entries.size) return undefined;
    return this.#between(id, this.#latest);
  }

  /** The latest `count` changes up to the one with this number, as far as they are kept, oldest first. */
  upTo(id: number, count: number): Entry[] {
    return this.#between(id - count, id);
  }

  #between(after: number, last: number): Entry[] {
    const entries: Entry[] = [];
    for (let id = after + 1; id <= last; id++) {
      const entry = this.#entries.get(id);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }
}
