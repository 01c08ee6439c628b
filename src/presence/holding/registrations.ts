/**
 * What this process holds: the registrations of its pingers. It writes them, hears when another has ended one, and sees to it that
 * what it has let go stays ended. Where some of what it has written may be gone, it reads what is there:
 *
 *   its record is there       nothing, where it has not ended; it is written again where others may take it for dead, or where
 *                             its meta is not the last
 *   its record is gone        it is started anew: another may have ended it before that. Whoever has heard of that knows
 *                             it as ended for ever, so only another start brings it back to all. Who knows it as alive is
 *                             told nothing
 */
import { KILLED } from "../../core/alive.ts";
import type { HeartbitError } from "../../core/errors.ts";
import type { RegistrationId, RegistrationRecord } from "../../core/records.ts";
import { NOTHING } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type { Page, Write } from "../../core/store.ts";
import { Audit, type Holder } from "./ownership-check.ts";
import { describe } from "../context/log.ts";
import type { OpenSession, SessionKeeper } from "./session.ts";
import { bulk, readPages, type Shared } from "../context/context.ts";
import { OneAtATime } from "../../lib/timers.ts";

/** One start of one pinger of this presence. */
export interface Held {
  readonly key: string;
  /** The pinger's number in this presence. */
  readonly pinger: number;
  /** How many times the pinger had been started: with each, another registration. What is started anew counts as started. */
  start: number;
  /** Since when it is held, by the store's time in ms. */
  readonly since: number;
  /** Whether an earlier start of the pinger may still be vouched for: this one ends it. */
  readonly endsEarlier: boolean;
  /** The first start, where it has been started anew since. */
  startedAs?: number;
  /** JSON text. */
  meta: string;
  revision: number;
  /** The slot in which the latest write of its record was acknowledged, or refused; absent while that is under way. Metas don't count. */
  written?: Slot | undefined;
  /** Called when another has ended it. It is no longer held then. */
  readonly killed: () => void;
}

/** What is held no longer. */
interface Over {
  readonly start: number;
  /** As it was ended with. */
  last: Slot;
  /** The slot in which it was let go. */
  readonly slot: Slot;
  /** Whether the store has acknowledged its end, and no other write of it is under way. */
  isWritten: boolean;
}

interface End {
  readonly registration: RegistrationId;
  readonly last: Slot;
}

/** How many of what is held go in one entry when much is written again. */
const REWRITE_ENTRY = 1000;

export class Holdings {
  readonly #shared: Shared;
  readonly #session: SessionKeeper;
  readonly #isCurrent: () => boolean;
  /** By the pinger's number. The first is the one whose record has not been looked for longest. */
  readonly #held = new Map<number, Held>();
  /** What was held within the last retention, by the pinger's number, in the order of their ends. */
  readonly #over = new Map<number, Over>();
  readonly #checking = new OneAtATime(() => this.#check());
  readonly #holder: Holder = {
    sample: (session, writtenBefore) => this.#sample(session, writtenBefore),
    hear: (page) => this.hear(page),
    unended: (page) => this.#unended(page),
    endAgain: (registrations) => void this.#endAgain(registrations),
    doubt: () => this.doubt(),
    lost: ({ pinger, start }) => {
      if (this.#held.get(pinger)?.start === start) this.doubt();
    },
    looked: (slot) => {
      const { health, retentionSlots } = this.#shared;
      if (health.health.state === "stale") return; // it may be a late one
      if (slot - (this.#looked ?? slot) > retentionSlots / 2) this.doubt();
      this.#looked = slot;
    },
  };
  /** The slot of the latest complete look at what has become of what is held: it may have been pruned since, unread. */
  #looked: Slot | undefined;
  /** How many times what is stored was doubted, and how many of them are settled. */
  #doubts = 0;
  #settled = 0;
  /** Whether all is to be written again besides: others may take it for dead, and may be about to prune it. */
  #seemsDead = false;

  /** `isCurrent`: see `ReaderParts`. */
  constructor(shared: Shared, session: SessionKeeper, isCurrent: () => boolean) {
    this.#shared = shared;
    this.#session = session;
    this.#isCurrent = isCurrent;
  }

  /** Starts to hold; resolves when others can see it. Rejects with what can never heal. */
  async hold(held: Held): Promise<void> {
    this.#over.delete(held.pinger);
    this.#held.set(held.pinger, held);
    try {
      await this.#put([held], held.endsEarlier);
      await this.#session.permitted;
    } catch (error) {
      if (this.#held.get(held.pinger) === held) this.#held.delete(held.pinger);
      throw error;
    }
  }

  /**
   * Writes the newer meta of what is held, where its record is there: what is gone may have been ended by another, and is started
   * anew with it when that is found.
   */
  update(held: Held): Promise<void> {
    return this.#session.write((session) => {
      const { pinger, start, meta, revision } = held;
      return [{ kind: "meta", registration: { session, pinger, start }, meta, revision }];
    });
  }

  /** Stops to hold: vouched for until the slot that `last` gives, or killed. Resolves when that is written. */
  async release(held: Held, last: () => Slot): Promise<void> {
    if (this.#held.get(held.pinger) === held) this.#held.delete(held.pinger);
    const over = { start: held.start, last: last(), slot: this.#shared.time.slot, isWritten: false };
    this.#remember(held, over);
    await this.#session.write((session) => {
      over.last = last();
      // As a whole record: of what somebody has destroyed, or has pruned while this process slept, an end alone ends nothing.
      return [putOf({ ...this.#recordOf(session, held), last: over.last })];
    });
    over.isWritten = true;
  }

  /**
   * Some of what is held may be gone from the store: it is looked at, as soon as that can be, and what is gone is started anew.
   * `lapsed`: others may have told it dead, too. It is written again, so that a feed tells at once that it is back.
   */
  doubt(lapsed = false): void {
    const { time, retentionSlots } = this.#shared;
    const { refreshed = Infinity } = this.#session.current ?? {};
    this.#seemsDead ||= lapsed || time.slot - refreshed > retentionSlots / 2;
    this.#session.doubt();
    this.#session.refresh();
    this.#doubts++;
    void this.check();
  }

  /** Whether there is something to be looked at, and that has not been possible yet. */
  get isDoubtful(): boolean {
    return this.#settled < this.#doubts;
  }

  /** Writes all that is held: it was given another number, and nothing is stored under that. Does not wait. */
  rewrite(): void {
    this.#settle();
    void this.#writeAgain([...this.#held.values()], false);
  }

  /** Reads what has become of what is held, as of after the call. Never rejects. */
  check(): Promise<void> {
    return this.#checking.run();
  }

  async #check(): Promise<void> {
    const session = this.#session.current;
    if (session === undefined) return;
    try {
      await (this.isDoubtful ? this.#lookAtAll(session) : this.#lookAtChanges(session));
    } catch (error) {
      if (!this.#session.isStopped) this.#shared.health.trouble(`a read failed: ${describe(error)}`);
    }
  }

  async #lookAtChanges(session: OpenSession): Promise<void> {
    const audit = this.audit();
    const query = { select: NOTHING, since: session.cursor, ...audit.asks };
    const isCurrent = this.#isCurrent();
    for await (const page of readPages(this.#shared, query)) {
      audit.page(page);
      if (isCurrent) session.cursor = page.cursor ?? session.cursor;
    }
    audit.end();
  }

  async #lookAtAll(session: OpenSession): Promise<void> {
    const doubts = this.#doubts;
    const writesAll = this.#seemsDead;
    const looked = (slot: Slot): void => void (this.#looked = slot);
    const holder = { ...this.#holder, sample: () => undefined, looked };
    const audit = new Audit(this.#session, this.#shared.time.slot, true, holder);
    const gone = new Map([...this.#held].filter(([, { written }]) => written !== undefined));
    const outdated: Held[] = [];
    const query = { select: NOTHING, session: session.record.seq, withRecord: true };
    const isCurrent = this.#isCurrent();
    for await (const page of readPages(this.#shared, query, bulk)) {
      for (const registration of this.#ours(page)) {
        const held = this.#held.get(registration.pinger);
        if (registration.start !== held?.start || !gone.delete(registration.pinger)) continue;
        if (writesAll || registration.revision < held.revision) outdated.push(held);
      }
      audit.page(page);
      if (isCurrent) session.cursor = page.cursor ?? session.cursor;
    }
    if (!audit.end() || session !== this.#session.current) return;
    this.#settled = doubts;
    if (writesAll) this.#seemsDead = this.isDoubtful;
    if (gone.size > 0)
      this.#shared.log.warn(`${gone.size} of what is held is gone from the store, and is started anew`);
    void this.#writeAgain([...gone.values()], true);
    void this.#writeAgain(outdated, false);
  }

  /** Listens to a read that begins now. `always`: it asks for the session's record in any case. */
  audit(always = false): Audit {
    return new Audit(this.#session, this.#shared.time.slot, always, this.#holder);
  }

  /** Hears, in any way, what has become of registrations: some may be ours, and ended by another. So may our session be. */
  hear(page: Page): void {
    this.#session.hear(page.sessions);
    for (const registration of this.#ours(page)) {
      if (registration.last === undefined) continue;
      const held = this.#held.get(registration.pinger);
      if (held === undefined || !this.#isKilled(held, registration)) continue;
      this.#held.delete(held.pinger);
      // Else what has been started anew since would live on beside the next start.
      if (registration.start < held.start)
        void this.#writeEnds([{ registration: { ...registration, start: held.start }, last: KILLED }]);
      held.killed();
    }
  }

  /** Whether it has ended, by another. A start that came before it was started anew may have been killed unheard. */
  #isKilled({ start, startedAs = start }: Held, registration: RegistrationRecord): boolean {
    if (registration.start === start) return registration.last !== undefined;
    return registration.last === KILLED && registration.start >= startedAs && registration.start < start;
  }

  /** Ends the session: all its registrations are vouched for until slot `last`, or killed. Resolves when that is written. */
  end(last: Slot): Promise<void> {
    this.#held.clear();
    return this.#session.end(last);
  }

  /** Forgets the session and all that is held: the namespace is gone. */
  forget(error: HeartbitError): void {
    this.#session.forget(error);
    this.#held.clear();
    this.#over.clear();
    this.#settle();
  }

  /** Nothing that was stored matters any more. */
  #settle(): void {
    this.#settled = this.#doubts;
    this.#seemsDead = false;
    this.#looked = this.#shared.time.slot;
  }

  #ours({ registrations }: Page): RegistrationRecord[] {
    const seq = this.#session.current?.record.seq;
    return registrations.filter(({ session }) => session === seq);
  }

  #remember({ pinger }: Held, over: Over): void {
    this.#over.delete(pinger); // so that it goes to the end
    this.#over.set(pinger, over);
    for (const [other, { slot }] of this.#over) {
      if (slot >= over.slot - this.#shared.retentionSlots) break;
      this.#over.delete(other);
    }
  }

  /**
   * What should have ended, and would live for as long as the session. A write that was given up may happen after the end, on a
   * record that somebody has destroyed; and a server may lose an end.
   */
  #unended(page: Page): RegistrationRecord[] {
    const { slot } = this.#shared.time;
    return this.#ours(page).filter(({ pinger, start, last = Infinity }) => {
      const held = this.#held.get(pinger);
      if (held !== undefined) return held.written !== undefined && start < held.start && last > slot;
      const over = this.#over.get(pinger);
      return over?.isWritten === true && start <= over.start && last > over.last;
    });
  }

  async #endAgain(registrations: readonly RegistrationRecord[]): Promise<void> {
    const { slot } = this.#shared.time;
    const overs = registrations.flatMap(({ pinger }) => this.#over.get(pinger) ?? []);
    for (const over of overs) over.isWritten = false;
    await this.#writeEnds(
      registrations.map((registration) => ({
        registration,
        last: this.#over.get(registration.pinger)?.last ?? slot,
      })),
    );
    for (const over of overs) over.isWritten = true;
  }

  /** Never rejects. */
  #writeEnds(ends: readonly End[]): Promise<void> {
    const write = this.#session.write((session) =>
      ends
        .filter(({ registration }) => registration.session === session)
        .map(({ registration, last }) => endOf(session, registration, registration.start, last)),
    );
    return this.#session.inBackground(write);
  }

  /** The next of what is held, but for what was written so lately that a late read may lack it: that stays the next. */
  #sample(session: number, writtenBefore: Slot): RegistrationId | undefined {
    for (const held of this.#held.values()) {
      const { pinger, start, written = Infinity } = held;
      if (written >= writtenBefore) continue;
      this.#held.delete(pinger); // so that it goes to the end
      this.#held.set(pinger, held);
      return { session, pinger, start };
    }
    return undefined;
  }

  /** Never rejects. What has ended meanwhile is not among them. */
  async #writeAgain(some: readonly Held[], isAnew: boolean): Promise<void> {
    const held = some.filter((one) => this.#held.get(one.pinger) === one);
    for (const one of held) {
      one.written = undefined;
      if (!isAnew) continue;
      one.startedAs ??= one.start;
      one.start++;
    }
    const written: Promise<void>[] = [];
    for (let first = 0; first < held.length; first += REWRITE_ENTRY) {
      written.push(this.#put(held.slice(first, first + REWRITE_ENTRY), isAnew));
    }
    await this.#session.inBackground(Promise.all(written));
  }

  /** Writes what is held, and `endsEarlier` the start before it. Resolves when that is acknowledged. */
  async #put(some: readonly Held[], endsEarlier: boolean): Promise<void> {
    const starts = some.map(({ start }) => start);
    try {
      await this.#session.write((session) =>
        some
          // Another start also where it has ended meanwhile: what is written next is the end of just that one.
          .filter((one) => endsEarlier || this.#held.get(one.pinger) === one)
          .flatMap((one) => this.#writesOf(session, one, endsEarlier)),
      );
    } finally {
      const { slot } = this.#shared.time;
      for (const [index, one] of some.entries()) if (one.start === starts[index]) one.written = slot;
    }
  }

  #writesOf(session: number, held: Held, endsEarlier: boolean): readonly Write[] {
    const registration = this.#recordOf(session, held);
    // Not killed: who hears of the earlier start alone, as a resumed feed may tell it, must not tell a death.
    return [
      putOf(registration),
      ...(endsEarlier ? [endOf(session, held, held.start - 1, registration.slot)] : []),
    ];
  }

  #recordOf(session: number, { key, pinger, start, since, meta, revision }: Held): RegistrationRecord {
    return { session, pinger, start, key, since, slot: this.#shared.time.slot, meta, revision };
  }
}

function putOf(registration: RegistrationRecord): Write {
  return { kind: "registration", registration };
}

function endOf(session: number, { pinger }: Pick<Held, "pinger">, start: number, last: Slot): Write {
  return { kind: "end", registration: { session, pinger, start }, last };
}
