/** The simulated store: one truth, and copies of how it was, which a deposed primary or a lagging member would show. */
import type { Namespace } from "../../src/core/store.ts";
import { type Doomed, MemoryStore } from "../../src/stores/memory.ts";
import { EPOCH } from "./machine.ts";
import type { World } from "./world.ts";

/** Something that changes what is stored. It can be done again, on a copy. */
export type Act<T> = (namespace: Namespace) => Promise<T>;

interface Done {
  readonly at: number;
  readonly stamp: number;
  readonly act: Act<unknown>;
}

const NAME = "simulated";

export class Cluster {
  readonly world: World;
  readonly primary: Namespace;
  readonly #drift: number;
  readonly #store: MemoryStore;
  /** The copies, each with its namespace: to find the store of one. */
  readonly #stores = new Map<Namespace, MemoryStore>();
  readonly #log: Done[] = [];
  #steppedBy = 0;
  /** When the latest of the calls that wait in line is done. */
  #servedAt = 0;

  constructor(world: World, drift: number) {
    this.world = world;
    this.#drift = drift;
    this.#store = storeWith(() => this.now());
    this.primary = this.#store.namespace(NAME);
  }

  /** The store's time. */
  now(): number {
    return Math.floor(EPOCH + this.world.now * (1 + this.#drift) + this.#steppedBy);
  }

  step(ms: number): void {
    this.#steppedBy += ms;
  }

  /** In how many ms a call is done that the store takes so long for, one after the other. */
  serveAfter(ms: number): number {
    this.#servedAt = Math.max(this.#servedAt, this.world.now) + ms;
    return this.#servedAt - this.world.now;
  }

  /** Deletes records, as somebody may do by hand; from the copies too, when they come to it. */
  destroy(doomed: Doomed): void {
    void this.change(async (namespace) => (this.#stores.get(namespace) ?? this.#store).destroy(NAME, doomed));
  }

  /** Does what changes the store, and notes it for the copies. */
  change<T>(act: Act<T>): Promise<T> {
    this.#log.push({ at: this.world.now, stamp: this.now(), act });
    return act(this.primary);
  }

  /** A copy that shows the store as it was `lagMs` ago: at this moment, or, where it follows, at each read. */
  copy(lagMs: number, follows: boolean): () => Namespace {
    let stamp = 0;
    let next = 0;
    const store = storeWith(() => stamp);
    const namespace = store.namespace(NAME);
    this.#stores.set(namespace, store);
    const catchUp = (): void => {
      for (let done = this.#log[next]; done !== undefined; done = this.#log[next]) {
        // The first is that the namespace is set up: a copy from before looks like one that was dropped.
        if (next > 0 && done.at > this.world.now - lagMs) break;
        stamp = done.stamp;
        void done.act(namespace);
        next++;
      }
    };
    catchUp();
    return () => {
      if (follows) catchUp();
      return namespace;
    };
  }
}

function storeWith(now: () => number): MemoryStore {
  const clock = { now, monotonic: now, setTimer: () => () => {} };
  return new MemoryStore({ clock });
}
