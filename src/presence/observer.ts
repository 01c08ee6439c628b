/**
 * The observer: what a presence reads, however many watchers it has.
 *
 *   at half of each slot:   look - read the pings, and judge, unless there was trouble
 *   as it happens:          the feed, where the store has one; what has changed is read with every other look
 *   without a feed:         what has changed is read with every look, and every `pollMs`
 *
 * Everything it reads goes to the roster; what the roster tells goes to the subscriptions, by the teller.
 */
import { judgedSlot, mayTellDeaths } from "../core/alive.ts";
import { Roster } from "../core/roster.ts";
import { includesKey, isEmptySelection, missingFrom, select } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { Page } from "../core/store.ts";
import { Subscription } from "./delivery.ts";
import { FeedKeeper, type FeedState } from "./feed-keeper.ts";
import type { Heart } from "./heart.ts";
import type { Holdings } from "./holdings.ts";
import { distrust, ensurePresent, oldestRetained, type OwnPing, readPulse } from "./pulse.ts";
import { Reader } from "./reader.ts";
import { isFinal, noteAnswer, noteFailure, RETRY_OF_PERIOD, type Shared } from "./shared.ts";
import { sleepUntil, soon } from "./shared.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Syncs } from "./syncs.ts";
import { Teller } from "./teller.ts";
import { OneAtATime, Sleeper } from "./timing.ts";

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
  readonly #started: Promise<void>;
  #loading: Promise<void> | undefined;
  readonly #looking = new OneAtATime(() => this.#lookOnce());
  readonly #syncs: Syncs;
  #pollLoop = false;
  /** The judged slot of the latest read of the pings that was fresh: a later read begins there, or before. */
  #read: Slot = -Infinity;
  /** The slot of the latest look that has read what has changed. */
  #polled: Slot = -Infinity;
  #forgotten: Slot = -Infinity;

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
      page: (page) => {
        this.#hear(page);
        this.#teller.tell();
      },
      live: () => this.#pollInBackground(),
      down: () => this.#pollWithoutFeed(),
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
    this.#reader.loaded.leave(target, wanted);
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
    this.#reader.loaded.narrow(wanted);
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
      () => this.#look(),
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
    if (!isEmptySelection(this.#reader.loaded)) this.#pollInBackground();
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
      this.#read = await readPulse(this.#shared, this.#roster, this.#options.heart()?.own);
    });
    // A fresh watcher counts its start as trouble for the keys that it finds alive.
    this.#shared.health.begin();
    if (this.#sleeper.ended) return;
    if (this.#options.useFeed) this.#feed.start(this.#subscriptions.wanted);
    this.#pollWithoutFeed();
    void this.#lookEachSlot();
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

  async #lookEachSlot(): Promise<void> {
    const { time } = this.#shared;
    while (!this.#sleeper.ended) {
      const half = judgedSlot(time.position) + 1.5;
      while (!this.#sleeper.ended && time.position < half)
        await sleepUntil(this.#shared, this.#sleeper, half);
      await this.#persist("read", async () => {
        if (this.#options.heart() === undefined) await this.#keepTime();
        await this.#look();
      }).catch(() => {}); // told by `failed`
    }
  }

  /** What the heart does where there is one. */
  async #keepTime(): Promise<void> {
    const { time } = this.#shared;
    await time.check();
    if (time.slotsBehind > 0) await time.catchUp();
  }

  /** Reads the pings, and what has changed, as of after the call; judges, unless there was trouble; tells. */
  #look(): Promise<void> {
    return this.#looking.run();
  }

  async #lookOnce(): Promise<void> {
    const { time, clock } = this.#shared;
    const heart = this.#options.heart();
    if (heart !== undefined && heart.acknowledged < judgedSlot(time.position)) await heart.settled();
    const own = heart?.own;
    const { slot, position } = time;
    const judged = judgedSlot(position);
    // In quiet times the judged slot says enough: who has pinged in it lives.
    const isQuiet = judged === slot && this.#read >= slot - 1 && (own === undefined || own.slot === slot);
    const from = isQuiet ? slot : Math.min(slot - 1, this.#read);
    // While the feed tells what changes, a second look at that may wait.
    const polls = !isQuiet || !this.#feed.live || this.#reader.isBehind || this.#polled < slot - 1;
    const began = clock.monotonic();
    const [isFresh] = await Promise.all([
      this.#readPings(from, own),
      polls || this.#syncs.areUnderWay ? this.#poll(slot) : undefined,
    ]);
    if (this.#sleeper.ended || !isFresh) return;
    noteAnswer(this.#shared, "read", began);
    this.#teller.tell();
    // An older ping of ours proves too little: a primary cut off since then has it, but not what others pinged.
    if (own === undefined || own.slot >= judged) await this.#judge(judged, heart);
    await this.#teller.tellAll();
  }

  async #poll(slot: Slot): Promise<void> {
    await this.#reader.poll();
    this.#polled = slot;
  }

  /**
   * Reads the pings from a slot on. Gives false where it cannot be gone on from: the store's clock has stepped.
   */
  async #readPings(earliest: Slot, own: OwnPing | undefined): Promise<boolean> {
    const { namespace, time, health } = this.#shared;
    const judged = judgedSlot(time.position);
    const from = Math.max(earliest, oldestRetained(this.#shared));
    const records = await soon(this.#shared, "read pings", namespace.pings(from));
    if (this.#sleeper.ended || (await ensurePresent(this.#shared, records))) return false;
    for (const record of records) this.#roster.bits(record);
    const reason = distrust(records, from, judged, own);
    if (reason === undefined) this.#read = judged;
    else {
      health.trouble(reason);
      await this.#options.verify();
    }
    return true;
  }

  #mayTellDeaths(judged: Slot): boolean {
    return mayTellDeaths(judged, this.#shared.health.latestTrouble);
  }

  async #judge(judged: Slot, heart: Heart | undefined): Promise<void> {
    const { health, time, retentionSlots } = this.#shared;
    if (!this.#mayTellDeaths(judged)) return;
    const oldest = judged - retentionSlots;
    if (this.#reader.canSweep || this.#roster.wouldEnd(judged, oldest)) {
      if (heart !== undefined && !(await heart.confirm())) return;
      // What is read now has all that was acknowledged before: a ping late in the slot before, a planned absence.
      const [isFresh] = await Promise.all([this.#readPings(judged - 1, heart?.own), this.#reader.poll()]);
      if (!isFresh) return;
    }
    if (this.#sleeper.ended || !this.#mayTellDeaths(judged)) return;
    await this.#teller.doUntold(this.#reader.sweep());
    await this.#teller.doUntold(this.#roster.judgeInSteps(judged, oldest));
    health.settle();
    if (judged - this.#forgotten < retentionSlots / 4) return;
    this.#forgotten = judged;
    await this.#teller.doUntold(this.#roster.forgetInSteps(oldest, time.at(oldest)));
  }

  #pollWithoutFeed(): void {
    if (this.#pollLoop || this.#feed.live) return;
    this.#pollLoop = true;
    void (async () => {
      while (!this.#sleeper.ended && !this.#feed.live) {
        await this.#sleeper.sleep(this.#options.pollMs);
        if (this.#sleeper.ended || this.#feed.live) break;
        await this.#reader.poll().catch((error: unknown) => this.#trouble("read", error));
      }
      this.#pollLoop = false;
    })();
  }

  #pollInBackground(): void {
    this.#reader.poll().catch((error: unknown) => this.#trouble("read", error));
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

  /** Takes what was heard, from wherever, into the roster and the holdings. */
  #hear(page: Page): void {
    this.#options.holdings.hear(page);
    this.#reader.take(page);
  }

  #trouble(what: string, error: unknown): void {
    if (!this.#sleeper.ended) noteFailure(this.#shared, "read", error, what);
  }
}
