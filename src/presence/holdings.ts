/**
 * What this process holds: its session, and the beings of its pingers. It writes them, writes them again when they
 * may have been lost, and hears when another has ended one.
 *
 *   none --open--> open --end--> ended
 *                  open --its record is gone, or is another's--> none, and a new one is opened at once
 */
import { KILLED } from "../core/alive.ts";
import type { SessionRecord } from "../core/records.ts";
import { NOTHING } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { Cursor, Page, Write } from "../core/store.ts";
import { describe } from "./log.ts";
import { bulk, isFinal, readPages, RETRY_OF_PERIOD, type Shared } from "./shared.ts";
import { Sleeper } from "./timing.ts";
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
  /**
   * A session has been opened: the first, or a later one after its record was gone. Resolves when its first ping has
   * been answered, or given up; rejects when it was refused.
   */
  opened(session: SessionRecord): Promise<void>;
  /** The record of the session is gone: resolves when a new one may be opened, rejects when the namespace is gone too. */
  gone(): Promise<void>;
}

/** How many of what is held go in one entry when all is written again. */
const REWRITE_ENTRY = 1000;
/** A session of so many slots is not taken for lost. */
const REOPEN_SLOTS_MIN = 2;

export class Holdings {
  readonly #shared: Shared;
  readonly #identity: { readonly host: string; readonly pid: number };
  readonly #events: HoldingsEvents;
  readonly #writer: Writer;
  readonly #sleeper: Sleeper;
  readonly #held = new Map<number, Held>();
  #session: SessionRecord | undefined;
  #opening: Promise<SessionRecord> | undefined;
  /** Rejects when the session may not ping, and so can hold nothing for longer than a moment. */
  #permitted: Promise<void> = Promise.resolve();
  /** The slot that the session's record bears, as far as that is acknowledged. */
  #refreshed: Slot = -Infinity;
  #cursor: Cursor | undefined;
  #checking = false;
  #reopening = false;

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
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
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
    const session = this.#session;
    if (session === undefined) return;
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

  /** Reads what has become of what is held. Never rejects. */
  async check(): Promise<void> {
    const session = this.#session;
    if (session === undefined || this.#checking) return;
    this.#checking = true;
    try {
      const audit = this.audit();
      const query = { select: NOTHING, session: session.seq, since: this.#cursor };
      for await (const page of readPages(this.#shared, query)) {
        audit.page(page);
        this.#cursor = page.cursor ?? this.#cursor;
      }
      audit.end();
    } catch (error) {
      if (!this.#sleeper.ended) this.#shared.health.trouble(`a read failed: ${describe(error)}`);
    } finally {
      this.#checking = false;
    }
  }

  /**
   * Listens to a read that has asked for our session: what it says of what we hold. `end` gives whether it had our
   * session's record: a read that has not is not fresh, or the record is gone.
   */
  audit(): { page(page: Page): void; end(): boolean; readonly asOf: Slot } {
    const session = this.#session;
    let found = false;
    let asOf = session === undefined ? Infinity : -Infinity;
    return {
      /** The slot of our session's record in it: the read is no older than that. Infinity where we have none. */
      get asOf() {
        return asOf;
      },
      page: (page) => {
        for (const record of page.sessions) {
          if (session === undefined || !isSame(record, session)) continue;
          found = true;
          asOf = Math.max(asOf, record.slot);
        }
        this.hear(page);
      },
      end: () => {
        if (found || session === undefined || session !== this.#session) return true;
        if (this.#reopening) return false;
        this.#reopening = true;
        this.#inBackground(this.#reopen(session).finally(() => (this.#reopening = false)));
        return false;
      },
    };
  }

  /** Hears, in any way, what has become of beings: some may be ours, and ended by another. */
  hear(page: Page): void {
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
    await this.#writer.write(() =>
      this.#session === undefined ? [] : [{ kind: "endSession", session: this.#session.seq, last }],
    );
  }

  /** Forgets the session and all that is held: the namespace is gone. */
  forget(): void {
    this.#session = undefined;
    this.#held.clear();
  }

  /** Lets go: what is not written yet is given up. */
  stop(): void {
    this.#sleeper.end();
    this.#writer.end();
  }

  async #open(): Promise<SessionRecord> {
    const { namespace, time, health, periodMs, name } = this.#shared;
    while (!this.#sleeper.ended) {
      try {
        await this.#events.prepare();
        const seq = await bulk(this.#shared, "open a session", namespace.nextSeq());
        const session = { ...this.#identity, seq, opened: Math.round(time.now), slot: time.slot };
        await bulk(this.#shared, "open a session", namespace.write([{ kind: "session", session }]));
        // A server that lost what it had not journaled may have given us another's number.
        if (await this.#isAnothers(session)) continue;
        if (this.#sleeper.ended) break;
        this.#session = session;
        this.#refreshed = session.slot;
        this.#permitted = this.#events.opened(session);
        this.#permitted.catch(() => {
          if (this.#session === session) this.#session = undefined; // the next to hold something tries again
        });
        return session;
      } catch (error) {
        if (isFinal(error)) throw error;
        if (this.#sleeper.ended) break;
        health.trouble(`opening a session failed: ${describe(error)}`);
        await this.#sleeper.sleep(periodMs * RETRY_OF_PERIOD);
      }
    }
    throw closed(name);
  }

  /**
   * Whether the record in the store is not the one that we wrote; one that a late read does not see yet is ours. Also
   * where `check` begins to read.
   */
  async #isAnothers(session: SessionRecord): Promise<boolean> {
    let found = false;
    const query = { select: NOTHING, session: session.seq };
    for await (const page of readPages(this.#shared, query, bulk, "open a session")) {
      found ||= page.sessions.some((record) => record.seq === session.seq && !isSame(record, session));
      this.#cursor = page.cursor ?? this.#cursor;
    }
    return found;
  }

  /** Our session's record is gone, so its number must not be used again: another may have it. */
  async #reopen(lost: SessionRecord): Promise<void> {
    // A read that is late may be older than a young session: the next reads will tell.
    if (this.#shared.time.slot - lost.slot <= REOPEN_SLOTS_MIN) return;
    this.#shared.log.warn("the record of the session is gone from the store");
    await this.#events.gone();
    if (this.#session !== lost) return;
    this.#session = undefined;
    await this.open();
    this.rewrite();
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
    return [{ kind: "being", being }, ...(endsEarlier ? this.#endOf(held, start - 1, KILLED) : [])];
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
  return a.seq === b.seq && a.host === b.host && a.pid === b.pid && Math.abs(a.opened - b.opened) < 1000;
}
