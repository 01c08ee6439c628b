/**
 * The queue of what this presence writes, in the order of the calls. What is queued in one tick goes as one bulk; what
 * fails is repeated every twentieth of the period until it succeeds, which is harmless because every write is
 * idempotent.
 */
import { HeartbitError, toError } from "../../core/errors.ts";
import type { Write } from "../../core/store.ts";
import { describe } from "../context/log.ts";
import { bulk, isFinal, knowsTime, RETRY_OF_PERIOD, type Shared } from "../context/context.ts";
import { Sleeper } from "../../lib/timers.ts";

/** About how many writes go in one bulk: so few that a slow server acknowledges them in the time that a bulk has. */
const BULK_WRITES = 5000;

interface Entry {
  /** Makes the writes, at each try anew: what proves life bears the slot in which it is written. */
  readonly make: () => readonly Write[];
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class Writer {
  readonly #shared: Shared;
  readonly #ready: () => Promise<unknown>;
  readonly #sleeper: Sleeper;
  readonly #queue: Entry[] = [];
  #isDraining = false;

  /** `ready` is awaited before each bulk. What it rejects with ends all that is queued. */
  constructor(shared: Shared, ready: () => Promise<unknown>) {
    this.#shared = shared;
    this.#ready = ready;
    this.#sleeper = new Sleeper(shared.clock);
  }

  /** Resolves when the writes are acknowledged. Rejects with what can never heal, or with `PRESENCE_CLOSED`. */
  write(make: () => readonly Write[]): Promise<void> {
    if (this.#sleeper.ended) return Promise.reject(closed(this.#shared.name));
    return new Promise((resolve, reject) => {
      this.#queue.push({ make, done: resolve, failed: reject });
      if (this.#isDraining) return;
      this.#isDraining = true;
      queueMicrotask(() => void this.#drain());
    });
  }

  /** Resolves when all that is queued now has been acknowledged or refused; what is queued later is not waited for. */
  async idle(): Promise<void> {
    if (this.#queue.length > 0) await this.write(() => []).catch(() => {});
  }

  /** Tries again at once: the store answers again. */
  hurry(): void {
    this.#sleeper.wake();
  }

  /** Gives up what is queued up to now. */
  giveUp(error: HeartbitError): void {
    for (const entry of this.#queue.splice(0)) entry.failed(error);
    this.#sleeper.wake();
  }

  /** Gives up what is still queued, and takes nothing more. */
  end(): void {
    this.#sleeper.end();
    this.giveUp(closed(this.#shared.name));
  }

  async #drain(): Promise<void> {
    let hasSlept = false;
    while (this.#queue.length > 0) {
      const [first] = this.#queue;
      await knowsTime(this.#shared); // what proves life in the slot before a sleep proves nothing
      if (this.#queue[0] !== first) continue; // given up meanwhile
      const refused = await this.#ready().then(() => undefined, toError); // the last: there is a session now
      if (this.#queue[0] !== first) continue;
      if (this.#shared.time.mayBeOff && !hasSlept) {
        hasSlept = true; // just now
        continue;
      }
      hasSlept = false;
      const { entries, writes } =
        refused === undefined ? this.#next() : { entries: [...this.#queue], writes: [] };
      const error = refused ?? (await this.#try(writes));
      if (this.#sleeper.ended) break;
      if (this.#queue[0] !== first) continue;
      if (error !== undefined && !isFinal(error)) {
        await this.#sleeper.sleep(this.#shared.periodMs * RETRY_OF_PERIOD);
        continue;
      }
      this.#queue.splice(0, entries.length);
      for (const { done, failed } of entries) {
        if (error === undefined) done();
        else failed(error);
      }
    }
    this.#isDraining = false;
  }

  /** What goes next: by its writes, since one entry may have a thousand of them and another none. */
  #next(): { readonly entries: Entry[]; readonly writes: Write[] } {
    const entries: Entry[] = [];
    const writes: Write[] = [];
    for (const entry of this.#queue) {
      if (writes.length >= BULK_WRITES) break;
      entries.push(entry);
      writes.push(...entry.make());
    }
    return { entries, writes };
  }

  /** Gives what went wrong, or undefined. */
  async #try(writes: readonly Write[]): Promise<Error | undefined> {
    const { namespace, health } = this.#shared;
    try {
      if (writes.length > 0) await bulk(this.#shared, "write", namespace.write(writes));
      return undefined;
    } catch (error) {
      if (!this.#sleeper.ended && !isFinal(error)) health.trouble(`a write failed: ${describe(error)}`);
      return toError(error);
    }
  }
}

export function closed(name: string, cause?: unknown): HeartbitError {
  const options = cause === undefined ? {} : { cause };
  return new HeartbitError("PRESENCE_CLOSED", `The presence "${name}" is closed.`, options);
}
