/**
 * What the next poll of sessions and registrations reads:
 *
 *   changes   what has changed since the cursor, or everything if there is no cursor yet
 *   all       everything, because changes may have been missed
 *   removal   everything once a death may be reported, so that missing records can be removed; until then, changes
 *
 *   any     --> all       `resync`, the cursor is too old, or a read of everything has failed
 *   all     --> removal   a poll begins
 *   removal --> changes   what a whole read lacks has been removed
 */
import type { Selection } from "./selection.ts";
import type { Slot } from "./slots.ts";
import type { Cursor } from "./store.ts";

/** A read of everything, at a time when a death could be reported. */
export interface WholeRead {
  /** See `Roster.beginLoad`. */
  readonly load: number;
  readonly selected: Selection;
  /** The read is at least as recent as this slot. */
  readonly asOf: Slot;
}

export class ReadPlan {
  readonly #retentionSlots: number;
  #due: "changes" | "all" | "removal" = "changes";
  /** The next poll reads changes since this cursor. */
  #cursor: { readonly at: Cursor; readonly slot: Slot } | undefined;
  /** The latest whole read, until `takeWhole`. */
  #whole: WholeRead | undefined;

  constructor(retentionSlots: number) {
    this.#retentionSlots = retentionSlots;
  }

  /** Whether more is due than what has changed. */
  get isBehind(): boolean {
    return this.#due !== "changes";
  }

  get hasCursor(): boolean {
    return this.#cursor !== undefined;
  }

  /** Whether a whole read waits for `takeWhole`. */
  get hasWhole(): boolean {
    return this.#whole !== undefined;
  }

  /** The next poll reads everything, because changes may have been missed. */
  resync(): void {
    this.#due = "all";
  }

  /**
   * A poll begins in this slot. It reads everything, or changes since a cursor. `removes`: it makes a `WholeRead`. A
   * stale read lacks much, so that requires that a death may be reported.
   */
  begin(
    slot: Slot,
    mayReportDeaths: boolean,
  ): { isWhole: boolean; removes: boolean; since: Cursor | undefined } {
    // Records that ended in between may have been pruned since, and would be missed.
    if (this.#cursor !== undefined && slot - this.#cursor.slot > this.#retentionSlots / 2) this.resync();
    const removes = this.isBehind && mayReportDeaths;
    const isWhole = removes || this.#due === "all";
    if (isWhole) this.#due = "removal";
    return { isWhole, removes, since: isWhole ? undefined : this.#cursor?.at };
  }

  /** The next poll reads what changes after a read that began in this slot. */
  advance(at: Cursor | undefined, slot: Slot): void {
    if (at !== undefined) this.#cursor = { at, slot };
  }

  keepWhole(whole: WholeRead): void {
    this.#whole = whole;
  }

  /** The latest whole read, whose missing records are to be removed now. Call only when a death may be reported. */
  takeWhole(): WholeRead | undefined {
    const whole = this.#whole;
    this.#whole = undefined;
    if (whole !== undefined && this.#due === "removal") this.#due = "changes";
    return whole;
  }
}
