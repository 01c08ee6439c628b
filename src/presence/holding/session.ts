/**
 * The session of this presence, under whose number all is written, in the order of the calls.
 *
 *   none     --something is written, or watched--> opening
 *   opening  --its record is written, and read back as ours--> open
 *   opening  --the number is another's--> opening, with the next number
 *   open     --its record is gone, or is another's; another has ended it--> opening, and then `reopened`
 *   open     --it may not ping--> none
 *   opening, open  --the namespace is gone--> none
 *
 * `end` leaves it open: what is queued is still written under its number.
 */
import { KILLED } from "../../core/alive.ts";
import type { HeartbitError } from "../../core/errors.ts";
import type { SessionRecord } from "../../core/records.ts";
import { NOTHING } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Cursor, Write } from "../../core/store.ts";
import { describe } from "../context/log.ts";
import { bulk, isFinal, knowsTime, readPages, RETRY_OF_PERIOD, type Shared } from "../context/context.ts";
import { Sleeper } from "../../lib/timers.ts";
import { closed, Writer } from "./write-queue.ts";

export interface SessionEvents {
  /** Before a session is opened: sets the namespace up where it is not. Rejects with what can never heal. */
  prepare(): Promise<void>;
  /** The number of a new session. */
  nextSeq(): Promise<number>;
  /** A session has been opened. Resolves when its first ping has been answered, or given up; rejects when it was refused. */
  opened(session: SessionRecord): Promise<void>;
  /** The record of the session is gone: resolves when a new one may be opened, rejects when the namespace is gone too. */
  gone(): Promise<void>;
  /** A new session has been opened after that: nothing of what is held has been written under its number. */
  reopened(): void;
}

/** A session that is open, and what is known of it. */
export interface OpenSession {
  readonly record: SessionRecord;
  /** The slot that the record bears, as far as that is acknowledged. */
  refreshed: Slot;
  /** The slot of the latest read that asked for the record, and had it. */
  audited: Slot;
  /** What has become of its registrations has been heard up to here. */
  cursor: Cursor | undefined;
}

interface Life {
  /** Why it is over. */
  lost?: HeartbitError;
}

/**
 * How often the session's record is looked at without any sign that it may be gone. A server loses what it has
 * acknowledged only when it goes away, which is such a sign.
 */
export const AUDIT_SLOTS = 4;

export class SessionKeeper {
  readonly #shared: Shared;
  readonly #identity: { readonly host: string; readonly pid: number };
  readonly #events: SessionEvents;
  readonly #writer: Writer;
  readonly #sleeper: Sleeper;
  #current: OpenSession | undefined;
  #opening: Promise<OpenSession> | undefined;
  #permitted: Promise<void> = Promise.resolve();
  /** Renewed when the namespace was lost: what began before has no part in what comes after. */
  #life: Life = {};
  #isEnding = false;

  constructor(shared: Shared, identity: { host: string; pid: number }, events: SessionEvents) {
    this.#shared = shared;
    this.#identity = identity;
    this.#events = events;
    this.#writer = new Writer(shared, () => this.open());
    this.#sleeper = new Sleeper(shared.clock);
  }

  /** The session, while it is open. */
  get current(): OpenSession | undefined {
    return this.#current;
  }

  get isOpening(): boolean {
    return this.#opening !== undefined;
  }

  get isStopped(): boolean {
    return this.#sleeper.ended;
  }

  /** Rejects when the latest session may not ping, and so can hold nothing for longer than a moment. */
  get permitted(): Promise<void> {
    return this.#permitted;
  }

  /** Opens the session, if it is not open. Rejects with what can never heal, or with `PRESENCE_CLOSED`. */
  open(): Promise<OpenSession> {
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    return this.#opening ?? this.#openingIs(this.#open());
  }

  /**
   * Writes what `make` gives for the session's number: it is called at each try anew. Resolves when that is
   * acknowledged. Rejects with what can never heal, or with `PRESENCE_CLOSED`.
   */
  write(make: (seq: number) => readonly Write[]): Promise<void> {
    return this.#writer.write(() => (this.#current === undefined ? [] : make(this.#current.record.seq)));
  }

  /** Writing that nobody waits for: never rejects. */
  async inBackground(writing: Promise<unknown>): Promise<void> {
    try {
      await writing;
    } catch (error) {
      if (!this.#sleeper.ended) this.#shared.log.warn("what is held could not be written", error);
    }
  }

  /** Resolves when all that is queued has been written or refused. */
  idle(): Promise<void> {
    return this.#writer.idle();
  }

  /** Raises the slot of the session's record where it is more than so many slots old: what is old is pruned. */
  refresh(slots = -Infinity): void {
    const { time } = this.#shared;
    const session = this.#current;
    if (session === undefined || time.slot - session.refreshed <= slots) return;
    const { refreshed } = session;
    session.refreshed = time.slot; // once is enough while it is under way
    const write = this.write((current) => [{ kind: "raiseSession", session: current, slot: time.slot }]);
    void this.inBackground(
      write.then(
        () => this.doubt(), // what has been pruned meanwhile was not raised
        (error: unknown) => {
          session.refreshed = refreshed;
          throw error;
        },
      ),
    );
  }

  /** The store answers again: tries at once what has failed. */
  hurry(): void {
    this.#sleeper.wake();
    this.#writer.hurry();
  }

  /** What was acknowledged may have been lost: the next read that asks for our session asks for its record too. */
  doubt(): void {
    if (this.#current !== undefined) this.#current.audited = -Infinity;
  }

  /** Whether the next read asks for the session's record: lately nothing has said that it is there. */
  get isDoubtful(): boolean {
    return this.#shared.time.slot - (this.#current?.audited ?? -Infinity) >= AUDIT_SLOTS;
  }

  /** Hears of sessions, in any way: ours may have been ended by another. */
  hear(sessions: readonly SessionRecord[]): void {
    if (this.#isEnding) return;
    for (const session of sessions) {
      if (session.last === undefined || this.#current === undefined) continue;
      if (isSame(session, this.#current.record)) this.reopen("was ended by another");
    }
  }

  /** Our session's record is gone, or another has its number: nothing may be written under that again. */
  reopen(why: string): void {
    this.#shared.log.warn(`the session ${why}`);
    this.#current = undefined;
    void this.inBackground(this.#openingIs(this.#openAgain()).then(() => this.#events.reopened()));
  }

  /** Ends it: all its registrations are vouched for until slot `last`, or killed. Resolves when that is written. */
  async end(last: Slot): Promise<void> {
    if (this.#current === undefined && this.#opening === undefined) return;
    this.#isEnding = true;
    await this.write((session) => [{ kind: "endSession", session, last }]);
  }

  /** Forgets it, and gives up what is not written yet: the namespace is gone. */
  forget(error: HeartbitError): void {
    this.#life.lost = error;
    this.#life = {};
    if (this.#current !== undefined) this.#disown(this.#current);
    this.#current = undefined;
    this.#opening = undefined;
    this.#writer.giveUp(error);
  }

  /** Lets go: what is not written yet is given up. */
  stop(): void {
    this.#sleeper.end();
    this.#writer.end();
  }

  #openingIs(opening: Promise<OpenSession>): Promise<OpenSession> {
    const over = opening.finally(() => {
      if (this.#opening === over) this.#opening = undefined;
    });
    this.#opening = over;
    return over;
  }

  async #openAgain(): Promise<OpenSession> {
    await this.#persist("looking at the namespace", () => this.#events.gone());
    return this.#open();
  }

  async #open(): Promise<OpenSession> {
    const life = this.#life;
    for (;;) {
      let numbered: Omit<SessionRecord, "slot"> | undefined;
      const session = await this.#persist("opening a session", async () => {
        await this.#events.prepare();
        await knowsTime(this.#shared);
        // What failed may have happened: the same record is written again, so that one is left, not one for each try.
        numbered ??= await this.#number();
        if (life.lost !== undefined) throw life.lost;
        return this.#openOnce({ ...numbered, slot: this.#shared.time.slot }, life);
      });
      if (session !== undefined) return session;
    }
  }

  async #number(): Promise<Omit<SessionRecord, "slot">> {
    const seq = await this.#events.nextSeq();
    return { ...this.#identity, seq, opened: Math.round(this.#shared.time.now) };
  }

  /** Gives undefined where the number turns out to be another's. */
  async #openOnce(record: SessionRecord, life: Life): Promise<OpenSession | undefined> {
    const { namespace } = this.#shared;
    const { slot } = record;
    const session: OpenSession = { record, refreshed: slot, audited: slot, cursor: undefined };
    await bulk(this.#shared, "open a session", namespace.write([{ kind: "session", session: record }]));
    // A server that lost what it had not journaled may have given us another's number.
    if (await this.#isAnothers(session)) return undefined;
    if (life.lost !== undefined) {
      this.#disown(session);
      throw life.lost;
    }
    this.#checkRunning();
    this.#current = session;
    this.#permitted = this.#events.opened(record);
    this.#permitted.catch(() => {
      if (this.#current === session) this.#current = undefined; // the next to hold something tries again
    });
    return session;
  }

  /** Whether the record in the store is not the one that we wrote; one that a late read does not see yet is ours. */
  async #isAnothers(session: OpenSession): Promise<boolean> {
    const { record } = session;
    let found = false;
    const query = { select: NOTHING, session: record.seq, withRecord: true };
    for await (const page of readPages(this.#shared, query, bulk, "open a session")) {
      found ||= page.sessions.some((stored) => stored.seq === record.seq && !isSame(stored, record));
      session.cursor = page.cursor ?? session.cursor;
    }
    return found;
  }

  /** What was written while the namespace went must not look alive. */
  #disown({ record }: OpenSession): void {
    const end = { kind: "endSession", session: record.seq, last: KILLED } as const;
    void this.inBackground(bulk(this.#shared, "write", this.#shared.namespace.write([end])));
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
}

/** Whether two records are of one session: a number may have been given twice. */
export function isSame(a: SessionRecord, b: SessionRecord): boolean {
  return a.seq === b.seq && a.host === b.host && a.pid === b.pid && a.opened === b.opened;
}
