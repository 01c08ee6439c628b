/** One start of one pinger of this presence: what is declared about it, and how it becomes records. */
import { deathPosition } from "./alive.ts";
import type { Declared } from "./reconcile.ts";
import { KILLED, type RegistrationRecord } from "./records.ts";
import type { Slot } from "./slots.ts";
import type { Write } from "./store.ts";
import type { StoreTime } from "./store-time.ts";

/** The owner of a registration, which is notified when another process ends it. */
export interface Owner {
  /** Another process has ended this registration: it is not held any more. */
  endedByOther(registration: Registration): void;
  /** The namespace is gone, and the key with it. */
  lost(): void;
}

/** The part of a registration that is not written yet. */
export type Unwritten = "meta" | "start" | "end";

/** A class, so that all instances share one hidden class: a gateway holds 100,000. */
export class Registration implements Declared {
  readonly key: string;
  readonly pinger: number;
  /** Since when the key is held: the store's time in ms. */
  readonly since: number;
  owner: Owner;
  start: number;
  firstStart: number;
  meta: string;
  revision = 0;
  /** Whether an earlier start of the pinger may still count, so that this one must end it. */
  endsEarlier: boolean;
  last: Slot | undefined = undefined;
  /** Until when it counts after it was released, in ms: the earlier by one of the clocks. Undefined: it was killed. */
  #heldUntil: { readonly monotonic: number; readonly wall: number } | undefined = undefined;
  /** The slot in which it was released. */
  endedIn: Slot = 0;
  unwritten: Unwritten | "nothing" = "nothing";
  /** The session and the start of its latest write: it may be stored as that. */
  #sentBy = -1;
  #sentStart = 0;
  /** How many writes of it are under way, and how many of them write a start. */
  writing = 0;
  startsUnderWay = 0;
  /** Callers that wait until its latest state is written. */
  waiters: Waiter[] | undefined = undefined;

  constructor(owner: Owner, key: string, pinger: number, meta: string, succession: Succession) {
    this.owner = owner;
    this.key = key;
    this.pinger = pinger;
    this.meta = meta;
    this.start = this.firstStart = succession.start;
    this.since = succession.since;
    this.endsEarlier = succession.endsEarlier;
  }

  /** Resolves when its latest state is written. */
  written(): Promise<void> {
    return new Promise((resolve, reject) => {
      (this.waiters ??= []).push({ resolve, reject });
    });
  }

  get isWritten(): boolean {
    return this.unwritten === "nothing" && this.writing === 0;
  }

  /** Whether its start is not known to be stored yet. */
  get isStarting(): boolean {
    return this.unwritten === "start" || this.startsUnderWay > 0;
  }

  /** Releases it. It counts until `heldUntil`, a monotonic time in ms; -Infinity: it is killed. */
  end(time: StoreTime, heldUntil: number): void {
    this.endedIn = time.slot;
    const isKilled = heldUntil === -Infinity;
    this.#heldUntil = isKilled ? undefined : { monotonic: heldUntil, wall: heldUntil + time.wallLead };
    this.#setLast(time);
  }

  /**
   * The writes to be sent now, to bring what is stored in line with what is declared. Each has the current slot, which
   * proves life.
   */
  writes(session: number, unwritten: Unwritten, time: StoreTime): Write[] {
    const { pinger, start, meta, revision } = this;
    if (unwritten === "meta") {
      return [{ kind: "meta", registration: { session, pinger, start }, meta, revision }];
    }
    // Compute it again: slots may have moved on since the release.
    if (unwritten === "end") this.#setLast(time);
    const isNew = unwritten === "start" && (this.#sentBy !== session || this.#sentStart !== start);
    [this.#sentBy, this.#sentStart] = [session, start];
    const put: Write = { kind: "registration", registration: this.#record(session, time.slot), isNew };
    if (!this.endsEarlier) return [put];
    // Not 0: a watcher that reads only the earlier start must not report a death.
    return [put, { kind: "end", registration: { session, pinger, start: start - 1 }, last: time.slot }];
  }

  #record(session: number, slot: Slot): RegistrationRecord {
    const { key, pinger, start, since, meta, revision, last } = this;
    const record = { session, pinger, start, key, since, slot, meta, revision };
    return last === undefined ? record : { ...record, last };
  }

  #setLast(time: StoreTime): void {
    this.last = KILLED;
    if (this.#heldUntil === undefined) return;
    const { monotonic, wall } = this.#heldUntil;
    // The monotonic clock stands still in a sleep.
    this.last = Math.max(1, Math.floor(time.positionWhen(Math.min(monotonic, wall - time.wallLead))));
  }
}

/** How a start continues from the start before it. */
interface Succession {
  readonly start: number;
  readonly since: number;
  readonly endsEarlier: boolean;
}

/**
 * How a new start of a pinger treats the start before it:
 *
 *   the start before                             `since`                   ends it
 *   none                                         now                       -
 *   killed, or lost with its namespace           now                       no, it is over
 *   stopped, and its time has run out            now                       yes
 *   refused                                      now                       yes: it may have been written after all
 *   stopped, and it still counts                 that of the earlier one   yes
 *
 * So watchers do not notice a restart while the earlier start still counts: the key was held all along.
 *
 * `isOver`: whether another process has killed the earlier one, or it was lost with its namespace.
 */
export function successionOf(
  earlier: Registration | undefined,
  isOver: boolean,
  time: StoreTime,
): Succession {
  // A machine that has just woken up is behind by its sleep until the next answer.
  const now = Math.floor(time.now + (time.mayHaveSlept ? time.sleptMs : 0));
  if (earlier === undefined) return { start: 1, since: now, endsEarlier: false };
  const start = earlier.start + 1;
  if (isOver || earlier.last === KILLED) return { start, since: now, endsEarlier: false };
  // One slot less than the rule allows: another process's view of the time may be a little ahead of ours.
  const counts = earlier.last !== undefined && time.positionOf(now) < deathPosition(earlier.last) - 1;
  return { start, since: counts ? earlier.since : now, endsEarlier: true };
}

export interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
