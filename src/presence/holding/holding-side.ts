/** The holding side of a presence: its session, the registrations that it declares, and the reconciler. */
import { KILLED } from "../../core/records.ts";
import { show } from "../../core/checks.ts";
import { closed, type HeartbitError, withReason } from "../../core/errors.ts";
import { closeLimitMs, quickMs } from "../../core/limits.ts";
import { select } from "../../core/selection.ts";
import { Semaphore } from "../../lib/queue.ts";
import { within } from "../../lib/timers.ts";
import { type Context, forAWhile, leaveMail, patiently } from "../context/context.ts";
import { readListing } from "../list.ts";
import { Reconciler } from "./reconciler.ts";
import { Registrations } from "./registrations.ts";
import { Session } from "./session.ts";

/** A connection pool has ten connections by default. Pings, evaluations, the feed and writes need the others. */
const CALLS_AT_A_TIME = 3;

export class HoldingSide {
  readonly context: Context;
  readonly session: Session;
  readonly registrations: Registrations;
  readonly reconciler: Reconciler;
  readonly #semaphore = new Semaphore(CALLS_AT_A_TIME);
  /** How the presence's keys ended when it closed; undefined while it is open. */
  closedAs: "stopped" | "killed" | undefined;

  /** Logs what a listener of a pinger has thrown. All share it: a gateway has 100,000. */
  readonly listenerThrew = (error: unknown, event: string, key: string): void =>
    this.context.log.error(`a listener of ${event} of the key ${JSON.stringify(key)} threw`, error);

  constructor(context: Context) {
    this.context = context;
    this.session = new Session(context);
    this.registrations = new Registrations(context, this.session);
    this.reconciler = new Reconciler(context, this.session, this.registrations);
  }

  get isClosed(): boolean {
    return this.closedAs !== undefined;
  }

  checkOpen(): void {
    if (this.isClosed) throw closed(this.context.name);
  }

  /**
   * Tries an operation of the program for a while, once its turn has come. Only a few run at a time, so that pings and
   * evaluations always have connections left. Rejects with `PRESENCE_CLOSED` if the presence is closed before or
   * meanwhile.
   */
  forAWhile<T>(act: () => Promise<T>): Promise<T> {
    const whileOpen = async (): Promise<T> => {
      this.checkOpen();
      return act().catch((error: unknown) => {
        this.checkOpen();
        throw withReason(error, this.context.namespace.delay?.());
      });
    };
    const tried = (): Promise<T> => forAWhile(this.context, whileOpen);
    return this.#semaphore.run(() => this.context.namespace.inTurn?.(tried) ?? tried());
  }

  /** Reports the key dead now, whoever holds it. Returns how many live holders were ended. */
  async kill(key: string): Promise<number> {
    const { namespace, time, requests } = this.context;
    // Over all attempts: one whose answer was lost may have ended them.
    const sessions = new Set<number>();
    let ended = 0;
    await this.forAWhile(async () => {
      await patiently(this.context, "write", this.registrations.queue.settled(key));
      const { keys } = await readListing(this.context, select([key]));
      const holders = keys[0]?.holders ?? [];
      ended = Math.max(ended, holders.length);
      for (const { session } of holders) sessions.add(session);
      await patiently(this.context, "kill", namespace.kill(key));
      if (sessions.size > 0) await leaveMail(this.context, time.slot, [...sessions]);
    });
    const own = this.session.current?.record.seq;
    if (own !== undefined && sessions.has(own)) requests.add("mail");
    return ended;
  }

  /** Holds a key again that another process has reported dead. */
  takeUpAgain(key: string, take: () => Promise<void>): void {
    const { log } = this.context;
    log.info(`another process reported the key ${show(key)} dead; it is taken up again`);
    take().catch((error: unknown) => log.warn(`the key ${show(key)} could not be taken up again`, error));
  }

  /** The namespace is gone. */
  lose(error: HeartbitError): void {
    this.session.forget(error);
    this.registrations.lose(error);
  }

  /** Ends every key, at once or when its last ping no longer counts. Resolves when that is written. */
  async close(how: "stopped" | "killed"): Promise<void> {
    this.closedAs = how;
    const { clock, name, time, periodMs } = this.context;
    const { declared, queue } = this.registrations;
    // If very much is queued, starts and metas are given up: they would end with the session.
    const idle = within(clock, quickMs(periodMs), "close", queue.idle());
    await idle.catch(() => queue.giveUp(closed(name), false));
    // Planned absences are written before the session ends, so that they outlive it. That may take half of the time.
    const ended = declared.hasUnwrittenEnd ? queue.idle() : Promise.resolve();
    await within(clock, closeLimitMs(periodMs) / 2, "end its keys", ended).catch(() => {});
    this.session.current?.heartbeat.stop();
    await this.session.end(how === "killed" ? KILLED : time.slot);
    await ended;
  }

  /** Gives up everything that is not written yet. */
  stop(): void {
    this.session.stop();
    this.registrations.forgetAll(closed(this.context.name));
  }
}
