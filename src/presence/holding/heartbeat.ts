/**
 * The heartbeat: one ping a slot (core/schedule.ts says when), however many keys this process holds. Everything else
 * follows from the answer: the store's time, the lease (core/lease.ts), and whether there is mail.
 */
import { deathPosition } from "../../core/alive.ts";
import { isRefusal } from "../../core/errors.ts";
import type { OwnPing } from "../../core/freshness.ts";
import type { Lease } from "../../core/lease.ts";
import { refusedPingMs, retryMs } from "../../core/limits.ts";
import { PingSchedule, REPEAT_OF_PERIOD } from "../../core/schedule.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pong } from "../../core/store.ts";
import { hedged, within } from "../../lib/timers.ts";
import { type Context, learnTime, noteFailure } from "../context/context.ts";

export class Heartbeat {
  readonly #context: Context;
  readonly #seq: number;
  readonly lease: Lease;
  readonly #schedule: PingSchedule;
  #ownPing: OwnPing | undefined;
  #isStopped = false;
  /** How many pings in a row were refused. */
  #refusals = 0;

  constructor(context: Context, seq: number, lease: Lease) {
    this.#context = context;
    this.#seq = seq;
    this.lease = lease;
    const { clock, time, periodMs } = context;
    this.#schedule = new PingSchedule(clock, time, periodMs, seq);
  }

  /** Our own latest acknowledged ping. */
  get ownPing(): OwnPing | undefined {
    return this.#ownPing;
  }

  /** In how many ms `beat` is due. */
  get nextMs(): number {
    if (this.#isStopped) return Infinity;
    return Math.max(0, this.#schedule.next - this.#context.clock.monotonic());
  }

  /** Sends the first ping. Resolves when it is acknowledged, and the heartbeat begins; rejects if it fails. */
  async begin(): Promise<void> {
    while (this.#ownPing === undefined) await this.#ping();
  }

  /** Does everything that is due. Never waits. */
  beat(): void {
    const { requests, health } = this.#context;
    if (this.#isStopped || this.#ownPing === undefined) return;
    const lateMs = this.#schedule.takeLateMs();
    if (lateMs !== undefined) health.suspect(`no ping was acknowledged for ${Math.round(lateMs)} ms`);
    if (requests.take("ping")) this.#schedule.pingIn(0);
    if (this.#schedule.isDue) this.#ping().catch(() => {}); // noted where it failed
  }

  /**
   * Pings now, and returns whether that was acknowledged. A majority's acknowledgement proves that the next read
   * includes everything acknowledged before: a deposed primary may answer reads for a while, but acknowledges no write.
   */
  async confirm(): Promise<boolean> {
    const { clock, periodMs } = this.#context;
    if (this.#isStopped) return false;
    try {
      const limits = { againMs: periodMs * REPEAT_OF_PERIOD, times: 2, limitMs: periodMs };
      await hedged(clock, limits, "ping", () => this.#ping());
      return !this.#isStopped;
    } catch {
      return false; // noted
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Stops, and continues if the work fails: with the ping that was due meanwhile. */
  stopFor<T>(work: Promise<T>): Promise<T> {
    this.stop();
    return work.catch((error: unknown) => {
      this.#isStopped = false;
      this.#context.requests.sleeper.wake();
      throw error;
    });
  }

  /** Sends a ping of the current slot, and processes its answer. */
  async #ping(): Promise<void> {
    const { clock, time, namespace, instrumentation, patience, periodMs } = this.#context;
    const { slot } = time;
    const sent = clock.monotonic();
    const sentWall = clock.now();
    this.#schedule.sent(slot, sent);
    patience.sent(sent);
    try {
      const limitMs = (deathPosition(slot) - slot) * periodMs; // later it no longer counts
      const pong = await within(clock, limitMs, "ping", namespace.ping(slot, this.#seq));
      this.#schedule.acknowledged(sent);
      this.#refusals = 0;
      patience.acknowledged(sent);
      if (this.#isStopped) return;
      instrumentation.emit("answered", "ping", clock.monotonic() - sent);
      this.#processAnswer(slot, sent, sentWall, pong);
    } catch (error) {
      const isOvertaken = this.#schedule.failed(sent);
      if (this.#isStopped || isOvertaken) throw error;
      noteFailure(this.#context, "ping", error, "a ping");
      if (isRefusal(error)) this.#schedule.pingIn(refusedPingMs(periodMs, ++this.#refusals));
      else if (!this.#schedule.isAnyUnderWay) this.#schedule.pingIn(retryMs(periodMs));
      this.#context.requests.sleeper.wake(); // the loop sleeps until a later time
      throw error;
    }
  }

  #processAnswer(slot: Slot, sent: number, sentWall: number, { ms, revision, hasMail }: Pong): void {
    const { time, requests } = this.#context;
    learnTime(this.#context, sent, sentWall, ms);
    const stamped = time.positionOf(ms);
    checkLapse(this.#context, this.lease, stamped);
    const { counts, endsLapse } = this.lease.extend(slot, sent, sentWall, ms);
    if (!counts) return this.#schedule.pingIn(0); // it came too late: ping the current slot
    this.#schedule.counted(slot, stamped);
    if (slot >= (this.#ownPing?.slot ?? -Infinity)) this.#ownPing = { seq: this.#seq, slot, ms, revision };
    if (endsLapse) requests.add("recover");
    if (hasMail) requests.add("mail");
    requests.sleeper.wake();
  }
}

/** Emits `lapse` if the lease has run out, by our clock or by `stamped`, the stamp of an answer, in slots. */
export function checkLapse({ events }: Context, lease: Lease, stamped?: number): void {
  const lapse = lease.noteLapse(stamped);
  if (lapse !== undefined) events.emit("lapse", lapse);
}
