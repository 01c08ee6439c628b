/**
 * The roster and the subscriptions of a presence. Passes changes of the first to the second, and does long work on the
 * roster, which is reported only when it is complete.
 *
 *   few changes    passed on at once, unless long work is under way
 *   many changes   the rest is passed on in its turn, in slices
 *   long work      in its turn, in slices; changes that arrive meanwhile wait for the next notification
 *   forgetting     in its turn, in slices; changes that arrive meanwhile are passed on at once
 *
 * One turn ends before the next begins. The event loop runs between two slices.
 */
import type { PingRecord } from "../../core/bits.ts";
import { Roster, type RosterChange } from "../../core/roster.ts";
import { oldestRetained } from "../../core/slots.ts";
import type { Steps } from "../../core/steps.ts";
import { prefixOf, type WatchTarget } from "../../core/selection.ts";
import { type Subscription, Subscriptions } from "../../core/subscriptions.ts";
import type { Context } from "../context/context.ts";
import { InOrder } from "../../lib/queue.ts";
import { Slices } from "../../lib/timers.ts";

/** More changes than this are passed on in slices. */
const NOTIFY_AT_ONCE = 200;

export class Notifier {
  readonly roster = new Roster();
  readonly subscriptions = new Subscriptions();
  readonly #context: Context;
  readonly #turns = new InOrder();
  /** All work shares them, since many short pieces add up to a long one. */
  readonly #slices: Slices;
  /** Whether long work is under way. */
  #holdsBack = false;

  constructor(context: Context) {
    this.#context = context;
    this.#slices = new Slices(context.clock);
  }

  /** Passes changes to the subscriptions: at once if they are few. */
  notify(): void {
    if (!this.#holdsBack && this.#notifySome()) void this.notifyAll();
  }

  /** Passes all changes on. Resolves when the subscriptions have them. */
  notifyAll(): Promise<void> {
    return this.#inTurn(async (slices) => {
      while (this.#notifySome()) if (slices.isOver) await slices.turn();
    });
  }

  /** Does long work on the roster. Nothing is reported before it is complete. */
  doUnreported(steps: Steps): Promise<void> {
    return this.#inTurn(async (slices) => {
      this.#holdsBack = true;
      try {
        await slices.doAll(steps);
      } finally {
        this.#holdsBack = false;
      }
    });
  }

  /** Adds pings that were read. Sessions that have been silent for a whole retention may have been pruned. */
  addPings(records: readonly PingRecord[]): Promise<void> {
    return this.doUnreported(this.roster.addPingsInSteps(records, oldestRetained(this.#context)));
  }

  /** Forgets keys that are no longer wanted. This affects no reported key, so it delays no report. */
  forget(steps: Steps): void {
    void this.#inTurn((slices) => slices.doAll(steps));
  }

  #inTurn(work: (slices: Slices) => Promise<void>): Promise<void> {
    return this.#turns.runAlone(() => this.#slices.continueIn(work));
  }

  /** Passes the current state to a subscription, which gets each change from then on. */
  async begin(subscription: Subscription): Promise<void> {
    await this.notifyAll();
    await this.doUnreported(this.#beginInSteps(subscription));
    this.notify(); // changes that arrived meanwhile
  }

  /** Changes that arrive between two steps are passed on after the last one. */
  *#beginInSteps(subscription: Subscription): Steps {
    const { target } = subscription;
    const atMs = this.#context.time.now;
    let count = 0;
    for (const key of yield* this.#keysOf(target)) {
      if (++count % NOTIFY_AT_ONCE === 0) yield;
      const holders = this.roster.reportedHolders(key);
      if (holders.length > 0 || typeof target === "string") subscription.begin(key, holders, atMs);
    }
    this.subscriptions.begun(subscription);
  }

  /** The known keys of a target. Keys with a prefix are found without going through all keys. */
  *#keysOf(target: WatchTarget): Generator<void, Iterable<string>, void> {
    if (typeof target === "string") return [target];
    const prefix = prefixOf(target);
    if (!prefix) return this.roster.keys();
    yield* this.roster.sortInSteps();
    return this.roster.keysWith(prefix);
  }

  /** Discards pending changes if no subscription is ready for them, as in a first load. */
  discardChanges(): void {
    if (!this.subscriptions.areAnyReady) this.roster.discardChanges();
  }

  /** Returns whether there are more. */
  #notifySome(): boolean {
    this.discardChanges();
    const atMs = this.#context.time.now;
    for (const change of this.roster.changes(NOTIFY_AT_ONCE)) {
      let isReported = false;
      for (const subscription of this.subscriptions.of(change.key)) {
        if (!subscription.ready) continue;
        subscription.push(change, atMs);
        isReported = true;
      }
      if (isReported) this.#noteForMetrics(change, atMs);
    }
    return this.roster.isTouched;
  }

  #noteForMetrics({ key, cause }: RosterChange, atMs: number): void {
    // A key that was removed because a whole read lacked it has no registrations left.
    const last = cause === "expired" ? this.roster.lastPingOf(key) : undefined;
    const silentMs = last === undefined ? undefined : atMs - this.#context.time.at(last);
    this.#context.instrumentation.emit("reported", cause, silentMs);
  }
}
