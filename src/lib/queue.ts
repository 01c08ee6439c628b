/** Calls that take effect in their order. */
export class InOrder {
  /** What must be over before the next call takes effect. Never rejects. */
  #before: Promise<void> | undefined;

  /** Acts at once, or after what must be over before. */
  run(act: () => Promise<void>): Promise<void> {
    const before = this.#before;
    return before === undefined ? act() : this.#comesBefore(before.then(act, act));
  }

  /** The same, and alone: what is called meanwhile waits until it is over. */
  runAlone(act: () => Promise<void>): Promise<void> {
    return this.#comesBefore(this.run(act));
  }

  #comesBefore(work: Promise<void>): Promise<void> {
    const over = work
      .catch(() => {}) // the caller hears of it
      .finally(() => {
        if (this.#before === over) this.#before = undefined;
      });
    this.#before = over;
    return work;
  }
}

/** Lets so many go on at a time; the others wait in the order of their calls. */
export class Turnstile {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  async run<T>(act: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
