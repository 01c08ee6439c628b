/**
 * Keeps one change feed open, if the store has one.
 *
 *   off      --something is wanted--> opening
 *   opening  --ready--> live
 *   opening  --this server has none, or we have no right to it--> refused, until `reopen`
 *   live     --lost--> opening, after a pause if it was live for less than a period
 *   live     --more is wanted than it covers--> opening another, which takes its place
 *
 * A feed is only a hint: changes are read anyway, but less often while the feed covers them.
 */
import { isHeartbitError, toError } from "../../core/errors.ts";
import { EVERYTHING, includesAll, isEmptySelection, NOTHING, type Selection } from "../../core/selection.ts";
import type { Feed } from "../../core/store.ts";
import { retry } from "../../lib/retry.ts";
import { Sleeper } from "../../lib/timers.ts";
import { bulk, type Context, RETRY_OF_PERIOD } from "../context/context.ts";
import { describe } from "../../lib/log.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * Above this many keys and prefixes the feed covers everything: narrowing it would cost the server more than it saves.
 */
const NAMES_MAX = 64;
/** The next attempt waits no longer than this, */
const PAUSE_MS_MAX = 30_000;
/** or than this many periods: each loss is a suspicion, and an expiry needs two and a half periods without one. */
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
  readonly #sleeper: Sleeper;
  #wanted: Selection = NOTHING;
  #live: Live | undefined;
  #opening: Promise<void> | undefined;
  #isRefused = false;
  /** How many feeds in a row were lost early, or could not be opened. */
  #failures = 0;

  constructor(context: Context, snapshot: Snapshot) {
    this.#context = context;
    this.#snapshot = snapshot;
    this.#sleeper = new Sleeper(context.clock);
  }

  get state(): FeedState {
    if (this.#live !== undefined) return "live";
    if (this.#opening !== undefined) return "opening";
    return this.#isRefused ? "refused" : "off";
  }

  /** Whether the feed reports changes of the whole selection now. Anything that is not covered must be polled. */
  covers(selected: Selection): boolean {
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
    await this.#live?.feed.close().catch(() => {});
  }

  #start(): void {
    if (this.#context.namespace.feed === undefined || isEmptySelection(this.#wanted)) return;
    if (this.#opening !== undefined || this.#sleeper.ended || this.covers(this.#wanted)) return;
    this.#opening = this.#open().finally(() => {
      this.#opening = undefined;
      if (!this.#isRefused) this.#start(); // lost since, or more is wanted by now
    });
  }

  /** Opens a feed of everything wanted, in place of the previous one. Tries until it succeeds or is refused. */
  async #open(): Promise<void> {
    const policy = {
      pauseMs: () => this.#pauseMs,
      givesUp: isRefusal,
      failed: (error: unknown) => {
        this.#failures++;
        this.#context.log.debug("opening the change feed failed", error);
      },
    };
    if (this.#failures > 0) await this.#sleeper.sleep(this.#pauseMs);
    await retry(this.#sleeper, policy, () => this.#openOnce()).catch((error: unknown) => {
      if (this.#sleeper.ended) return;
      this.#context.log.info(`changes are polled for: ${describe(error)}`);
      this.#isRefused = true;
    });
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
    const feed = namespace.feed?.(selected, {
      page: (page) => this.#snapshot.hear(page),
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
    closeQuietly(this.#live?.feed);
    this.#live = { selected, feed, since: clock.monotonic() };
    requests.add("poll"); // what has changed up to now
  }

  #lose(error: Error): void {
    const live = this.#live;
    if (this.#sleeper.ended || live === undefined) return;
    const { clock, periodMs, health, instrumentation, requests } = this.#context;
    instrumentation.emit("feedLost");
    health.suspect(`the change feed was lost: ${describe(error)}`);
    closeQuietly(live.feed);
    this.#live = undefined;
    // Do not hammer a server that accepts every feed and keeps none.
    this.#failures = clock.monotonic() - live.since >= periodMs ? 0 : this.#failures + 1;
    requests.sleeper.wake(); // changes are polled for from now on
    this.#start();
  }
}

function isRefusal(error: unknown): boolean {
  return isHeartbitError(error, "UNSUPPORTED_SERVER") || isHeartbitError(error, "NOT_PERMITTED");
}

function closeQuietly(feed: Feed | undefined): void {
  feed?.close().catch(() => {});
}
