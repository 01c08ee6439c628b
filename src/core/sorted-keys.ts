/** Sorted keys. Adding, deleting and finding one costs about the same among a million as among a thousand. */

/** A block with more keys is split in two. */
const BLOCK_MAX = 512;

/** In the order of UTF-16 code units, in which the keys with one prefix follow each other. */
export class SortedKeys {
  /** Not empty. All keys of a block are less than those of the next one. */
  readonly #blocks: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([key]);
      this.#size++;
      return;
    }
    const index = firstFrom(block, key);
    if (block[index] === key) return;
    block.splice(index, 0, key);
    this.#size++;
    if (block.length > BLOCK_MAX) this.#blocks.splice(at + 1, 0, block.splice(BLOCK_MAX / 2));
  }

  delete(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    const index = block === undefined ? 0 : firstFrom(block, key);
    if (block?.[index] !== key) return;
    block.splice(index, 1);
    this.#size--;
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** The keys from this text on. Nothing may be added or deleted during the iteration. */
  *from(text: string): IterableIterator<string> {
    const first = this.#blockOf(text);
    for (let at = first; at < this.#blocks.length; at++) {
      const block = this.#blocks[at] ?? [];
      for (let index = at === first ? firstFrom(block, text) : 0; index < block.length; index++)
        yield block[index] ?? "";
    }
  }

  /** The keys with the prefix, from this text on. Nothing may be added or deleted during the iteration. */
  *startingWith(prefix: string, from = prefix): IterableIterator<string> {
    for (const key of this.from(from < prefix ? prefix : from)) {
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  /** The index of the last block that begins with the text or before it; 0 if none does. */
  #blockOf(text: string): number {
    let [low, high] = [0, this.#blocks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle]?.[0] ?? "") <= text) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** The index of the first key that is not before the text. */
function firstFrom(keys: readonly string[], text: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The least text after this one, from which an iteration that has reached this key continues. */
export function after(key: string): string {
  return `${key}\0`;
}
