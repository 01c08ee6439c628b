import type { Registration } from "./registration.ts";
import type { Slot } from "./slots.ts";

/** What a process declares: the latest start of each of its pingers, until a retention after it was released. */
export class Declarations {
  readonly #latest = new Map<number, Registration>();
  /** Those of them that are released, in the order of their release. */
  readonly #released = new Set<Registration>();
  /** How many starts were declared, and how many releases, so far. */
  startCount = 0;
  releaseCount = 0;

  /** By the pinger's number. */
  get byPinger(): ReadonlyMap<number, Registration> {
    return this.#latest;
  }

  /** How many are held. */
  get heldCount(): number {
    return this.#latest.size - this.#released.size;
  }

  /** Those that are held. */
  *held(): IterableIterator<Registration> {
    for (const registration of this.#latest.values()) if (registration.last === undefined) yield registration;
  }

  /** How many open records the session should have, at least and at most: some may be under way. */
  get openCount(): { readonly least: number; readonly most: number } {
    let least = 1; // the session itself
    let most = 1;
    for (const { last, isWritten, isStarting } of this.#latest.values()) {
      if (last === undefined) most++;
      if (last === undefined && !isStarting) least++;
      if (last !== undefined && !isWritten) most++;
    }
    return { least, most };
  }

  /** Whether an end is not written yet. */
  get hasUnwrittenEnd(): boolean {
    for (const { isWritten } of this.#released) if (!isWritten) return true;
    return false;
  }

  /** Declares it, in place of the earlier start of its pinger. */
  add(registration: Registration): void {
    const before = this.#latest.get(registration.pinger);
    if (before !== undefined) this.#released.delete(before);
    this.#latest.set(registration.pinger, registration);
    this.startCount++;
  }

  /** Its pinger has released it. */
  release(registration: Registration): void {
    if (this.#latest.get(registration.pinger) !== registration) return;
    this.#released.delete(registration);
    this.#released.add(registration);
    this.releaseCount++;
  }

  /** Declares nothing about it any more. Does nothing if its pinger has started again since. */
  delete(registration: Registration): void {
    if (this.#latest.get(registration.pinger) === registration) this.#latest.delete(registration.pinger);
    this.#released.delete(registration);
  }

  clear(): void {
    this.#latest.clear();
    this.#released.clear();
  }

  /** Forgets registrations released before slot `oldest`: they have been pruned, or will be soon. */
  forgetBefore(oldest: Slot): void {
    for (const registration of this.#released) {
      if (registration.endedIn >= oldest) break;
      if (registration.isWritten) this.delete(registration);
    }
  }
}
