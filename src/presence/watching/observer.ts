/**
 * The observer: what a presence reads, however many watchers it has.
 *
 *   when somebody asks:      loads what is wanted and not loaded yet, and hands them the present state
 *   at half of each slot:    looks: reads, judges and tells (lookout.ts)
 *   as it happens:           takes what the feed tells, where the store has one (feed-keeper.ts)
 *   while there is no feed:  polls what has changed every `pollMs`, too (reader.ts)
 *
 * Everything it reads goes to the roster; what the roster tells goes to the subscriptions (teller.ts). What fails is
 * trouble, and is tried again, unless it can never heal.
 */
import { judgedSlot } from "../../core/alive.ts";
import { Roster } from "../../core/roster.ts";
import { includesKey, isEmptySelection, missingFrom, select } from "../../core/selection.ts";
import type { Page } from "../../core/store.ts";
import { Subscription } from "./delivery.ts";
import { FeedKeeper, type FeedState } from "./change-feed.ts";
import type { Heart } from "../holding/heartbeat.ts";
import type { Holdings } from "../holding/registrations.ts";
import { Lookout } from "./evaluator.ts";
import { Reader } from "./snapshot.ts";
import { isFinal, noteFailure, RETRY_OF_PERIOD, type Shared, sleepUntil } from "../context/context.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Syncs } from "./pending-syncs.ts";
import { Teller } from "./notifier.ts";
import { Sleeper } from "../../lib/timers.ts";

export interface ObserverOptions {
  readonly holdings: Holdings;
  readonly heart: () => Heart | undefined;
  /** Opens the session and makes it beat; rejects with what can never heal. */
  readonly begin: () => Promise<void>;
  /** Rejects when the namespace is gone, or another's. */
  readonly verify: () => Promise<void>;
  /** See `ReaderParts`. */
  readonly isCurrent: () => boolean;
  readonly useFeed: boolean;
  readonly pollMs: number;
  /** It can never go on. */
  readonly failed: (error: unknown) => void;
}

export interface ObserverGauges {
  readonly feed: FeedState;
  /** Changes that listeners and iterators have not taken yet. */
  readonly undelivered: number;
  /** How many keys of those that are watched are alive, and how many sessions hold them. Looks at every key. */
  readonly alive: () => { readonly keys: number; readonly sessions: number };
}

/** What reads very much is tried again this part of a period later at most. */
const HEAVY_RETRY_MAX = 1 / 4;

export class Observer {
  readonly #shared: Shared;
  readonly #options: ObserverOptions;
  readonly #sleeper: Sleeper;
  readonly #roster = new Roster();
  readonly #subscriptions = new Subscriptions();
  readonly #teller: Teller;
  readonly #reader: Reader;
  readonly #feed: FeedKeeper;
  readonly #lookout: Lookout;
  readonly #syncs: Syncs;
  readonly #started: Promise<void>;
  #loading: Promise<void> | undefined;
  /** Polls for as long as no feed is live. */
  #polls = false;

  constructor(shared: Shared, options: ObserverOptions) {
    this.#shared = shared;
    this.#options = options;
    this.#sleeper = new Sleeper(shared.clock);
    this.#syncs = new Syncs(shared, this.#sleeper);
    this.#teller = new Teller(shared, this.#roster, this.#subscriptions);
    this.#reader = new Reader(shared, {
      roster: this.#roster,
      holdings: options.holdings,
      subscriptions: this.#subscriptions,
      teller: this.#teller,
      isCurrent: () => options.isCurrent(),
    });
    this.#feed = new FeedKeeper(shared, {
      page: (page) => this.#hear(page),
      live: () => void this.#poll(),
      down: () => void this.#pollWithoutFeed(),
    });
    this.#lookout = new Lookout(shared, this.#sleeper, {
      roster: this.#roster,
      reader: this.#reader,
      teller: this.#teller,
      heart: () => options.heart(),
      verify: () => options.verify(),
      mustPoll: () => !this.#feed.live || this.#syncs.areUnderWay,
    });
    this.#started = this.#start();
    this.#started.catch(() => {}); // told by `failed`
  }

  /** Takes a subscription in: it is handed the present state, once that is loaded, then each change. */
  subscribe(subscription: Subscription): void {
    this.#subscriptions.add(subscription);
    void this.#load().catch(() => {}); // told by `failed`
  }

  /** Lets a subscription go, and with it what is loaded and no longer wanted. */
  unsubscribe(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    const { target } = subscription;
    const { wanted } = this.#subscriptions;
    if (wanted.all) return;
    this.#reader.leave(target);
    if (typeof target === "string") {
      if (!includesKey(wanted, target)) this.#roster.drop(target);
      return;
    }
    const prefix = "prefix" in target ? target.prefix : "";
    this.#roster.retain((key) => !key.startsWith(prefix) || includesKey(wanted, key));
  }

  /** Lets many go at once. */
  unsubscribeAll(subscriptions: Iterable<Subscription>): void {
    for (const subscription of subscriptions) this.#subscriptions.delete(subscription);
    const { wanted } = this.#subscriptions;
    if (wanted.all) return;
    this.#reader.narrow();
    this.#roster.retain((key) => includesKey(wanted, key));
  }

  /** Whether the key is alive, as far as is known here, loaded first where it is not. Rejects when it never can be. */
  async alive(key: string): Promise<boolean> {
    await this.#started;
    if (this.#reader.loaded.has(key)) return this.#roster.isAlive(key);
    const subscription = new Subscription(key, () => {});
    this.#subscriptions.add(subscription);
    try {
      while (!subscription.ready && !this.#sleeper.ended) await this.#load();
      return this.#roster.isAlive(key);
    } finally {
      this.unsubscribe(subscription);
    }
  }

  /**
   * Loads now; resolves when all that was found has been put to the subscriptions. Rejects when the store says that it
   * cannot, or has not answered for a while.
   */
  sync(): Promise<void> {
    return this.#syncs.sync(
      this.#started,
      () => this.#load(),
      () => this.#lookout.look(),
    );
  }

  /** Reads all anew, because changes may have been missed. */
  resync(): void {
    this.#reader.reread();
    this.hurry();
  }

  /** The store answers again: reads at once, and asks for a feed again. */
  hurry(): void {
    this.#feed.retry();
    this.#sleeper.wake();
    if (!isEmptySelection(this.#reader.loaded)) void this.#poll();
  }

  /** How things stand. */
  get gauges(): ObserverGauges {
    return {
      feed: this.#feed.state,
      undelivered: this.#subscriptions.pending,
      alive: () => this.#roster.census(),
    };
  }

  async stop(): Promise<void> {
    this.#sleeper.end();
    await this.#feed.stop();
  }

  async #start(): Promise<void> {
    await this.#persist("begin", async () => {
      await this.#options.begin();
      await this.#lookout.begin();
    });
    // A fresh watcher counts its start as trouble for the keys that it finds alive.
    this.#shared.health.begin();
    if (this.#sleeper.ended) return;
    if (this.#options.useFeed) this.#feed.start(this.#subscriptions.wanted);
    void this.#pollWithoutFeed();
    void this.#lookEachSlot();
  }

  async #lookEachSlot(): Promise<void> {
    const { time } = this.#shared;
    while (!this.#sleeper.ended) {
      const half = judgedSlot(time.position) + 1.5;
      while (!this.#sleeper.ended && time.position < half)
        await sleepUntil(this.#shared, this.#sleeper, half);
      await this.#persist("read", async () => {
        if (this.#options.heart() === undefined) await this.#keepTime();
        await this.#lookout.look();
      }).catch(() => {}); // told by `failed`
    }
  }

  /** What the heart does where there is one. */
  async #keepTime(): Promise<void> {
    const { time } = this.#shared;
    await time.check();
    if (time.slotsBehind > 0) await time.catchUp();
  }

  /** Takes what the feed tells, and tells it on. */
  #hear(page: Page): void {
    this.#options.holdings.hear(page);
    this.#reader.take(page);
    this.#teller.tell();
  }

  async #pollWithoutFeed(): Promise<void> {
    if (this.#polls) return;
    this.#polls = true;
    while (!this.#sleeper.ended && !this.#feed.live) {
      await this.#sleeper.sleep(this.#options.pollMs);
      if (this.#sleeper.ended || this.#feed.live) break;
      await this.#poll();
    }
    this.#polls = false;
  }

  /** Reads what has changed. A poll that fails is not tried again: the next one, or the next look, does. */
  #poll(): Promise<void> {
    return this.#reader.poll().catch((error: unknown) => this.#trouble("read", error));
  }

  /** Loads what is wanted and not loaded, and hands the present state to those who wait for it. */
  #load(): Promise<void> {
    this.#loading ??= Promise.resolve().then(() => this.#loadWanted());
    return this.#loading;
  }

  async #loadWanted(): Promise<void> {
    try {
      await this.#started;
      for (;;) {
        const waiting = this.#subscriptions.unready();
        if (waiting.length === 0 || this.#sleeper.ended) return;
        const missing = missingFrom(this.#reader.loaded, select(waiting.map(({ target }) => target)));
        if (!isEmptySelection(missing)) {
          if (this.#options.useFeed) this.#feed.widen(this.#subscriptions.wanted);
          await this.#persist("load", () => this.#reader.load(missing), true);
        }
        for (const subscription of this.#subscriptions.unready()) {
          if (this.#reader.loaded.has(subscription.target)) await this.#teller.begin(subscription);
        }
      }
    } finally {
      this.#loading = undefined; // in the same turn as the last look at who waits
    }
  }

  /** Tries until it succeeds, or never can; what is `heavy` less and less often. */
  async #persist(what: string, attempt: () => Promise<void>, heavy = false): Promise<void> {
    let pause = RETRY_OF_PERIOD;
    while (!this.#sleeper.ended) {
      try {
        await attempt();
        return;
      } catch (error) {
        if (this.#sleeper.ended) return;
        if (isFinal(error)) {
          this.#options.failed(error);
          throw error;
        }
        this.#trouble(what, error);
        this.#syncs.failed(error);
        await this.#sleeper.sleep(this.#shared.periodMs * pause);
        if (heavy) pause = Math.min(pause * 2, HEAVY_RETRY_MAX);
      }
    }
  }

  #trouble(what: string, error: unknown): void {
    if (!this.#sleeper.ended) noteFailure(this.#shared, "read", error, what);
  }
}
