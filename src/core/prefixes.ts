/** Up to this many prefixes are tried one by one. */
const FEW = 8;

/**
 * A set of prefixes that finds the prefixes of a text without trying all of them: it looks the text up once for each
 * length of a prefix. Thousands of users with a prefix each cost as much as one.
 */
export class Prefixes extends Set<string> {
  /** How many prefixes there are of each length. */
  readonly #lengths = new Map<number, number>();

  constructor(prefixes: Iterable<string> = []) {
    super();
    for (const prefix of prefixes) this.add(prefix);
  }

  override add(prefix: string): this {
    if (!this.has(prefix)) this.#lengths.set(prefix.length, (this.#lengths.get(prefix.length) ?? 0) + 1);
    return super.add(prefix);
  }

  override delete(prefix: string): boolean {
    if (!super.delete(prefix)) return false;
    const left = (this.#lengths.get(prefix.length) ?? 0) - 1;
    if (left > 0) this.#lengths.set(prefix.length, left);
    else this.#lengths.delete(prefix.length);
    return true;
  }

  override clear(): void {
    super.clear();
    this.#lengths.clear();
  }

  /** The prefixes that the text begins with. */
  *of(text: string): IterableIterator<string> {
    if (this.size <= FEW) {
      for (const prefix of this) if (text.startsWith(prefix)) yield prefix;
      return;
    }
    for (const length of this.#lengths.keys()) {
      if (length > text.length) continue;
      const prefix = text.slice(0, length);
      if (this.has(prefix)) yield prefix;
    }
  }

  /** Whether the text begins with one of the prefixes. */
  covers(text: string): boolean {
    return this.of(text).next().done !== true;
  }
}
