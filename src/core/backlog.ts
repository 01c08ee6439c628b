/**
 * What is declared and not stored yet. Only the latest state of each registration waits, however often it changed
 * meanwhile. Ends go before starts, starts before metas.
 */
import type { End } from "./reconcile.ts";
import type { Registration, Unwritten, Waiter } from "./registration.ts";
import type { Write } from "./store.ts";
import type { StoreTime } from "./store-time.ts";

/** Writes that go to the store together. */
export interface Batch {
  readonly writes: readonly Write[];
  readonly ends: readonly End[];
  readonly parts: readonly Part[];
}

interface Part {
  readonly registration: Registration;
  readonly unwritten: Unwritten;
  readonly waiters: readonly Waiter[];
}

export class Backlog {
  readonly #unwritten = {
    end: new Set<Registration>(),
    start: new Set<Registration>(),
    meta: new Set<Registration>(),
  };
  /** Ends of starts that are not declared any more. */
  #ends: End[] = [];

  get isEmpty(): boolean {
    const { end, start, meta } = this.#unwritten;
    return end.size + start.size + meta.size + this.#ends.length === 0;
  }

  add(registration: Registration, unwritten: Unwritten): void {
    const before = registration.unwritten;
    // An end includes everything, a start includes the meta.
    const isMore =
      before === "nothing" || unwritten === "end" || (unwritten === "start" && before === "meta");
    if (!isMore) return;
    if (before !== "nothing") this.#unwritten[before].delete(registration);
    registration.unwritten = unwritten;
    this.#unwritten[unwritten].add(registration);
  }

  addEnds(ends: readonly End[]): void {
    for (const end of ends) this.#ends.push(end); // not spread: there may be very many
  }

  /** The registrations that wait. */
  *waiting(): IterableIterator<Registration> {
    for (const some of Object.values(this.#unwritten)) yield* some;
  }

  /** Takes a batch of about `most` writes for the session. */
  take(session: number, most: number, time: StoreTime): Batch {
    const ends = this.#ends.splice(0, most);
    const writes: Write[] = ends
      .filter(({ id }) => id.session === session)
      .map(({ id: { pinger, start }, last }) => {
        return { kind: "end", registration: { session, pinger, start }, last };
      });
    const parts: Part[] = [];
    for (const unwritten of ["end", "start", "meta"] as const) {
      for (const registration of this.#unwritten[unwritten]) {
        if (writes.length >= most) break;
        this.#unwritten[unwritten].delete(registration);
        registration.unwritten = "nothing";
        registration.writing++;
        if (unwritten === "start") registration.startsUnderWay++;
        writes.push(...registration.writes(session, unwritten, time));
        parts.push({ registration, unwritten, waiters: takeWaiters(registration) });
      }
    }
    return { writes, ends, parts };
  }

  /** The batch is stored. */
  acknowledge({ parts }: Batch): void {
    for (const { registration, unwritten, waiters } of parts) {
      registration.writing--;
      if (unwritten === "start") registration.startsUnderWay--;
      if (unwritten !== "meta") registration.endsEarlier = false;
      for (const { resolve } of waiters) resolve();
    }
  }

  /** The batch failed: what is still the latest state waits again. */
  putBack({ ends, parts }: Batch): void {
    this.#ends.unshift(...ends);
    for (const { registration, unwritten, waiters } of parts) {
      registration.writing--;
      if (unwritten === "start") registration.startsUnderWay--;
      if (waiters.length > 0) registration.waiters = [...waiters, ...(registration.waiters ?? [])];
      this.add(registration, unwritten);
    }
  }

  /** Gives up everything, or everything except ends. */
  giveUp(error: Error, withEnds = true): void {
    const { end, start, meta } = this.#unwritten;
    for (const registrations of withEnds ? [end, start, meta] : [start, meta]) {
      for (const registration of registrations) {
        registration.unwritten = "nothing";
        for (const { reject } of takeWaiters(registration)) reject(error);
      }
      registrations.clear();
    }
    if (withEnds) this.#ends = [];
  }
}

function takeWaiters(registration: Registration): Waiter[] {
  const waiters = registration.waiters ?? [];
  registration.waiters = undefined;
  return waiters;
}
