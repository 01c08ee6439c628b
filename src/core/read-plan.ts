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

/** A read of everything whose missing records may be removed. */
export interface Removal {
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
  /** The latest one, until `takeRemoval`. */
  #removal: Removal | undefined;

  constructor(retentionSlots: number) {
    this.#retentionSlots = retentionSlots;
  }

  /** Whether a read of everything is due. */
  get mustReadAll(): boolean {
    return this.#due !== "changes";
  }

  get hasCursor(): boolean {
    return this.#cursor !== undefined;
  }

  /** Whether a removal waits for `takeRemoval`. */
  get hasRemoval(): boolean {
    return this.#removal !== undefined;
  }

  /** The next poll reads everything, because changes may have been missed. */
  resync(): void {
    this.#due = "all";
  }

  /**
   * A poll begins in this slot. It reads everything, or changes since a cursor. `removes`: it makes a `Removal`. A
   * stale read lacks much, so that requires that a death may be reported.
   */
  begin(
    slot: Slot,
    mayReportDeaths: boolean,
  ): { readsAll: boolean; removes: boolean; since: Cursor | undefined } {
    // Records that ended in between may have been pruned since, and would be missed.
    if (this.#cursor !== undefined && slot - this.#cursor.slot > this.#retentionSlots / 2) this.resync();
    const removes = this.mustReadAll && mayReportDeaths;
    const readsAll = removes || this.#due === "all";
    if (readsAll) this.#due = "removal";
    return { readsAll, removes, since: readsAll ? undefined : this.#cursor?.at };
  }

  /** The next poll reads what changes after a read that began in this slot. */
  advance(at: Cursor | undefined, slot: Slot): void {
    if (at !== undefined) this.#cursor = { at, slot };
  }

  keepRemoval(removal: Removal): void {
    this.#removal = removal;
  }

  /** The latest removal, which is to be done now. Call only when a death may be reported. */
  takeRemoval(): Removal | undefined {
    const removal = this.#removal;
    this.#removal = undefined;
    if (removal !== undefined && this.#due === "removal") this.#due = "changes";
    return removal;
  }
}
