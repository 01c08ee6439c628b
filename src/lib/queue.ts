/** Calls that take effect in order. */
export class InOrder {
  /** Resolves when the next call may take effect. Never rejects. */
  #before: Promise<void> | undefined;

  /** Acts at once, or after the calls that must finish first. */
  run(act: () => Promise<void>): Promise<void> {
    const before = this.#before;
    return before === undefined ? act() : this.#comesBefore(before.then(act, act));
  }

  /** Like `run`, but exclusively: calls made meanwhile wait until it has finished. */
  runAlone(act: () => Promise<void>): Promise<void> {
    return this.#comesBefore(this.run(act));
  }

  #comesBefore(work: Promise<void>): Promise<void> {
    const over = work
      .catch(() => {}) // reported to the caller
      .finally(() => {
        if (this.#before === over) this.#before = undefined;
      });
    this.#before = over;
    return work;
  }
}

/** Lets a limited number of calls run at a time; the others wait in order. */
export class Semaphore {
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
