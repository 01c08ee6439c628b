/**
 * What this process holds: its session, and the beings of its pingers. It writes them, writes them again when they
 * may have been lost, and hears when another has ended one.
 *
 *   none --open--> open --end--> ended
 *                  open --its record is gone, or is another's--> none, and a new one is opened at once
 */
import { KILLED } from "../core/alive.ts";
import type { HeartbitError } from "../core/errors.ts";
import type { SessionRecord } from "../core/records.ts";
import { NOTHING } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { Cursor, Page, ReadQuery, Write } from "../core/store.ts";
import { describe } from "./log.ts";
import { bulk, isFinal, readPages, RETRY_OF_PERIOD, type Shared } from "./shared.ts";
import { OneAtATime, Sleeper } from "./timing.ts";
import { closed, Writer } from "./writer.ts";

/** One start of one pinger of this presence. */
export interface Held {
  readonly key: string;
  /** The pinger's number in this presence. */
  readonly pinger: number;
  /** How many times the pinger had been started. */
  readonly start: number;
  /** Since when it is held, by the store's time in ms. */
  readonly since: number;
  /** Whether an earlier start of the pinger may still be vouched for: this one ends it. */
  readonly endsEarlier: boolean;
  /** JSON text. */
  meta: string;
  revision: number;
  /** The slot in which its record was written last. */
  written?: Slot;
  /** Called when another has ended it. It is no longer held then. */
  readonly killed: () => void;
}

export interface HoldingsEvents {
  /** Before a session is opened: sets the namespace up where it is not. Rejects with what can never heal. */
  prepare(): Promise<void>;
  /** The number of a new session. */
  nextSeq(): Promise<number>;
  /**
   * A session has been opened: the first, or a later one after its record was gone. Resolves when its first ping has
   * been answered, or given up; rejects when it was refused.
   */
  opened(session: SessionRecord): Promise<void>;
  /** See `ReaderEvents`. */
  isCurrent(): boolean;
  /** The record of the session is gone: resolves when a new one may be opened, rejects when the namespace is gone too. */
  gone(): Promise<void>;
}

/** What listens to a read for what becomes of what we hold. */
export interface Audit {
  readonly asks: Pick<ReadQuery, "session" | "withRecord">;
  page(page: Page): void;
  end(): boolean;
  /** The slot of our session's record in it: the read is no older than that. Infinity where we have no session. */
  readonly asOf: Slot;
}

/** How many of what is held go in one entry when all is written again. */
const REWRITE_ENTRY = 1000;
/** A session of so many slots is not taken for lost. */
const REOPEN_SLOTS_MIN = 2;
/**
 * How often the session's record is looked at without any sign that it may be gone. A server loses what it has
 * acknowledged only when it goes away, which is such a sign.
 */
export const AUDIT_SLOTS = 4;

export class Holdings {
  readonly #shared: Shared;
  readonly #identity: { readonly host: string; readonly pid: number };
  readonly #events: HoldingsEvents;
  readonly #writer: Writer;
  readonly #sleeper: Sleeper;
  readonly #held = new Map<number, Held>();
  /** Renewed when the namespace was lost: what began before has no part in what comes after. */
  #life: { lost?: HeartbitError } = {};
  #isEnding = false;
  #session: SessionRecord | undefined;
  #opening: Promise<SessionRecord> | undefined;
  /** Rejects when the session may not ping, and so can hold nothing for longer than a moment. */
  #permitted: Promise<void> = Promise.resolve();
  /** The slot that the session's record bears, as far as that is acknowledged. */
  #refreshed: Slot = -Infinity;
  #cursor: Cursor | undefined;
  /** The slot of the latest read that had the session's record. */
  #audited: Slot = -Infinity;
  readonly #checking = new OneAtATime(() => this.#check());

  constructor(shared: Shared, identity: { host: string; pid: number }, events: HoldingsEvents) {
    this.#shared = shared;
    this.#identity = identity;
    this.#events = events;
    this.#writer = new Writer(shared, () => this.open());
    this.#sleeper = new Sleeper(shared.clock);
  }

  get session(): SessionRecord | undefined {
    return this.#session;
  }

  /** Opens the session, if it is not open. Rejects with what can never heal, or with `PRESENCE_CLOSED`. */
  open(): Promise<SessionRecord> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    return this.#opening ?? this.#openingIs(this.#open());
  }

  #openingIs(opening: Promise<SessionRecord>): Promise<SessionRecord> {
    const over = opening.finally(() => {
      if (this.#opening === over) this.#opening = undefined;
    });
    this.#opening = over;
    return over;
  }

  /** Starts to hold; resolves when others can see it. Rejects with what can never heal. */
  async hold(held: Held): Promise<void> {
    this.#held.set(held.pinger, held);
    try {
      await this.#writer.write(() => this.#writesOf(held, held.endsEarlier));
      await this.#permitted;
    } catch (error) {
      if (this.#held.get(held.pinger) === held) this.#held.delete(held.pinger);
      throw error;
    }
  }

  /** Writes the newer meta of what is held. */
  update(held: Held): Promise<void> {
    return this.#writer.write(() => this.#writesOf(held, false));
  }

  /** Stops to hold: vouched for until slot `last`, or killed. Resolves when that is written. */
  release(held: Held, last: Slot): Promise<void> {
    if (this.#held.get(held.pinger) === held) this.#held.delete(held.pinger);
    const { time, retentionSlots } = this.#shared;
    // What was written long ago may have been pruned while this process slept; the end of what is not there is not told.
    const isOld = time.slot - (held.written ?? Infinity) > retentionSlots / 2;
    return this.#writer.write(() => [
      ...(isOld ? this.#writesOf(held, false) : []),
      ...this.#endOf(held, held.start, last),
    ]);
  }

  /** Resolves when all that is queued has been written or refused. */
  idle(): Promise<void> {
    return this.#writer.idle();
  }

  /** Writes all that is held again, with the present slot. Does not wait. */
  rewrite(): void {
    if (this.#session === undefined) return;
    this.refresh(Infinity);
    const held = [...this.#held.values()];
    for (let first = 0; first < held.length; first += REWRITE_ENTRY) {
      const some = held.slice(first, first + REWRITE_ENTRY);
      const write = this.#writer.write(() =>
        some.filter((one) => this.#held.get(one.pinger) === one).flatMap((one) => this.#writesOf(one, false)),
      );
      this.#inBackground(write);
    }
  }

  /** Raises the slot of the session's record, when it is more than `slots` old: what is old is pruned. */
  refresh(slots: number): void {
    const { slot } = this.#shared.time;
    if (this.#session === undefined || (slots !== Infinity && slot - this.#refreshed <= slots)) return;
    const refreshed = this.#refreshed;
    this.#refreshed = slot; // once is enough while it is under way
    const write = this.#writer.write(() =>
      this.#session === undefined ? [] : [this.#writeOf(this.#session)],
    );
    this.#inBackground(
      write.catch((error: unknown) => {
        this.#refreshed = refreshed;
        throw error;
      }),
    );
  }

  /** The store answers again: tries at once what has failed. */
  hurry(): void {
    this.#sleeper.wake();
    this.#writer.hurry();
  }

  /** What was acknowledged may have been lost: the next read that asks for our session asks for its record too. */
  doubt(): void {
    this.#audited = -Infinity;
  }

  /** Whether the next read asks for the session's record: lately nothing has said that it is there. */
  get isDoubtful(): boolean {
    return this.#shared.time.slot - this.#audited >= AUDIT_SLOTS;
  }

  /** Reads what has become of what is held, as of after the call. Never rejects. */
  check(): Promise<void> {
    return this.#checking.run();
  }

  async #check(): Promise<void> {
    if (this.#session === undefined) return;
    try {
      const audit = this.audit();
      const query = { select: NOTHING, since: this.#cursor, ...audit.asks };
      const isCurrent = this.#events.isCurrent();
      for await (const page of readPages(this.#shared, query)) {
        audit.page(page);
        if (isCurrent) this.#cursor = page.cursor ?? this.#cursor;
      }
      audit.end();
    } catch (error) {
      if (!this.#sleeper.ended) this.#shared.health.trouble(`a read failed: ${describe(error)}`);
    }
  }

  /**
   * Listens to a read: what it says of what we hold. `asks` is what the read must ask for besides. `end` gives false
   * where it asked for our session's record and has not got it: the read is not fresh, or the record is gone.
   */
  audit(always = false): Audit {
    const session = this.#session;
    const { slot } = this.#shared.time;
    const withRecord = always || this.isDoubtful;
    let found: "ours" | "another's" | undefined;
    let asOf = session === undefined && this.#opening === undefined ? Infinity : -Infinity;
    return {
      asks: { session: session?.seq, withRecord },
      get asOf() {
        return asOf;
      },
      page: (page) => {
        for (const record of page.sessions) {
          if (record.seq !== session?.seq) continue;
          found = isSame(record, session) ? "ours" : "another's";
          if (found === "ours") asOf = Math.max(asOf, record.slot);
        }
        this.hear(page);
      },
      end: () => {
        if (found === "ours") this.#audited = slot;
        const isOurs = found === "ours" || (found === undefined && !withRecord);
        if (isOurs || session === undefined || session !== this.#session) return true;
        // A read that is late may be older than a young session: the next reads will tell.
        const isYoung = slot - session.slot <= REOPEN_SLOTS_MIN;
        if (found === "another's" || !isYoung) this.#reopen("is gone from the store");
        return false;
      },
    };
  }

  /** Hears, in any way, what has become of beings: some may be ours, and ended by another. So may our session be. */
  hear(page: Page): void {
    for (const session of page.sessions) {
      if (session.last !== undefined && this.#isOurs(session)) this.#reopen("was ended by another");
    }
    for (const being of page.beings) {
      if (being.session !== this.#session?.seq || being.last === undefined) continue;
      const held = this.#held.get(being.pinger);
      if (held?.start !== being.start) continue;
      this.#held.delete(held.pinger);
      held.killed();
    }
  }

  /** Ends the session: all its beings are vouched for until slot `last`, or killed. Resolves when that is written. */
  async end(last: Slot): Promise<void> {
    this.#held.clear();
    if (this.#session === undefined && this.#opening === undefined) return;
    this.#isEnding = true;
    await this.#writer.write(() =>
      this.#session === undefined ? [] : [{ kind: "endSession", session: this.#session.seq, last }],
    );
  }

  /** Forgets the session and all that is held, and gives up what is not written yet: the namespace is gone. */
  forget(error: HeartbitError): void {
    this.#life.lost = error;
    this.#life = {};
    if (this.#session !== undefined) this.#disown(this.#session);
    this.#session = undefined;
    this.#opening = undefined;
    this.#held.clear();
    this.#writer.giveUp(error);
  }

  /** Lets go: what is not written yet is given up. */
  stop(): void {
    this.#sleeper.end();
    this.#writer.end();
  }

  async #open(): Promise<SessionRecord> {
    for (;;) {
      const session = await this.#persist("opening a session", () => this.#openOnce());
      if (session !== undefined) return session;
    }
  }

  /** Gives undefined where the number turns out to be another's. */
  async #openOnce(): Promise<SessionRecord | undefined> {
    const { namespace, time } = this.#shared;
    const life = this.#life;
    await this.#events.prepare();
    const seq = await this.#events.nextSeq();
    if (life.lost !== undefined) throw life.lost;
    const session = { ...this.#identity, seq, opened: Math.round(time.now), slot: time.slot };
    await bulk(this.#shared, "open a session", namespace.write([{ kind: "session", session }]));
    // A server that lost what it had not journaled may have given us another's number.
    if (await this.#isAnothers(session)) return undefined;
    if (life.lost !== undefined) {
      this.#disown(session);
      throw life.lost;
    }
    this.#checkRunning();
    this.#session = session;
    this.#audited = session.slot;
    this.#refreshed = session.slot;
    this.#permitted = this.#events.opened(session);
    this.#permitted.catch(() => {
      if (this.#session === session) this.#session = undefined; // the next to hold something tries again
    });
    return session;
  }

  /** Tries until it succeeds, or never can. */
  async #persist<T>(what: string, act: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#checkRunning();
      try {
        return await act();
      } catch (error) {
        if (isFinal(error)) throw error;
        this.#checkRunning();
        this.#shared.health.trouble(`${what} failed: ${describe(error)}`);
        await this.#sleeper.sleep(this.#shared.periodMs * RETRY_OF_PERIOD);
      }
    }
  }

  #checkRunning(): void {
    if (this.#sleeper.ended) throw closed(this.#shared.name);
  }

  /**
   * Whether the record in the store is not the one that we wrote; one that a late read does not see yet is ours. Also
   * where `check` begins to read.
   */
  async #isAnothers(session: SessionRecord): Promise<boolean> {
    let found = false;
    const query = { select: NOTHING, session: session.seq, withRecord: true };
    for await (const page of readPages(this.#shared, query, bulk, "open a session")) {
      found ||= page.sessions.some((record) => record.seq === session.seq && !isSame(record, session));
      this.#cursor = page.cursor ?? this.#cursor;
    }
    return found;
  }

  /** Our session's record is gone, or another has its number: nothing may be written under that again. */
  #reopen(why: string): void {
    this.#shared.log.warn(`the session ${why}`);
    this.#session = undefined;
    this.#inBackground(this.#openingIs(this.#openAgain()).then(() => this.rewrite()));
  }

  /** What was written while the namespace went must not look alive. */
  #disown({ seq }: SessionRecord): void {
    const end = { kind: "endSession", session: seq, last: KILLED } as const;
    this.#inBackground(bulk(this.#shared, "write", this.#shared.namespace.write([end])));
  }

  #isOurs(session: SessionRecord): boolean {
    return this.#session !== undefined && !this.#isEnding && isSame(session, this.#session);
  }

  async #openAgain(): Promise<SessionRecord> {
    await this.#persist("looking at the namespace", () => this.#events.gone());
    return this.#open();
  }

  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!this.#sleeper.ended) this.#shared.log.warn("what is held could not be written", error);
    });
  }

  #writesOf(held: Held, endsEarlier: boolean): readonly Write[] {
    const { key, pinger, start, since, meta, revision } = held;
    if (this.#session === undefined) return [];
    const { seq: session } = this.#session;
    const { slot } = this.#shared.time;
    held.written = slot;
    const being = { session, pinger, start, key, since, slot, meta, revision };
    // Not killed: who hears of the earlier start alone, as a resumed feed may tell it, must not tell a death.
    return [{ kind: "being", being }, ...(endsEarlier ? this.#endOf(held, start - 1, slot) : [])];
  }

  #endOf({ pinger }: Held, start: number, last: Slot): readonly Write[] {
    if (this.#session === undefined) return [];
    return [{ kind: "end", being: { session: this.#session.seq, pinger, start }, last }];
  }

  #writeOf(session: SessionRecord): Write {
    return { kind: "session", session: { ...session, slot: this.#shared.time.slot } };
  }
}

function isSame(a: SessionRecord, b: SessionRecord): boolean {
  return a.seq === b.seq && a.host === b.host && a.pid === b.pid && a.opened === b.opened;
}
