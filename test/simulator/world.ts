/** The simulated world: one true time, and what happens in it, in order. */

interface Planned {
  readonly due: number;
  readonly order: number;
  readonly act: () => void;
  cancelled: boolean;
}

export class World {
  /** The true time, in ms since the world began. Nobody in the world can read it. */
  now = 0;
  #order = 0;
  /** A binary heap: the earliest first, of equals the first planned. */
  readonly #planned: Planned[] = [];

  /** Plans `act` for a true time. The result cancels it. */
  at(time: number, act: () => void): () => void {
    const planned = { due: Math.max(time, this.now), order: this.#order++, act, cancelled: false };
    this.#push(planned);
    return () => {
      planned.cancelled = true;
    };
  }

  after(delayMs: number, act: () => void): () => void {
    return this.at(this.now + delayMs, act);
  }

  /** Lets all happen up to a true time; each happening settles, with all its promises, before the next. */
  async runUntil(end: number): Promise<void> {
    await settle();
    for (let next = this.#take(end); next !== undefined; next = this.#take(end)) {
      this.now = next.due;
      next.act();
      await settle();
    }
    this.now = end;
  }

  #take(end: number): Planned | undefined {
    for (;;) {
      const first = this.#planned[0];
      if (first === undefined || first.due > end) return undefined;
      this.#pop();
      if (!first.cancelled) return first;
    }
  }

  #push(planned: Planned): void {
    const heap = this.#planned;
    let at = heap.push(planned) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent], planned)) break;
      heap[at] = heap[parent] as Planned;
      at = parent;
    }
    heap[at] = planned;
  }

  #pop(): void {
    const heap = this.#planned;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child] as Planned)) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child] as Planned;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Planned | undefined, b: Planned): boolean {
  return a !== undefined && (a.due < b.due || (a.due === b.due && a.order < b.order));
}

/** Node runs every promise to its end before the next tick; this is far cheaper than a turn of the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
