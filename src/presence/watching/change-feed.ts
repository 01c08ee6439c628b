/**
 * Keeps one feed open, where the store has one.
 *
 *   off --start--> opening --ready--> live --lost--> opening again, after a pause where it has not lived for a period
 *                  opening --this server has none, or we may not--> refused, until `retry`
 *
 * The feed is only a hint: while it is live, what has changed is still read once a period.
 */
import { isHeartbitError, toError } from "../../core/errors.ts";
import { EVERYTHING, isEmptySelection, missingFrom, NOTHING, type Selection } from "../../core/selection.ts";
import type { Feed, Page } from "../../core/store.ts";
import { describe } from "../context/log.ts";
import { bulk, RETRY_OF_PERIOD, type Shared } from "../context/context.ts";
import { Sleeper } from "../../lib/timers.ts";

/** Above so many keys and prefixes the feed tells of all: to narrow it costs the server more than it saves. */
const NAMES_MAX = 64;
/** The next try waits no longer than this, */
const BACKOFF_MS_MAX = 30_000;
/** or than so many periods: each loss is trouble, and a death by absence needs two periods and a half without. */
const BACKOFF_PERIODS_MAX = 6;

export interface FeedEvents {
  page(page: Page): void;
  /** From now on changes are told; those up to now must be read. */
  live(): void;
  /** From now on changes must be polled for. */
  down(): void;
}

export type FeedState = "off" | "opening" | "live" | "refused";

/** One opening of the feed. */
interface Current {
  readonly selected: Selection;
  feed: Feed | undefined;
  /** Since when it is live: a monotonic time, in ms. */
  since: number;
  /** Why it is over, once it is. */
  over: Error | undefined;
}

export class FeedKeeper {
  readonly #shared: Shared;
  readonly #events: FeedEvents;
  readonly #sleeper: Sleeper;
  #wanted: Selection = NOTHING;
  #current: Current | undefined;
  #opening = false;
  /** How long the next try waits. */
  #pauseMs = 0;
  #state: FeedState = "off";

  constructor(shared: Shared, events: FeedEvents) {
    this.#shared = shared;
    this.#events = events;
    this.#sleeper = new Sleeper(shared.clock);
  }

  get state(): FeedState {
    return this.#state;
  }

  get live(): boolean {
    return this.#state === "live";
  }

  /** Opens the feed for a selection. Does nothing where the store has none. */
  start(wanted: Selection): void {
    this.#wanted = wanted;
    if (this.#shared.namespace.feed === undefined || this.#state !== "off" || isEmptySelection(wanted))
      return;
    void this.#open();
  }

  /** Makes it tell of all that is wanted. */
  widen(wanted: Selection): void {
    this.#wanted = wanted;
    if (this.#state === "off") this.start(wanted);
    else if (this.#state === "live" && !this.#covers(wanted)) {
      this.#pauseMs = 0;
      void this.#open();
    }
  }

  /** Asks again, even where it was refused: the server may be another now. */
  retry(): void {
    this.#pauseMs = 0;
    if (this.#state === "refused") void this.#open();
    else this.#sleeper.wake();
  }

  async stop(): Promise<void> {
    this.#sleeper.end();
    await this.#current?.feed?.close().catch(() => {});
  }

  /** Opens a feed of what is wanted in place of the one before, if any; tries until it succeeds or is refused. */
  async #open(): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    if (this.#state !== "live") this.#state = "opening";
    while (!this.#covers(this.#wanted)) {
      if (this.#pauseMs > 0) await this.#sleeper.sleep(this.#pauseMs);
      if (this.#sleeper.ended) break;
      try {
        await this.#openOnce();
      } catch (error) {
        if (this.#sleeper.ended) break;
        if (isHeartbitError(error, "UNSUPPORTED_SERVER") || isHeartbitError(error, "NOT_PERMITTED")) {
          this.#shared.log.info(`changes are polled for: ${describe(error)}`);
          this.#state = "refused";
          break;
        }
        this.#shared.log.debug("opening the feed failed", error);
        this.#backOff();
      }
    }
    this.#opening = false;
  }

  /** The next try waits, each time twice as long. */
  #backOff(): void {
    const { periodMs } = this.#shared;
    const mostMs = Math.max(BACKOFF_MS_MAX, periodMs * BACKOFF_PERIODS_MAX);
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, periodMs * RETRY_OF_PERIOD), mostMs);
  }

  async #openOnce(): Promise<void> {
    const { keys, prefixes, all } = this.#wanted;
    const selected = all || keys.size + prefixes.size > NAMES_MAX ? EVERYTHING : copyOf(this.#wanted);
    const current: Current = { selected, feed: undefined, since: Infinity, over: undefined };
    const feed = this.#shared.namespace.feed?.(selected, {
      page: (page) => this.#events.page(page),
      lost: (error) => this.#lost(current, error),
    });
    if (feed === undefined) return;
    try {
      await bulk(this.#shared, "open a feed", feed.ready);
      if (current.over !== undefined) throw current.over;
      if (this.#sleeper.ended) throw new Error("ended");
    } catch (error) {
      closeQuietly(feed);
      throw error;
    }
    closeQuietly(this.#current?.feed);
    current.feed = feed;
    current.since = this.#shared.clock.monotonic();
    this.#current = current;
    this.#state = "live";
    this.#events.live();
  }

  #covers(wanted: Selection): boolean {
    return this.#current !== undefined && isEmptySelection(missingFrom(this.#current.selected, wanted));
  }

  #lost(lost: Current, error: unknown): void {
    lost.over = toError(error);
    if (this.#sleeper.ended || lost !== this.#current) return;
    this.#shared.happenings.emit("feedLost");
    this.#shared.health.trouble(`the feed was lost: ${describe(error)}`);
    closeQuietly(lost.feed);
    this.#current = undefined;
    this.#state = "opening";
    const livedMs = this.#shared.clock.monotonic() - lost.since;
    if (livedMs >= this.#shared.periodMs) this.#pauseMs = 0;
    else this.#backOff(); // a server that takes every feed and keeps none is not asked without a pause
    this.#events.down();
    void this.#open();
  }
}

function closeQuietly(feed: Feed | undefined): void {
  feed?.close().catch(() => {});
}

function copyOf({ all, keys, prefixes }: Selection): Selection {
  return { all, keys: new Set(keys), prefixes: new Set(prefixes) };
}
