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
 *
 * A read that asks for the session's record asks for one of its registrations besides, another each time, where the holder gives one:
 * where it has the record and not the registration, all that is held is doubted.
 */
import { type RegistrationId, type RegistrationRecord, isSameRegistration } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Page, ReadQuery } from "../../core/store.ts";
import { isSame, type OpenSession, type SessionKeeper } from "./session.ts";

/** A read that is late may be older than a session of so many slots: the next reads will tell. */
const YOUNG_SLOTS = 2;

/** Who holds something under the session. */
export interface Holder {
  /** A registration that was written before this slot, another at each call; undefined where there is none. */
  sample(session: number, writtenBefore: Slot): RegistrationId | undefined;
  hear(page: Page): void;
  /** What of a page should have ended, where our session is ours. */
  unended(page: Page): RegistrationRecord[];
  endAgain(registrations: readonly RegistrationRecord[]): void;
  /** All that is held is to be looked at. */
  doubt(): void;
  /** A read of ours is complete that began in this slot. */
  looked(slot: Slot): void;
  /** A read did not find this registration. */
  lost(registration: RegistrationId): void;
}

export class Audit {
  /** What the read must ask for besides. */
  readonly asks: Pick<ReadQuery, "session" | "withRecord" | "registration">;
  /** The slot of our session's record in it: the read is no older than that. Infinity where we have no session. */
  asOf: Slot;
  readonly #keeper: SessionKeeper;
  readonly #holder: Holder;
  readonly #session: OpenSession | undefined;
  readonly #withRecord: boolean;
  /** The slot in which the read began. */
  readonly #began: Slot;
  #found: "nothing" | "ours" | "another's" = "nothing";
  #foundRegistration = false;
  readonly #unended: RegistrationRecord[] = [];

  /** `always`: it asks for the session's record in any case. */
  constructor(keeper: SessionKeeper, began: Slot, always: boolean, holder: Holder) {
    this.#keeper = keeper;
    this.#holder = holder;
    this.#began = began;
    this.#session = keeper.current;
    this.#withRecord = always || keeper.isDoubtful;
    const seq = this.#session?.record.seq;
    const registration =
      this.#withRecord && seq !== undefined ? holder.sample(seq, began - YOUNG_SLOTS) : undefined;
    this.asks = { session: seq, withRecord: this.#withRecord, registration };
    this.asOf = this.#session === undefined && !keeper.isOpening ? Infinity : -Infinity;
  }

  page(page: Page): void {
    const ours = this.#session?.record;
    for (const record of page.sessions) {
      if (ours === undefined || record.seq !== ours.seq) continue;
      this.#found = isSame(record, ours) ? "ours" : "another's";
      if (this.#found === "ours") this.asOf = Math.max(this.asOf, record.slot);
    }
    const { registration: asked } = this.asks;
    if (asked !== undefined)
      this.#foundRegistration ||= page.registrations.some((registration) =>
        isSameRegistration(registration, asked),
      );
    this.#holder.hear(page);
    this.#unended.push(...this.#holder.unended(page));
  }

  /** All has been read. Gives whether the read may be used. */
  end(): boolean {
    const session = this.#session;
    if (session === undefined) return true;
    const isCurrent = session === this.#keeper.current;
    const hasRecord = this.#found === "ours";
    const isUsable = hasRecord || (this.#found === "nothing" && !this.#withRecord);
    if (hasRecord && this.#withRecord) session.audited = this.#began; // else the rest of an audit has not been done
    if (!isCurrent) return true;
    if (isUsable) {
      this.#holder.looked(this.#began);
      const { registration } = this.asks;
      if (registration !== undefined && !this.#foundRegistration) this.#holder.lost(registration);
      if (this.#unended.length === 0) return true;
      // A number may have become another's, and only the record says whose it is.
      if (hasRecord) this.#holder.endAgain(this.#unended);
      else this.#holder.doubt();
      return true;
    }
    const isYoung = this.#began - session.record.slot <= YOUNG_SLOTS;
    if (this.#found === "another's" || !isYoung) this.#keeper.reopen("is gone from the store");
    return false;
  }
}
