/**
 * Reads sessions and beings into the roster: whole what is newly wanted, and from then on what has changed. Also takes
 * out of the roster what a whole read has not found.
 */
import type { BeingRecord } from "../core/records.ts";
import type { Roster, Steps } from "../core/roster.ts";
import { includesKey, type Selection } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { Cursor, Page } from "../core/store.ts";
import type { Holdings } from "./holdings.ts";
import { Loaded } from "./loaded.ts";
import { notFresh } from "./pulse.ts";
import { bulk, readPages, type Shared, soon } from "./shared.ts";
import { OneAtATime } from "./timing.ts";

const STEP_BEINGS = 100;

export interface ReaderEvents {
  /** What anybody wants to be told of at present. */
  readonly wanted: () => Selection;
  /** Whether a death by absence may be told at present: a late read lacks much. */
  readonly mayTellDeaths: () => boolean;
  /**
   * Whether a ping of ours of this slot or the one before has been acknowledged: all that was written before that ping
   * can be read. Where members of the server lag, it cannot.
   */
  readonly isCurrent: () => boolean;
  /** Does long work on the roster, of which nothing is told before its end. */
  readonly untold: (work: Steps) => Promise<void>;
  /** The roster has been given what a read has found. */
  readonly heard: () => void;
}

export class Reader {
  /** What has been loaded, and is followed since. */
  readonly loaded = new Loaded();
  readonly #shared: Shared;
  readonly #roster: Roster;
  readonly #holdings: Holdings;
  readonly #events: ReaderEvents;
  readonly #polling = new OneAtATime(() => this.#poll());
  /** How many polls have begun: a load that one overlapped must catch up. */
  #polls = 0;
  /** The next poll asks for what has changed since. */
  #cursor: { readonly at: Cursor; readonly slot: Slot } | undefined;
  /** All must be read anew: changes may have been missed. */
  #rereadWanted = false;
  /** And what is not there any more must go. */
  #sweepWanted = false;
  #swept: { readonly load: number; readonly selected: Selection; readonly asOf: Slot } | undefined;

  constructor(shared: Shared, roster: Roster, holdings: Holdings, events: ReaderEvents) {
    this.#shared = shared;
    this.#roster = roster;
    this.#holdings = holdings;
    this.#events = events;
  }

  /** Reads all of a selection, which is followed from then on. */
  async load(selected: Selection): Promise<void> {
    const polls = this.#polls;
    const { slot } = this.#shared.time;
    const isCurrent = this.#events.isCurrent();
    const { cursor } = await this.#read(selected, undefined, bulk);
    this.loaded.add(selected, this.#events.wanted());
    if (polls !== this.#polls) {
      // A poll that began meanwhile has not asked for these keys, and the next one asks only for what came after it.
      await this.#read(selected, isCurrent ? cursor : undefined, bulk);
    } else if (this.#cursor === undefined) this.#advance(cursor, slot, isCurrent);
  }

  /**
   * Reads what has changed since the last time; everything, where there was none or it was too long ago. What it reads
   * is as of after the call: one that is under way has begun too early, so another follows it.
   */
  poll(): Promise<void> {
    return this.#polling.run();
  }

  /** The next poll reads everything, because changes may have been missed, and what it does not find goes. */
  reread(): void {
    this.#rereadWanted = true;
    this.#sweepWanted = true;
  }

  /** Whether the next poll reads everything. */
  get isBehind(): boolean {
    return this.#rereadWanted || this.#sweepWanted;
  }

  /** Whether a whole read waits for `sweep`. */
  get hasSwept(): boolean {
    return this.#swept !== undefined;
  }

  /** Takes out of the roster what the latest whole read has not found. Only when a death may be told. */
  *sweep(): Steps {
    const swept = this.#swept;
    if (swept === undefined) return;
    this.#swept = undefined;
    this.#sweepWanted = false;
    const { load, selected, asOf } = swept;
    yield* this.#roster.endLoadInSteps(load, (key) => includesKey(selected, key), asOf);
  }

  /** Takes what was heard, from wherever, into the roster. */
  take(page: Page): void {
    for (const session of page.sessions) this.#roster.session(session);
    this.#takeBeings(page.beings);
  }

  #takeBeings(beings: readonly BeingRecord[]): void {
    const wanted = this.#events.wanted();
    for (const being of beings) if (includesKey(wanted, being.key)) this.#roster.being(being);
  }

  /** All at once, as far as is told: what the feed tells between two pages must not be told with half of them. */
  *#takeAll(pages: readonly Page[]): Steps {
    for (const page of pages) {
      this.take({ sessions: page.sessions, beings: [] });
      for (let first = 0; first < page.beings.length; first += STEP_BEINGS) {
        this.#takeBeings(page.beings.slice(first, first + STEP_BEINGS));
        yield;
      }
    }
  }

  async #poll(): Promise<void> {
    const { time, retentionSlots } = this.#shared;
    this.#polls++;
    const selected = this.loaded.copy();
    const { slot } = time;
    const isCurrent = this.#events.isCurrent();
    // What ended in between may have been pruned since, and would be missed.
    if (this.#cursor !== undefined && slot - this.#cursor.slot > retentionSlots / 2) this.reread();
    const sweep = this.#sweepWanted && this.#events.mayTellDeaths();
    const whole = sweep || this.#rereadWanted;
    const load = whole ? this.#roster.beginLoad() : 0;
    if (whole) this.#rereadWanted = false;
    try {
      const { cursor, asOf } = await this.#read(selected, whole ? undefined : this.#cursor?.at);
      this.#advance(cursor, slot, isCurrent);
      if (sweep) this.#swept = { load, selected, asOf };
    } catch (error) {
      if (whole) this.#rereadWanted = true;
      throw error;
    }
    this.#events.heard();
  }

  /**
   * Takes a newer cursor. One of a read that may not have seen all that was there is left: the overlap of the store's
   * cursors makes up for two periods, and by then our own pings show that more is missing.
   */
  #advance(at: Cursor | undefined, slot: Slot, isCurrent: boolean): void {
    if (at !== undefined && isCurrent) this.#cursor = { at, slot };
  }

  /** Reads page by page into the roster; gives the cursor, and the slot than which the read is no older. */
  async #read(
    selected: Selection,
    since: Cursor | undefined,
    bound = soon,
  ): Promise<{ cursor: Cursor | undefined; asOf: Slot }> {
    const audit = this.#holdings.audit(since === undefined);
    const query = { select: selected, since, ...audit.asks };
    const read: Page[] = [];
    let cursor: Cursor | undefined;
    for await (const page of readPages(this.#shared, query, bound)) {
      audit.page(page);
      read.push(page);
      cursor = page.cursor ?? cursor;
    }
    if (!audit.end()) throw notFresh("session");
    await this.#events.untold(this.#takeAll(read));
    return { cursor, asOf: audit.asOf };
  }
}
