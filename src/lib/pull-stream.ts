import type { Source } from "./round-robin.ts";

/** The items of a source as an async iterator. Nothing is taken from the source before it is asked for. */
export class PullStream<Item> implements AsyncIterableIterator<Item> {
  readonly #source: Source<Item>;
  readonly #ended: () => void;
  readonly #waiting: ((result: IteratorResult<Item, undefined>) => void)[] = [];
  #done = false;

  /** Calls `ended` once, when the stream has ended. */
  constructor(source: Source<Item>, ended: () => void) {
    this.#source = source;
    this.#ended = ended;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.serve();
    });
  }

  return(): Promise<IteratorResult<Item, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  end(): void {
    if (this.#done) return;
    this.#done = true;
    this.serve();
    this.#ended();
  }

  /** The source has something: passes it to those that wait. */
  serve(): void {
    while (this.#waiting.length > 0) {
      const value = this.#done ? undefined : this.#source.take();
      if (value !== undefined) this.#waiting.shift()?.({ done: false, value });
      else if (this.#done) this.#waiting.shift()?.({ done: true, value: undefined });
      else return;
    }
  }
}
