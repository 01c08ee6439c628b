/**
 * The watching side of a presence, shared by all its watchers: the roster, what is read into it, and the subscriptions.
 * When a subscription needs more than is loaded, it loads that, and passes the current state on.
 */
import { GivenUp, isHeartbitError } from "../../core/errors.ts";
import { loadRetryMs, retryMs, syncLimitMs } from "../../core/limits.ts";
import { includesPrefix, isEmptySelection, missingFrom, prefixOf, select } from "../../core/selection.ts";
import type { Steps } from "../../core/steps.ts";
import { Subscription, type Subscriptions } from "../../core/subscriptions.ts";
import { handled } from "../../lib/handled.ts";
import { persistently, retry, type RetryPolicy } from "../../lib/retry.ts";
import { OneAtATime, Sleeper, Slices, within } from "../../lib/timers.ts";
import { type Context, noteFailure } from "../context/context.ts";
import type { HoldingSide } from "../holding/holding-side.ts";
import { ChangeFeed, type FeedState } from "./change-feed.ts";
import { Evaluator } from "./evaluator.ts";
import { Notifier } from "./notifier.ts";
import { Snapshot } from "./snapshot.ts";

export interface WatchingGauges {
  readonly feed: FeedState;
  /** Changes that listeners and iterators have not taken yet. */
  readonly undelivered: number;
  /** How many of the watched keys are alive, and how many sessions hold them. Goes through every key, in slices. */
  readonly alive: () => Promise<{ readonly keys: number; readonly sessions: number }>;
}

export class WatchingSide {
  readonly feed: ChangeFeed;
  readonly snapshot: Snapshot;
  readonly evaluator: Evaluator;
  readonly #context: Context;
  readonly #holdingSide: HoldingSide;
  readonly #sleeper: Sleeper;
  readonly #notifier: Notifier;
  readonly #subscriptions: Subscriptions;
  /** Each pending sync is notified when an attempt to begin or to load fails. */
  readonly #pendingSyncs = new Set<(error: unknown) => void>();
  /** Resolves when it has begun; rejects when it never can. */
  readonly started: Promise<void>;
  readonly #loads = new OneAtATime(() => this.#loadWanted());

  constructor(holdingSide: HoldingSide) {
    const { context } = holdingSide;
    this.#context = context;
    this.#holdingSide = holdingSide;
    this.#sleeper = new Sleeper(context.clock);
    this.#notifier = new Notifier(context);
    this.#subscriptions = this.#notifier.subscriptions;
    this.snapshot = new Snapshot(holdingSide, this.#notifier);
    this.feed = new ChangeFeed(context, this.snapshot);
    this.evaluator = new Evaluator(holdingSide, this.#notifier, this.snapshot, this.feed);
    this.started = handled(this.#begin());
  }

  /** Adds a subscription: it gets the current state once that is loaded, then each change. Rejects if it never can. */
  subscribe(subscription: Subscription): Promise<void> {
    this.#subscriptions.add(subscription);
    return this.#loads.run();
  }

  /** Removes a subscription, and forgets what is loaded and no longer wanted. */
  unsubscribe(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    const { target } = subscription;
    const { wanted } = this.#subscriptions;
    if (wanted.all) return;
    this.snapshot.coverage.leave(target, wanted);
    const prefix = prefixOf(target) ?? "";
    if (typeof target !== "string") {
      if (!includesPrefix(wanted, prefix)) this.#notifier.forget(this.#forgetInSteps(prefix));
    } else if (!this.#subscriptions.wants(target)) this.#notifier.roster.forgetKey(target);
  }

  /** Removes the subscriptions of a watcher, in slices: it may have very many. */
  unsubscribeAll(subscriptions: Iterable<Subscription>): void {
    this.#notifier.forget(this.#removeInSteps(subscriptions));
  }

  *#removeInSteps(subscriptions: Iterable<Subscription>): Steps {
    for (const subscription of subscriptions) {
      this.#subscriptions.delete(subscription);
      yield;
    }
    const { wanted } = this.#subscriptions;
    if (wanted.all) return;
    this.snapshot.coverage.narrow(wanted);
    yield* this.#forgetInSteps("");
  }

  /** Forgets keys with the prefix that are not wanted. One that is wanted again meanwhile is loaded after this. */
  #forgetInSteps(prefix: string): Steps {
    return this.#notifier.roster.retainInSteps(prefix, (key) => this.#subscriptions.wants(key));
  }

  /** Whether the key is alive as far as is known here. Loads it first if needed. Rejects if it can never be loaded. */
  async alive(key: string): Promise<boolean> {
    await this.started;
    if (this.snapshot.coverage.has(key)) return this.#notifier.roster.isAlive(key);
    const subscription = new Subscription(key, () => {});
    this.#subscriptions.add(subscription);
    try {
      while (!subscription.ready && !this.#sleeper.ended) await this.#loads.run();
      return this.#notifier.roster.isAlive(key);
    } finally {
      this.unsubscribe(subscription);
    }
  }

  /**
   * Loads and evaluates now. Resolves when the subscriptions have everything that was found. Rejects at once if the
   * store answers with an error, and if it has not answered for a while.
   */
  sync(): Promise<void> {
    const { clock, periodMs } = this.#context;
    const limitMs = syncLimitMs(periodMs);
    const began = clock.monotonic();
    let hasFailed = false;
    // A read that goes on may take long. One that has failed begins again, and its pages are no progress.
    const since = (): number => (hasFailed ? began : Math.max(began, this.snapshot.latestPageAt));
    const leftMs = (): number => since() + limitMs - clock.monotonic();
    const givesUp = (error: unknown): boolean => {
      hasFailed = true;
      return !(error instanceof GivenUp) || leftMs() <= 0; // it may still answer
    };
    const policy = { pauseMs: () => retryMs(periodMs), givesUp };
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        if (givesUp(error)) reject(error);
      };
      this.#pendingSyncs.add(failed);
      const work = this.#loads.run().then(() =>
        retry(this.#sleeper, policy, async () => {
          await this.snapshot.poll();
          await this.evaluator.evaluate();
        }),
      );
      within(clock, limitMs, "sync", work, leftMs)
        .finally(() => this.#pendingSyncs.delete(failed))
        .then(resolve, (error: unknown) => (this.#sleeper.ended ? resolve() : reject(error as Error)));
    });
  }

  get gauges(): WatchingGauges {
    return {
      feed: this.feed.state,
      undelivered: this.#subscriptions.pending,
      alive: () => new Slices(this.#context.clock).doAll(this.#notifier.roster.censusInSteps()),
    };
  }

  async stop(): Promise<void> {
    this.#sleeper.end();
    await this.feed.stop();
  }

  /** A presence that watches also pings, so that it can recognize fresh reads and slots in which nobody could write. */
  async #begin(): Promise<void> {
    const { health, requests, log } = this.#context;
    let isOpeningLater = false;
    await retry(this.#sleeper, this.#policy("beginning to watch"), async () => {
      await this.#holdingSide.session.open().catch((error: unknown) => {
        if (!isHeartbitError(error, "NOT_PERMITTED")) throw error;
        log.info("this user may not write, so this presence watches without pinging", error);
        if (!isOpeningLater) void this.#openLater();
        isOpeningLater = true;
      });
      await this.evaluator.begin();
    });
    health.holdBack(); // for the keys that a new watcher finds alive
    this.feed.want(this.#subscriptions.wanted);
    requests.sleeper.wake(); // the loop evaluates from now on
  }

  /** Opens the session once the right to write is there. Asks less and less often, since servers log each refusal. */
  async #openLater(): Promise<void> {
    const { periodMs, retentionSlots, log } = this.#context;
    const policy = {
      pauseMs: (failures: number) => periodMs * Math.min(2 ** failures, retentionSlots),
      givesUp: (error: unknown) => !isHeartbitError(error, "NOT_PERMITTED"),
    };
    await this.#sleeper.sleep(periodMs);
    if (this.#sleeper.ended) return;
    await retry(this.#sleeper, policy, () => this.#holdingSide.session.open()).catch((error: unknown) =>
      log.debug("no session was opened", error),
    );
  }

  /**
   * Loads what is wanted and not loaded yet, and passes the current state to subscriptions that wait for it. Those that
   * come meanwhile are of the next run: nobody waits for more than that, however many come.
   */
  async #loadWanted(): Promise<void> {
    await this.started;
    const waiting = this.#subscriptions.unready();
    if (waiting.length === 0 || this.#sleeper.ended) return;
    const missing = missingFrom(this.snapshot.coverage, select(waiting.map(({ target }) => target)));
    if (!isEmptySelection(missing)) {
      if (waiting.some(({ life }) => life !== undefined)) this.feed.want(this.#subscriptions.wanted);
      await retry(this.#sleeper, this.#policy("loading keys"), () => this.snapshot.load(missing));
      this.#context.requests.sleeper.wake(); // there is more to follow
    }
    for (const subscription of this.#subscriptions.unready()) {
      if (!this.snapshot.coverage.has(subscription.target)) continue;
      this.snapshot.coverage.join(subscription.target, this.#subscriptions.wanted);
      await this.#notifier.begin(subscription);
    }
  }

  /** Tries until it succeeds, or never can, with longer and longer pauses. */
  #policy(doing: string): RetryPolicy {
    const { periodMs } = this.#context;
    return {
      ...persistently(periodMs, (error) => {
        noteFailure(this.#context, "read", error, doing);
        for (const syncFailed of this.#pendingSyncs) syncFailed(error);
      }),
      pauseMs: (failures, error) => loadRetryMs(periodMs, failures, error),
    };
  }
}
