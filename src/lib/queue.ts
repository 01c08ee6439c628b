/** Calls that take effect in their order, where one must be over before the next. */
export class InOrder {
  readonly #alsoBefore: () => Promise<unknown> | undefined;
  /** What must be over before the next call takes effect. Never rejects. */
  #before: Promise<void> | undefined;

  /** `alsoBefore` gives what else must be over before, if anything: asked where no call of these is waited for. */
  constructor(alsoBefore: () => Promise<unknown> | undefined) {
    this.#alsoBefore = alsoBefore;
  }

  /** Acts at once; or, where something must be over before, after that. */
  run(act: () => Promise<void>): Promise<void> {
    const before = this.#before ?? this.#alsoBefore();
    return before === undefined ? act() : this.#comesBefore(before.then(act, act));
  }

  /** The same, and alone: what is called meanwhile waits until it is over. */
  runAlone(act: () => Promise<void>): Promise<void> {
    return this.#comesBefore(this.run(act));
  }

  #comesBefore(work: Promise<void>): Promise<void> {
    const over = work
      .catch(() => {}) // told to whoever called
      .finally(() => {
        if (this.#before === over) this.#before = undefined;
      });
    this.#before = over;
    return work;
  }
}
