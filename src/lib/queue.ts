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
