/**
 * The teller: puts what changes in the roster to the subscriptions, and does the long work on the roster, of which
 * nothing is told before its end.
 *
 *   little has changed:   told at once, unless long work is under way
 *   much has changed:     the rest is told in its turn, in slices
 *   long work:            in its turn, in slices; what is heard meanwhile waits for who tells next
 *
 * One turn ends before the next begins; between two slices the event loop goes on.
 */
import type { Roster, RosterChange, Steps } from "../../core/roster.ts";
import { includesKey, select } from "../../core/selection.ts";
import type { Subscription } from "./delivery.ts";
import type { Shared } from "../context/context.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { Slices } from "../../lib/timers.ts";

/** More changes than these are told in slices. */
const TELL_AT_ONCE = 200;

export class Teller {
  readonly #shared: Shared;
  readonly #roster: Roster;
  readonly #subscriptions: Subscriptions;
  #lastTurn: Promise<void> = Promise.resolve();
  /** Long work is under way. */
  #holdsBack = false;

  constructor(shared: Shared, roster: Roster, subscriptions: Subscriptions) {
    this.#shared = shared;
    this.#roster = roster;
    this.#subscriptions = subscriptions;
  }

  /** Puts what has changed to the subscriptions: at once where it is little. */
  tell(): void {
    if (!this.#holdsBack && this.#tellSome()) void this.tellAll();
  }

  /** Resolves when all that has changed up to now has been put to the subscriptions. */
  tellAll(): Promise<void> {
    return this.#inTurn(async () => {
      const slices = new Slices(this.#shared.clock);
      while (this.#tellSome()) if (slices.isOver) await slices.turn();
    });
  }

  /** Does long work on the roster; nothing is told before its end. */
  doUntold(steps: Steps): Promise<void> {
    return this.#inTurn(async () => {
      this.#holdsBack = true;
      try {
        await new Slices(this.#shared.clock).doAll(steps);
      } finally {
        this.#holdsBack = false;
      }
    });
  }

  /** Hands the present state to a subscription; from then on it is told what changes. */
  async begin(subscription: Subscription): Promise<void> {
    await this.tellAll();
    await this.doUntold(this.#beginInSteps(subscription));
  }

  /** What is heard between two steps is told as a change, after the last. */
  *#beginInSteps(subscription: Subscription): Steps {
    const { target } = subscription;
    const atMs = this.#shared.time.now;
    const keys = typeof target === "string" ? [target] : [...this.#roster.keys()];
    const selected = select([target]);
    let count = 0;
    for (const key of keys) {
      if (++count % TELL_AT_ONCE === 0) yield;
      if (!includesKey(selected, key)) continue;
      const holders = this.#roster.toldHolders(key);
      if (holders.length > 0 || typeof target === "string") subscription.begin(key, holders, atMs);
    }
    this.#subscriptions.begun(subscription);
  }

  /** Where nobody is told yet, as in a first load, what has changed up to now is in no difference. */
  passOver(): void {
    if (!this.#subscriptions.areAnyReady) this.#roster.passOver();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#lastTurn.then(work);
    this.#lastTurn = done.catch(() => {});
    return done;
  }

  /** Gives whether there is more. */
  #tellSome(): boolean {
    this.passOver();
    const atMs = this.#shared.time.now;
    for (const change of this.#roster.changes(TELL_AT_ONCE)) {
      let isTold = false;
      for (const subscription of this.#subscriptions.of(change.key)) {
        if (!subscription.ready) continue;
        subscription.push(change, atMs);
        isTold = true;
      }
      if (isTold) this.#note(change, atMs);
    }
    return this.#roster.isTouched;
  }

  /** For who counts what is told. */
  #note({ key, cause }: RosterChange, atMs: number): void {
    let silentMs: number | undefined;
    if (cause === "expired") {
      const slots = Array.from(this.#roster.registrations(key), ({ last }) => last);
      // Nothing is left of a key that is told because a whole read has not found it.
      if (slots.length > 0) silentMs = atMs - this.#shared.time.at(Math.max(...slots));
    }
    this.#shared.happenings.emit("told", cause, silentMs);
  }
}
