/** One start of one pinger of this presence: what is declared about it, and how it becomes records. */
import { KILLED } from "../../core/alive.ts";
import type { Declared } from "../../core/reconcile.ts";
import type { RegistrationRecord } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Write } from "../../core/store.ts";
import type { Context } from "../context/context.ts";

/** Who holds a registration, and hears that somebody else has ended it. */
export interface Owner {
  /** Another process has ended this registration: it is not held any more. */
  endedByOther(registration: Registration): void;
  /** The namespace is gone, and the key with it. */
  lost(): void;
}

/** What of a registration is not written yet. */
export type Unwritten = "nothing" | "meta" | "start" | "end";

/** A class, so that all of them share one hidden class: a gateway holds 100,000. */
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
  /** Whether an earlier start of the pinger may still count: this one ends it. */
  endsEarlier: boolean;
  last: Slot | undefined = undefined;
  /** Until when it goes on after it was let go: a monotonic time, in ms. */
  #heldUntil = 0;
  /** The slot in which it was let go. */
  endedIn: Slot = 0;
  unwritten: Unwritten = "nothing";
  /** How many writes of it are under way. */
  writing = 0;
  /** Resolve when its latest state has been written. */
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

  get isWritten(): boolean {
    return this.unwritten === "nothing" && this.writing === 0;
  }

  /** Lets it go: at once, or so that it counts for `holdMs` from now on. */
  end({ clock, time, periodMs }: Context, how: "killed" | { readonly holdMs: number }): void {
    this.endedIn = time.slot;
    this.#heldUntil = how === "killed" ? -Infinity : clock.monotonic() + how.holdMs;
    this.#setLast(clock.monotonic(), time.position, periodMs);
  }

  /** The writes that bring what is stored to what is declared. Each bears the present slot, which proves life. */
  writes(session: number, { clock, time, periodMs }: Context, unwritten: Unwritten): Write[] {
    const { pinger, start, meta, revision } = this;
    if (unwritten === "meta") {
      return [{ kind: "meta", registration: { session, pinger, start }, meta, revision }];
    }
    // Again, since the slots may have moved on since it was let go.
    if (unwritten === "end") this.#setLast(clock.monotonic(), time.position, periodMs);
    const put: Write = { kind: "registration", registration: this.#record(session, time.slot) };
    if (!this.endsEarlier) return [put];
    // Not killed: a watcher that hears of the earlier start alone must not report a death.
    return [put, { kind: "end", registration: { session, pinger, start: start - 1 }, last: time.slot }];
  }

  #record(session: number, slot: Slot): RegistrationRecord {
    const { key, pinger, start, since, meta, revision, last } = this;
    const record = { session, pinger, start, key, since, slot, meta, revision };
    return last === undefined ? record : { ...record, last };
  }

  #setLast(monotonic: number, position: number, periodMs: number): void {
    this.last =
      this.#heldUntil === -Infinity
        ? KILLED
        : Math.max(1, Math.floor(position + (this.#heldUntil - monotonic) / periodMs));
  }
}

/** What a start takes over from the start before it. */
export interface Succession {
  readonly start: number;
  readonly since: number;
  readonly endsEarlier: boolean;
}

export interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
