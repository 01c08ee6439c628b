/**
 * The registrations of this process: what it declares about them (core/declarations.ts), and the queue that writes it.
 * Whenever our own records are read, they are compared with it, and the difference is written (core/reconcile.ts).
 */
import { Declarations } from "../../core/declarations.ts";
import type { HeartbitError } from "../../core/errors.ts";
import { compare, type Difference } from "../../core/reconcile.ts";
import { KILLED, type SessionRecord } from "../../core/records.ts";
import type { Owner, Registration } from "../../core/registration.ts";
import type { Page } from "../../core/store.ts";
import type { Context } from "../context/context.ts";
import type { Session } from "./session.ts";
import { WriteQueue } from "./write-queue.ts";

const NO_OWNER: Owner = { endedByOther: () => {}, lost: () => {} };

export class Registrations {
  readonly declared = new Declarations();
  queue: WriteQueue;
  readonly #context: Context;
  readonly #session: Session;
  #pingers = 0;
  /** How many times the namespace was lost, with everything that was held. */
  timesLost = 0;

  constructor(context: Context, session: Session) {
    this.#context = context;
    this.#session = session;
    this.queue = new WriteQueue(context, session);
  }

  /** A number for a new pinger of this presence. */
  nextPinger(): number {
    return this.#pingers++;
  }

  /** Starts to hold. Resolves when others can see it. Rejects for faults that can never pass; then it is not held. */
  async start(registration: Registration): Promise<void> {
    this.declared.add(registration);
    try {
      await this.queue.write(registration, "start");
    } catch (error) {
      this.declared.delete(registration);
      throw error;
    }
  }

  /** Writes a newer meta. */
  update(registration: Registration, meta: string): Promise<void> {
    registration.meta = meta;
    registration.revision++;
    return this.queue.write(registration, "meta");
  }

  /** Releases it, at once or after `holdMs`. Resolves when that is written. */
  end(registration: Registration, how: "killed" | { readonly holdMs: number }): Promise<void> {
    const { clock, time } = this.#context;
    registration.end(time, how === "killed" ? -Infinity : clock.monotonic() + how.holdMs);
    this.declared.release(registration);
    return this.queue.write(registration, "end").finally(() => {
      registration.owner = NO_OWNER; // so that the pinger can be garbage-collected
    });
  }

  /** Compares our own records among some that were read, for whatever reason, and writes the difference. */
  takePage({ sessions, registrations }: Page): void {
    const seq = this.#session.current?.record.seq;
    if (seq === undefined || this.declared.byPinger.size === 0) return;
    for (const session of sessions) if (session.seq === seq) this.takeSession(session);
    const ours = registrations.filter(({ session }) => session === seq);
    // Records that were not read are not missing.
    if (ours.length > 0) this.apply(compare(this.declared.byPinger, ours, this.#context.time.slot));
  }

  /** Takes the record of our session: another process may have ended it. */
  takeSession(record: SessionRecord): void {
    if (record.last === undefined || !this.#session.isOurs(record)) return;
    this.moveTo("was ended by another process");
  }

  /** Writes the difference between what is declared and what is stored. */
  apply({ killed, outdated, ends, missing }: Difference<Registration>): void {
    this.queue.end(ends);
    for (const registration of outdated) this.queue.add(registration, "meta");
    for (const registration of missing) {
      registration.start++;
      this.queue.add(registration, "start");
    }
    if (missing.length > 0)
      this.#context.log.warn(
        `${missing.length} registrations were missing from the store, and are registered again`,
      );
    if (this.#session.isEnding) return; // kills are found again if a drop fails
    for (const registration of killed) {
      this.declared.delete(registration);
      if (registration.last !== undefined) registration.last = KILLED; // the next start does not continue it
      registration.owner.endedByOther(registration);
    }
  }

  /** Gives the session up, and registers everything under a new one. */
  moveTo(why: string): void {
    if (this.#session.isEnding) return;
    this.#session.abandon(why);
    const moved: Promise<void>[] = [];
    for (const registration of this.declared.byPinger.values()) {
      // Released registrations ended with their session.
      if (registration.last === undefined) moved.push(this.queue.write(registration, "start"));
      else this.declared.delete(registration);
    }
    void this.#session.lease?.move(Promise.all(moved));
    this.#session
      .open()
      .catch((error: unknown) => this.#context.log.warn("no new session could be opened", error));
  }

  /** The namespace is gone: nothing is held any more. */
  lose(error: HeartbitError): void {
    const owners = Array.from(this.declared.held(), ({ owner }) => owner);
    this.forgetAll(error);
    this.timesLost++;
    for (const owner of owners) owner.lost();
  }

  /** Declares nothing any more, and writes nothing. */
  forgetAll(error: Error): void {
    this.queue.abandon(error);
    this.queue = new WriteQueue(this.#context, this.#session); // for what is held from now on
    this.declared.clear();
  }
}
