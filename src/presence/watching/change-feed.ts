/**
 * Keeps one change feed open, if the store has one.
 *
 *   off      --something is wanted--> opening
 *   opening  --ready--> live
 *   opening  --this server has none, or we may not--> refused, until `reopen`, or for a retention
 *   live     --lost--> opening, after a pause if it has not lived for a period
 *   live     --more is wanted than it covers--> opening another, after closing this one: there may be room for one alone
 *
 * A feed is only a hint: what has changed is read in any case, only more rarely while the feed covers it. A feed that is
 * late covers nothing: how late it is, is known from the stamps of what it reports.
 */
import { toError } from "../../core/errors.ts";
import { EVERYTHING, isEmptySelection, missingFrom, NOTHING, type Selection } from "../../core/selection.ts";
import type { Feed, Page } from "../../core/store.ts";
import { retry } from "../../lib/retry.ts";
import { Sleeper } from "../../lib/timers.ts";
import { bulk, type Context, isFinal, RETRY_OF_PERIOD } from "../context/context.ts";
import { describe, RecurringFailure } from "../context/log.ts";
import type { Snapshot } from "./snapshot.ts";

/** Above so many keys and prefixes the feed is of everything: to narrow it costs the server more than it saves. */
const NAMES_MAX = 64;
/** The next try waits no longer than this, */
const PAUSE_MS_MAX = 30_000;
/** or than so many periods: each loss is a suspicion, and an expiry needs two and a half periods without. */
const PAUSE_PERIODS_MAX = 6;

export type FeedState = "off" | "opening" | "live" | "refused";

interface Live {
  readonly selected: Selection;
  readonly feed: Feed;
  /** Since when: a monotonic time, in ms. */
  readonly since: number;
}

export class ChangeFeed {
  readonly #context: Context;
  readonly #snapshot: Snapshot;
  /** A feed that is later than this reports nothing sooner than polling does, in ms. */
  readonly #pollMs: number;
  readonly #sleeper: Sleeper;
  #wanted: Selection = NOTHING;
  #live: Live | undefined;
  #opening: Promise<void> | undefined;
  #isRefused = false;
  /** How many feeds in a row were lost at once, or could not be opened. */
  #failures = 0;
  readonly #failure: RecurringFailure;
  /** Whether the latest report came later than polling would have found it. */
  #isLate = false;

  constructor(context: Context, snapshot: Snapshot, pollMs: number) {
    this.#context = context;
    this.#snapshot = snapshot;
    this.#pollMs = pollMs;
    this.#sleeper = new Sleeper(context.clock);
    this.#failure = new RecurringFailure(
      context.log,
      "the change feed cannot be opened, so changes are polled for",
    );
  }

  get state(): FeedState {
    if (this.#live !== undefined) return "live";
    if (this.#opening !== undefined) return "opening";
    return this.#isRefused ? "refused" : "off";
  }

  /** Whether changes of all that is selected are reported by the feed in time. What is not covered must be polled. */
  covers(selected: Selection): boolean {
    return !this.#isLate && this.#reaches(selected);
  }

  #reaches(selected: Selection): boolean {
    return this.#live !== undefined && isEmptySelection(missingFrom(this.#live.selected, selected));
  }

  /** Makes the feed report on all that is wanted. Does nothing if the store has none. */
  want(wanted: Selection): void {
    this.#wanted = wanted;
    if (!this.#isRefused) this.#start();
  }

  /** Tries again, even if it was refused: the server may be another now. */
  reopen(): void {
    this.#failures = 0;
    this.#isRefused = false;
    this.#sleeper.wake();
    this.#start();
  }

  async stop(): Promise<void> {
    this.#sleeper.end();
    await this.#live?.feed.close().catch(() => {});
  }

  #start(): void {
    if (this.#context.namespace.feed === undefined || isEmptySelection(this.#wanted)) return;
    if (this.#opening !== undefined || this.#sleeper.ended || this.#reaches(this.#wanted)) return;
    this.#opening = this.#open().finally(() => {
      this.#opening = undefined;
      if (!this.#isRefused) this.#start(); // lost since, or more is wanted by now
    });
  }

  /** Opens a feed of what is wanted in place of the one before, if any; until it succeeds or is refused. */
  async #open(): Promise<void> {
    const policy = {
      pauseMs: () => this.#pauseMs,
      givesUp: isFinal,
      failed: (error: unknown) => {
        this.#failures++;
        this.#failure.note(error);
      },
    };
    if (this.#failures > 0) await this.#sleeper.sleep(this.#pauseMs);
    await retry(this.#sleeper, policy, () => this.#openOnce()).catch((error: unknown) => {
      if (this.#sleeper.ended) return;
      this.#context.log.info(`changes are polled for: ${describe(error)}`);
      this.#isRefused = true;
      void this.#endRefusal();
    });
  }

  /** Rights are granted, and other feeds leave room: it is asked for again, so seldom that nobody's log is filled. */
  async #endRefusal(): Promise<void> {
    const { periodMs, retentionSlots } = this.#context;
    await this.#sleeper.sleep(periodMs * retentionSlots);
    this.#isRefused = false;
    this.#start();
  }

  /** Each pause is twice as long as the one before. */
  get #pauseMs(): number {
    const { periodMs } = this.#context;
    const mostMs = Math.max(PAUSE_MS_MAX, periodMs * PAUSE_PERIODS_MAX);
    return Math.min(periodMs * RETRY_OF_PERIOD * 2 ** (this.#failures - 1), mostMs);
  }

  async #openOnce(): Promise<void> {
    if (this.#sleeper.ended) return;
    const { clock, namespace, requests } = this.#context;
    const { keys, prefixes, all } = this.#wanted;
    const isWide = all || keys.size + prefixes.size > NAMES_MAX;
    const selected = isWide ? EVERYTHING : { all, keys: new Set(keys), prefixes: new Set(prefixes) };
    let lost: Error | undefined;
    const before = this.#live;
    this.#live = undefined;
    await before?.feed.close().catch(() => {});
    const feed = namespace.feed?.(selected, {
      page: (page) => {
        if (this.#live?.feed === feed) this.#measure(page);
        this.#snapshot.hear(page);
      },
      lost: (error) => {
        lost = toError(error);
        if (this.#live?.feed === feed) this.#lose(lost);
      },
    });
    if (feed === undefined) return;
    try {
      await bulk(this.#context, "open a feed", feed.ready);
      if (lost !== undefined) throw lost;
      if (this.#sleeper.ended) throw new Error("ended");
    } catch (error) {
      closeQuietly(feed);
      throw error;
    }
    this.#failure.end();
    this.#isLate = false;
    this.#live = { selected, feed, since: clock.monotonic() };
    requests.add("poll"); // what has changed up to now
  }

  /** Notes how late it is: what it reports has just been stamped by the store. */
  #measure({ sessions, registrations }: Page): void {
    const { time, log, requests } = this.#context;
    let latest = -Infinity; // the page also has sessions that changed long ago, with what they hold
    for (const { changed } of [...sessions, ...registrations])
      latest = Math.max(latest, changed ?? -Infinity);
    if (latest === -Infinity) return;
    const lateMs = time.now - latest;
    const isLate = lateMs - time.errorMs > this.#pollMs;
    if (isLate && !this.#isLate) {
      log.warn(`the change feed is ${Math.round(lateMs)} ms late, so changes are also polled for`);
      requests.add("poll");
    }
    this.#isLate = isLate;
  }

  #lose(error: Error): void {
    const live = this.#live;
    if (this.#sleeper.ended || live === undefined) return;
    const { clock, periodMs, health, instrumentation, requests } = this.#context;
    instrumentation.emit("feedLost");
    health.suspect(`the change feed was lost: ${describe(error)}`);
    closeQuietly(live.feed);
    this.#live = undefined;
    // A server that takes every feed and keeps none is not asked without a pause.
    this.#failures = clock.monotonic() - live.since >= periodMs ? 0 : this.#failures + 1;
    requests.sleeper.wake(); // changes are polled for from now on
    this.#start();
  }
}

function closeQuietly(feed: Feed): void {
  feed.close().catch(() => {});
}
