/**
 * Reads sessions and registrations into the roster: whole what is newly wanted, and from then on what has changed. Also takes
 * out of the roster what a whole read has not found.
 *
 * What a poll reads depends on what is due:
 *
 *   changes   what has changed since the cursor; all, where there is no cursor yet
 *   all       all: changes may have been missed
 *   sweep     all as soon as a death may be told, and what is not found goes; until then what has changed
 *
 *   any   --> all       `reread`, the cursor is too old, or a read of all has failed
 *   all   --> sweep     a poll begins
 *   sweep --> changes   `sweep` takes away what a read of all has not found
 *
 * The cursor is moved by a poll, and by the first load, but only where our own pings were acknowledged as that began.
 */
import { judgedSlot, mayTellDeaths } from "../../core/alive.ts";
import type { RegistrationRecord } from "../../core/records.ts";
import type { Roster, Steps } from "../../core/roster.ts";
import { includesKey, type Selection, type WatchTarget } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Cursor, Page } from "../../core/store.ts";
import type { Holdings } from "../holding/registrations.ts";
import { Loaded } from "./coverage.ts";
import { notFresh } from "../context/pings.ts";
import { bulk, readPages, type Shared, soon } from "../context/context.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { Teller } from "./notifier.ts";
import { OneAtATime } from "../../lib/timers.ts";

const STEP_REGISTRATIONS = 100;

type Due = "changes" | "all" | "sweep";

export interface ReaderParts {
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly subscriptions: Subscriptions;
  readonly teller: Teller;
  /**
   * Whether a ping of ours of this slot or the one before has been acknowledged: all that was written before that ping
   * can be read. Where members of the server lag, it cannot.
   */
  readonly isCurrent: () => boolean;
}

export class Reader {
  /** What has been loaded, and is followed since. */
  readonly loaded = new Loaded();
  /** What is being loaded, without what has left since: it is forgotten, and to be loaded anew where it comes back. */
  #loading = new Loaded();
  readonly #shared: Shared;
  readonly #parts: ReaderParts;
  readonly #polling = new OneAtATime(() => this.#poll());
  /** How many polls have begun: a load that one overlapped must catch up. */
  #polls = 0;
  #due: Due = "changes";
  /** The next poll asks for what has changed since. */
  #cursor: { readonly at: Cursor; readonly slot: Slot } | undefined;
  /** The latest whole read at a time at which a death could be told; undefined once `sweep` has been through it. */
  #unswept: { readonly load: number; readonly selected: Selection; readonly asOf: Slot } | undefined;

  constructor(shared: Shared, parts: ReaderParts) {
    this.#shared = shared;
    this.#parts = parts;
  }

  /** Reads all of a selection, which is followed from then on. */
  async load(selected: Selection): Promise<void> {
    const polls = this.#polls;
    const { slot } = this.#shared.time;
    const isCurrent = this.#parts.isCurrent();
    this.#loading = new Loaded();
    this.#loading.add(selected, this.#parts.subscriptions.wanted);
    const { cursor } = await this.#read(selected, undefined, bulk);
    this.loaded.add(this.#loading, this.#parts.subscriptions.wanted);
    if (polls !== this.#polls) {
      // A poll that began meanwhile has not asked for these keys, and the next one asks only for what came after it.
      await this.#read(selected, isCurrent ? cursor : undefined, bulk);
    } else if (this.#cursor === undefined) this.#advance(cursor, slot, isCurrent);
  }

  /** One has left who wanted this target. */
  leave(target: WatchTarget): void {
    for (const some of [this.loaded, this.#loading]) some.leave(target, this.#parts.subscriptions.wanted);
  }

  /** Many have left. */
  narrow(): void {
    for (const some of [this.loaded, this.#loading]) some.narrow(this.#parts.subscriptions.wanted);
  }

  /**
   * Reads what has changed since the last time; everything, where there was none or it was too long ago. What it reads
   * is as of after the call: one that is under way has begun too early, so another follows it.
   */
  poll(): Promise<void> {
    return this.#polling.run();
  }

  /** The next poll reads all, because changes may have been missed, and what it does not find goes. */
  reread(): void {
    this.#due = "all";
  }

  /** Whether more is due than what has changed. */
  get isBehind(): boolean {
    return this.#due !== "changes";
  }

  /** Whether a whole read waits for `sweep`. */
  get canSweep(): boolean {
    return this.#unswept !== undefined;
  }

  /** Takes out of the roster what the latest whole read has not found. Only when a death may be told. */
  *sweep(): Steps {
    if (this.#unswept === undefined) return;
    const { load, selected, asOf } = this.#unswept;
    this.#unswept = undefined;
    if (this.#due === "sweep") this.#due = "changes";
    yield* this.#parts.roster.endLoadInSteps(load, (key) => includesKey(selected, key), asOf);
  }

  /** Takes what was heard, from wherever, into the roster. */
  take(page: Page): void {
    for (const session of page.sessions) this.#parts.roster.session(session);
    this.#takeRegistrations(page.registrations);
  }

  #takeRegistrations(registrations: readonly RegistrationRecord[]): void {
    const { roster, subscriptions } = this.#parts;
    const { wanted } = subscriptions;
    for (const registration of registrations)
      if (includesKey(wanted, registration.key)) roster.registration(registration);
  }

  /** All at once, as far as is told: what the feed tells between two pages must not be told with half of them. */
  *#takeAll(pages: readonly Page[]): Steps {
    for (const page of pages) {
      this.take({ sessions: page.sessions, registrations: [] });
      for (let first = 0; first < page.registrations.length; first += STEP_REGISTRATIONS) {
        this.#takeRegistrations(page.registrations.slice(first, first + STEP_REGISTRATIONS));
        this.#parts.teller.passOver();
        yield;
      }
    }
  }

  async #poll(): Promise<void> {
    const { time, health, retentionSlots } = this.#shared;
    this.#polls++;
    const selected = this.loaded.copy();
    const { slot } = time;
    const isCurrent = this.#parts.isCurrent();
    // What ended in between may have been pruned since, and would be missed.
    if (this.#cursor !== undefined && slot - this.#cursor.slot > retentionSlots / 2) this.reread();
    // A late read lacks much.
    const sweeps = this.isBehind && mayTellDeaths(judgedSlot(time.position), health.latestTrouble);
    const whole = sweeps || this.#due === "all";
    const load = whole ? this.#parts.roster.beginLoad() : 0;
    if (whole) this.#due = "sweep";
    try {
      const { cursor, asOf } = await this.#read(selected, whole ? undefined : this.#cursor?.at);
      this.#advance(cursor, slot, isCurrent);
      if (sweeps) this.#unswept = { load, selected, asOf };
    } catch (error) {
      if (whole) this.#due = "all";
      throw error;
    }
    this.#parts.teller.tell();
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
    const audit = this.#parts.holdings.audit(since === undefined);
    const query = { select: selected, since, ...audit.asks };
    const read: Page[] = [];
    let cursor: Cursor | undefined;
    for await (const page of readPages(this.#shared, query, bound)) {
      audit.page(page);
      read.push(page);
      cursor = page.cursor ?? cursor;
    }
    if (!audit.end()) throw notFresh("session");
    await this.#parts.teller.doUntold(this.#takeAll(read));
    return { cursor, asOf: audit.asOf };
  }
}
