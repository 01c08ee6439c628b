/**
 * The session of this presence: its number, its record, and its heartbeat.
 *
 *   none     --something is held or watched--> opening
 *   opening  --its first ping is acknowledged, and its record is written--> open
 *   open     --its record is gone, has another owner, or was ended by another process--> none
 *   opening, open  --the namespace is gone--> none
 *
 * The first ping comes before the record, so that the record has the slot of the store's own time.
 */
import { hostname } from "node:os";
import { closed, type HeartbitError } from "../../core/errors.ts";
import { closeLimitMs, retryMs } from "../../core/limits.ts";
import { Lease } from "../../core/lease.ts";
import type { OwnPing } from "../../core/freshness.ts";
import { isSameSession, KILLED, type RegistrationRecord, type SessionRecord } from "../../core/records.ts";
import { NOTHING } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import { persistently, retry } from "../../lib/retry.ts";
import { Sleeper } from "../../lib/timers.ts";
import type { Context } from "../context/context.ts";
import { ask, patiently, patientlyWritten, readPages } from "../context/context.ts";
import { describe } from "../../lib/log.ts";
import { Heartbeat } from "./heartbeat.ts";

export interface OpenSession {
  readonly record: SessionRecord;
  readonly heartbeat: Heartbeat;
  /** The slot of the stored record, as far as it is acknowledged. */
  touched: Slot;
}

export class Session {
  /** Ends when the presence closes. */
  readonly sleeper: Sleeper;
  /** Whether we have ended it, or are about to. */
  isEnding = false;
  readonly #context: Context;
  #current: OpenSession | undefined;
  #opening: Promise<OpenSession> | undefined;
  /** Of this session and of those before it: their keys are moved to this one. */
  #lease: Lease | undefined;
  /** Aborted when the namespace is lost, and when the presence closes: an opening begun before must not continue. */
  #life = new AbortController();

  constructor(context: Context) {
    this.#context = context;
    this.sleeper = new Sleeper(context.clock);
  }

  /** The session, while it is open. */
  get current(): OpenSession | undefined {
    return this.#current;
  }

  /** Until when others certainly consider us alive; undefined before the first session. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Our own latest acknowledged ping; undefined in a presence that does not ping. */
  get ownPing(): OwnPing | undefined {
    return this.#current?.heartbeat.ownPing;
  }

  /** Whether a ping of ours in this slot or later was acknowledged. True if we have no session, and do not ping. */
  arePingsCurrent(slot: Slot): boolean {
    return this.#current === undefined || (this.ownPing?.slot ?? -Infinity) >= slot;
  }

  get isOpening(): boolean {
    return this.#opening !== undefined;
  }

  /**
   * Opens the session, if it is not open, however long that takes. Rejects for faults that can never pass, such as
   * `NOT_PERMITTED` without the right to ping or write, and with `PRESENCE_CLOSED`.
   */
  open(): Promise<OpenSession> {
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    if (this.sleeper.ended) return Promise.reject(closed(this.#context.name));
    if (this.#opening !== undefined) return this.#opening;
    const opening = this.#open().finally(() => {
      if (this.#opening === opening) this.#opening = undefined;
      this.#context.requests.sleeper.wake();
    });
    this.#opening = opening;
    return opening;
  }

  /** Whether the stored record is of this very session. */
  isOurs(record: SessionRecord): boolean {
    return this.#current !== undefined && isSameSession(record, this.#current.record);
  }

  /** The record is gone, has another owner, or was ended: nothing may be written under its number again. */
  abandon(why: string): void {
    this.#context.log.warn(`the session ${why}`);
    this.#current?.heartbeat.stop();
    this.#current = undefined;
  }

  /** Raises the slot of the stored record, so that it does not look old. Rejects if that is not acknowledged. */
  async touch(): Promise<void> {
    const session = this.#current;
    if (session === undefined) return;
    const { slot } = this.#context.time;
    const write = { kind: "touch", session: session.record.seq, slot } as const;
    await patientlyWritten(this.#context, "write", this.#context.namespace.write([write]));
    session.touched = Math.max(session.touched, slot);
  }

  /** Ends the session: its keys count as alive until slot `last`, or are dead now. Resolves when that is written. */
  async end(last: Slot): Promise<void> {
    this.isEnding = true;
    const session = this.#current ?? (await this.#opening?.catch(() => undefined));
    if (session === undefined || this.sleeper.ended) return; // closing has not waited for it
    const { namespace, periodMs } = this.#context;
    const write = { kind: "endSession", session: session.record.seq, last } as const;
    const policy = persistently(this.#context.periodMs, () => {});
    // Soon, even after a refusal: the presence closes, and there is only a period left.
    const pauseMs = (): number => retryMs(Math.min(periodMs, closeLimitMs(periodMs)));
    await retry(this.sleeper, { ...policy, pauseMs }, () =>
      ask(this.#context, "write", () => namespace.write([write])),
    );
  }

  /** The namespace is gone, and the session with it. */
  forget(error: HeartbitError): void {
    this.#life.abort(error);
    this.#life = new AbortController();
    if (this.#current !== undefined) this.#disown(this.#current);
    this.#current = this.#lease = this.#opening = undefined;
    this.sleeper.wake();
  }

  /** Stops the heartbeat, and gives up operations under way. */
  stop(): void {
    this.#current?.heartbeat.stop();
    this.#life.abort(closed(this.#context.name));
    this.sleeper.end();
  }

  async #open(): Promise<OpenSession> {
    const { config, time, health, clock, periodMs } = this.#context;
    const lease = this.#lease ?? new Lease(clock, time, periodMs);
    const { signal } = this.#life;
    // A failed attempt may have happened. Using the same number again leaves one record, not one for each attempt.
    let numbered: { readonly seq: number; readonly heartbeat: Heartbeat } | undefined;
    let opened: number | undefined;
    const failed = (error: unknown): void => health.suspect(`opening a session failed: ${describe(error)}`);
    const session = await retry(this.sleeper, persistently(this.#context.periodMs, failed), async () => {
      signal.throwIfAborted();
      for (;;) {
        if (numbered === undefined) {
          await config.ensure();
          const seq = await config.nextSeq();
          numbered = { seq, heartbeat: new Heartbeat(this.#context, seq, lease) };
        }
        const { seq, heartbeat } = numbered;
        await heartbeat.begin();
        signal.throwIfAborted(); // a namespace that was found gone meanwhile is not set up again
        // The offset may have been raised since it was read. A process that raises it from now on leaves mail for us.
        await config.restore();
        signal.throwIfAborted();
        opened ??= Math.floor(time.now);
        const record = { host: hostname(), pid: process.pid, seq, opened, slot: time.slot };
        const write = { kind: "session", session: record } as const;
        await patientlyWritten(this.#context, "open a session", this.#context.namespace.write([write]));
        const { session: stored = record } = await readSession(this.#context, seq); // a stale read may lack it
        if (isSameSession(stored, record)) return { record, heartbeat, touched: record.slot };
        // A server that lost acknowledged writes has given us the number of another session.
        heartbeat.stop();
        numbered = opened = undefined;
      }
    }).catch((error: unknown) => {
      numbered?.heartbeat.stop();
      signal.throwIfAborted();
      throw error;
    });
    if (signal.aborted) {
      this.#disown(session);
      signal.throwIfAborted();
    }
    this.#current = session;
    this.#lease = lease;
    return session;
  }

  /** A record that was written while the namespace was lost must not look alive. */
  #disown({ record, heartbeat }: OpenSession): void {
    heartbeat.stop();
    const end = { kind: "endSession", session: record.seq, last: KILLED } as const;
    patiently(this.#context, "write", this.#context.namespace.write([end])).catch((error: unknown) =>
      this.#context.log.debug("ending a lost session failed", error),
    );
  }
}

/** Reads the record of a session and, if wanted, its registrations: all of them, or those that were ended. */
export async function readSession(
  context: Context,
  seq: number,
  registrations?: "all" | "ended",
): Promise<{ session: SessionRecord | undefined; registrations: RegistrationRecord[] }> {
  const found: RegistrationRecord[] = [];
  let session: SessionRecord | undefined;
  const query = { select: NOTHING, session: seq, registrations };
  for await (const page of readPages(context, query, patiently)) {
    session ??= page.sessions.find((record) => record.seq === seq);
    found.push(...page.registrations.filter((record) => record.session === seq));
  }
  return { session, registrations: found };
}
