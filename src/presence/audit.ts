/**
 * Listens to a read for what becomes of our session, and of what we hold.
 *
 *   what the read has of our session            whether the read may be used     what becomes of the session
 *   its record                                  yes                              it is known to be there
 *   nothing, and was not asked for its record   yes                              -
 *   nothing, in spite of that                   no: it is late, or               is taken for gone, unless it is young
 *   another's record under its number           no                               is gone
 *
 * A session that is gone is opened anew. Where there is none, or another by the end, the read says nothing of ours.
 */
import type { Slot } from "../core/slots.ts";
import type { Page, ReadQuery } from "../core/store.ts";
import { isSame, type OpenSession, type SessionKeeper } from "./session-keeper.ts";

/** A read that is late may be older than a session of so many slots: the next reads will tell. */
const YOUNG_SLOTS = 2;

export class Audit {
  /** What the read must ask for besides. */
  readonly asks: Pick<ReadQuery, "session" | "withRecord">;
  /** The slot of our session's record in it: the read is no older than that. Infinity where we have no session. */
  asOf: Slot;
  readonly #keeper: SessionKeeper;
  readonly #hear: (page: Page) => void;
  readonly #session: OpenSession | undefined;
  readonly #withRecord: boolean;
  /** The slot in which the read began. */
  readonly #began: Slot;
  #found: "nothing" | "ours" | "another's" = "nothing";

  /** `always`: it asks for the session's record in any case. `hear` is told each page. */
  constructor(keeper: SessionKeeper, began: Slot, always: boolean, hear: (page: Page) => void) {
    this.#keeper = keeper;
    this.#hear = hear;
    this.#began = began;
    this.#session = keeper.current;
    this.#withRecord = always || keeper.isDoubtful;
    this.asks = { session: this.#session?.record.seq, withRecord: this.#withRecord };
    this.asOf = this.#session === undefined && !keeper.isOpening ? Infinity : -Infinity;
  }

  page(page: Page): void {
    const ours = this.#session?.record;
    for (const record of page.sessions) {
      if (ours === undefined || record.seq !== ours.seq) continue;
      this.#found = isSame(record, ours) ? "ours" : "another's";
      if (this.#found === "ours") this.asOf = Math.max(this.asOf, record.slot);
    }
    this.#hear(page);
  }

  /** All has been read. Gives whether the read may be used. */
  end(): boolean {
    const session = this.#session;
    if (session === undefined) return true;
    if (this.#found === "ours") session.audited = this.#began;
    if (this.#found === "ours" || session !== this.#keeper.current) return true;
    if (this.#found === "nothing" && !this.#withRecord) return true;
    const isYoung = this.#began - session.record.slot <= YOUNG_SLOTS;
    if (this.#found === "another's" || !isYoung) this.#keeper.reopen("is gone from the store");
    return false;
  }
}
