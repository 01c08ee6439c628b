/**
 * Keeps one change feed open, if the store has one.
 *
 *   off      --something is wanted--> opening
 *   opening  --ready--> live
 *   opening  --this server has none, or we have no right to it--> refused, until `reopen`, or for a retention
 *   live     --lost--> opening, after a pause if it was live for less than a period
 *   live     --more is wanted than it covers--> opening another, after closing this one: there may be room for only one
 *
 * A feed is only a hint: changes are read anyway, but less often while the feed covers them. A late feed covers
 * nothing: the stamps of its changes show how late it is.
 */
import { isFinal, toError } from "../../core/errors.ts";
import { feedRetryMs } from "../../core/limits.ts";
import { copyOf, includesAll, isEmptySelection, NOTHING, type Selection } from "../../core/selection.ts";
import { latestChange } from "../../core/records.ts";
import type { Feed, Page } from "../../core/store.ts";
import { retry } from "../../lib/retry.ts";
import { Sleeper } from "../../lib/timers.ts";
import { type Context, patiently } from "../context/context.ts";
import { quietly } from "../../lib/handled.ts";
import { describe, RecurringFailure } from "../../lib/log.ts";
import type { Snapshot } from "./snapshot.ts";

/** Above this many keys and prefixes the feed covers everything: narrowing it costs the server more than it saves. */
const NAMES_MAX = 64;

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
  readonly #sleeper: Sleeper;
  #wanted: Selection = NOTHING;
  #live: Live | undefined;
  #opening: Promise<void> | undefined;
  #isRefused = false;
  /** How many feeds in a row were lost early, or could not be opened. */
  #failures = 0;
  readonly #failure: RecurringFailure;
  /** Whether the latest report was later than polling would have been. */
  #isLate = false;

  constructor(context: Context, snapshot: Snapshot) {
    this.#context = context;
    this.#snapshot = snapshot;
    this.#sleeper = new Sleeper(context.clock);
    this.#failure = new RecurringFailure(context.log, "no change feed can be opened, so changes are polled");
  }

  get state(): FeedState {
    if (this.#live !== undefined) return "live";
    if (this.#opening !== undefined) return "opening";
    return this.#isRefused ? "refused" : "off";
  }

  /** Whether the feed reports changes of the whole selection in time. Anything that is not covered must be polled. */
  covers(selected: Selection): boolean {
    return !this.#isLate && this.#reaches(selected);
  }

  #reaches(selected: Selection): boolean {
    return this.#live !== undefined && includesAll(this.#live.selected, selected);
  }

  /** Makes the feed cover everything that is wanted. Does nothing if the store has no feed. */
  want(wanted: Selection): void {
    this.#wanted = wanted;
    if (!this.#isRefused) this.#start();
  }

  /** Tries again, even if it was refused: there may be another server now. */
  reopen(): void {
    this.#failures = 0;
    this.#isRefused = false;
    this.#sleeper.wake();
    this.#start();
  }

  async stop(): Promise<void> {
    this.#sleeper.end();
    await quietly(this.#live?.feed.close());
  }

  #start(): void {
    if (this.#context.namespace.feed === undefined || isEmptySelection(this.#wanted)) return;
    if (this.#opening !== undefined || this.#sleeper.ended || this.#reaches(this.#wanted)) return;
    this.#opening = this.#open().finally(() => {
      this.#opening = undefined;
      if (!this.#isRefused) this.#start(); // lost since, or more is wanted by now
    });
  }

  /** Opens a feed of everything wanted, in place of the previous one. Tries until it succeeds or is refused. */
  async #open(): Promise<void> {
    const pauseMs = (): number => feedRetryMs(this.#context.periodMs, this.#failures);
    const failed = (error: unknown): void => {
      this.#failures++;
      this.#failure.note(error);
    };
    const policy = { pauseMs, givesUp: isFinal, failed };
    if (this.#failures > 0) await this.#sleeper.sleep(pauseMs());
    await retry(this.#sleeper, policy, () => this.#openOnce()).catch((error: unknown) => {
      if (this.#sleeper.ended) return;
      this.#context.log.info(`changes are polled: ${describe(error)}`);
      this.#isRefused = true;
      void this.#endRefusal();
    });
  }

  /** Tries again after a retention, since rights may be granted, and other feeds may leave room. */
  async #endRefusal(): Promise<void> {
    const { periodMs, retentionSlots } = this.#context;
    await this.#sleeper.sleep(periodMs * retentionSlots);
    this.#isRefused = false;
    this.#start();
  }

  async #openOnce(): Promise<void> {
    if (this.#sleeper.ended) return;
    const { clock, namespace, requests } = this.#context;
    const selected = copyOf(this.#wanted, NAMES_MAX);
    let lost: Error | undefined;
    const before = this.#live;
    this.#live = undefined;
    await quietly(before?.feed.close());
    const feed = namespace.feed?.(selected, {
      page: (page) => {
        if (this.#live?.feed === feed) this.#measure(page);
        this.#snapshot.takePageOfFeed(page);
      },
      lost: (error) => {
        lost = toError(error);
        if (this.#live?.feed === feed) this.#lose(lost);
      },
    });
    if (feed === undefined) return;
    try {
      await patiently(this.#context, "open a feed", feed.ready);
      if (lost !== undefined) throw lost;
      if (this.#sleeper.ended) throw new Error("ended");
    } catch (error) {
      void quietly(feed.close());
      throw error;
    }
    this.#failure.end();
    this.#isLate = false;
    this.#live = { selected, feed, since: clock.monotonic() };
    requests.add("poll"); // what has changed up to now
  }

  /** Notes how late the feed is: the store stamps each change when it is written. */
  #measure({ sessions, registrations }: Page): void {
    const { time, log, requests, pollMs } = this.#context;
    // The page also has sessions that changed long ago, with their registrations.
    const latest = latestChange([...sessions, ...registrations]);
    if (latest === -Infinity) return;
    const lateMs = time.now - latest;
    const isLate = lateMs - time.errorMs > pollMs; // no faster than polling
    if (isLate && !this.#isLate) {
      log.warn(`the change feed is ${Math.round(lateMs)} ms late, so changes are polled, too`);
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
    void quietly(live.feed.close());
    this.#live = undefined;
    // Do not hammer a server that accepts every feed and keeps none.
    this.#failures = clock.monotonic() - live.since >= periodMs ? 0 : this.#failures + 1;
    requests.sleeper.wake(); // changes are polled from now on
    this.#start();
  }
}
