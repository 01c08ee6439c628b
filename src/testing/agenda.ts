/** Planned actions: a binary heap, the earliest one first; among equals, the one planned first. */
interface Planned {
  readonly due: number;
  readonly order: number;
  readonly act: () => void;
  cancelled: boolean;
}

export class Agenda {
  readonly #heap: Planned[] = [];
  #order = 0;

  /** Plans `act`. Returns a function that cancels it; cancelling twice, or late, is harmless. */
  plan(due: number, act: () => void): () => void {
    const planned = { due, order: this.#order++, act, cancelled: false };
    this.#push(planned);
    return () => {
      planned.cancelled = true;
    };
  }

  /** Removes and returns the action that is due first, if it is due by `end`. */
  take(end: number): { readonly due: number; readonly act: () => void } | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.due > end) return undefined;
      this.#pop();
      if (!first.cancelled) return first;
    }
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
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
    const heap = this.#heap;
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
