/**
 * Reads sessions and registrations into the roster: everything that is newly wanted, and from then on changes
 * (core/read-plan.ts). It also removes records from the roster that a whole read lacks.
 */
import { evaluationSlot, mayReportDeaths } from "../../core/alive.ts";
import { notFresh } from "../../core/freshness.ts";
import { ReadPlan } from "../../core/read-plan.ts";
import { doAll, type Steps } from "../../core/steps.ts";
import { copyOf, includesKey, type Selection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Cursor, Page } from "../../core/store.ts";
import { takeInSteps, touchesMany } from "../../core/take-in-steps.ts";
import { OneAtATime } from "../../lib/timers.ts";
import { type Context, patiently, quickly, readPages } from "../context/context.ts";
import { readPings } from "../context/pings.ts";
import type { HoldingSide } from "../holding/holding-side.ts";
import { Coverage } from "../../core/coverage.ts";
import type { Notifier } from "./notifier.ts";

export class Snapshot {
  /** The selection that has been loaded and is followed since. */
  readonly coverage = new Coverage();
  readonly plan: ReadPlan;
  readonly #context: Context;
  readonly #holdingSide: HoldingSide;
  readonly #notifier: Notifier;
  readonly #polling = new OneAtATime(() => this.#poll());
  /** How many polls have begun: a load that overlaps with one must catch up. */
  #polls = 0;
  /** When a page was last read or taken: a monotonic time, in ms. */
  latestPageAt = -Infinity;

  constructor(holdingSide: HoldingSide, notifier: Notifier) {
    this.#context = holdingSide.context;
    this.plan = new ReadPlan(holdingSide.context.retentionSlots);
    this.#holdingSide = holdingSide;
    this.#notifier = notifier;
  }

  /** Reads a whole selection, which is followed from then on. */
  async load(selected: Selection): Promise<void> {
    const { roster, subscriptions } = this.#notifier;
    const polls = this.#polls;
    const wasPolling = this.#polling.isRunning; // that poll overlaps, too
    const { slot } = this.#context.time;
    const isCurrent = this.#isCurrent;
    this.coverage.beginLoad(selected, subscriptions.wanted);
    const { cursor } = await this.#read(selected, undefined, patiently);
    // A holder of one of them may have pinged since the pings of its slot were read.
    const pings = await readPings(this.#context, roster.g, this.#holdingSide.session.ownPing);
    await this.#notifier.addPings(pings);
    this.coverage.endLoad(subscriptions.wanted);
    if (wasPolling || polls !== this.#polls) {
      // The overlapping poll did not read these keys, and the next one reads only changes after it.
      await this.#read(selected, isCurrent ? cursor : undefined, patiently);
    } else if (isCurrent && !this.plan.hasCursor) this.plan.advance(cursor, slot);
  }

  /**
   * Reads changes since the previous poll, or everything if there was none or it was too long ago. The read begins
   * after this call: a poll that is already under way is followed by another one.
   */
  poll(): Promise<void> {
    return this.#polling.run();
  }

  /** Removes records that the latest whole read lacks from the roster. Call only when a death may be reported. */
  *removeMissing(): Steps {
    const removal = this.plan.takeRemoval();
    if (removal === undefined) return;
    const { load, selected, asOf } = removal;
    yield* this.#notifier.roster.endLoadInSteps(load, (key) => includesKey(selected, key), asOf);
  }

  /** Takes a page of the change feed, and notifies. */
  takePageOfFeed(page: Page): void {
    this.#holdingSide.registrations.takePage(page);
    const steps = this.#takeInSteps(page);
    const isLong = touchesMany(this.#notifier.roster, page);
    if (isLong) void this.#notifier.doUnreported(steps).then(() => this.#notifier.notify());
    else doAll(steps);
    this.#notifier.notify();
  }

  #takeInSteps(page: Page): Steps {
    return takeInSteps(this.#notifier.roster, page, (key) => this.#notifier.subscriptions.wants(key));
  }

  /** One piece of work, so that changes of the feed between two pages are not reported with half of the pages. */
  *#takeAllInSteps(pages: readonly Page[]): Steps {
    for (const page of pages) {
      yield* this.#takeInSteps(page);
      this.#notifier.discardChanges();
      this.latestPageAt = this.#context.clock.monotonic();
    }
  }

  async #poll(): Promise<void> {
    const { time, health } = this.#context;
    this.#polls++;
    const selected = copyOf(this.coverage);
    const { slot } = time;
    const isCurrent = this.#isCurrent;
    const mayRemove = mayReportDeaths(evaluationSlot(time.position), health.latestSuspicion);
    const { readsAll, removes, since } = this.plan.begin(slot, mayRemove);
    const load = readsAll ? this.#notifier.roster.beginLoad() : 0;
    try {
      const { cursor, asOf } = await this.#read(selected, since);
      if (isCurrent) this.plan.advance(cursor, slot);
      if (removes) this.plan.keepRemoval({ load, selected, asOf });
    } catch (error) {
      if (readsAll) this.plan.resync();
      throw error;
    }
    this.#notifier.notify();
  }

  /**
   * Whether a recent ping of ours was acknowledged. Otherwise a read may lack writes, so the cursor must not advance
   * after it. The overlap of the store's cursors makes up for two periods.
   */
  get #isCurrent(): boolean {
    return this.#holdingSide.session.arePingsCurrent(this.#context.time.slot - 1);
  }

  /**
   * Reads page by page into the roster. Returns the cursor, and a slot such that the read is at least that recent. A
   * whole read must have our session's record. Otherwise it is stale, or the record is gone: the reconciler finds out.
   */
  async #read(
    selected: Selection,
    since: Cursor | undefined,
    bound = quickly,
  ): Promise<{ cursor: Cursor | undefined; asOf: Slot }> {
    const { session, registrations } = this.#holdingSide;
    const own = session.current;
    // Without a session there is no record of ours that could show how recent the read is, so it is trusted.
    let asOf = own !== undefined || session.isOpening ? -Infinity : Infinity;
    let hasOwn = own === undefined || since !== undefined;
    const read: Page[] = [];
    let cursor: Cursor | undefined;
    const query = { select: selected, since, session: hasOwn ? undefined : own?.record.seq };
    for await (const page of readPages(this.#context, query, bound)) {
      for (const record of page.sessions) {
        if (!session.isOurs(record)) continue;
        hasOwn = true;
        asOf = Math.max(asOf, record.slot);
      }
      registrations.takePage(page);
      read.push(page);
      this.latestPageAt = this.#context.clock.monotonic();
      cursor = page.cursor ?? cursor;
    }
    if (!hasOwn && own === session.current) {
      this.#context.requests.add("reconcile");
      throw notFresh("session");
    }
    await this.#notifier.doUnreported(this.#takeAllInSteps(read));
    return { cursor, asOf };
  }
}
