/**
 * The heartbeat: one ping a slot, however many keys this process holds.
 *
 *   at the slot's moment (core/schedule.ts)            ping
 *   unanswered after a fifth of the period             ping once more, on another connection; the first still counts
 *   a ping failed, and none is under way               ping again a twentieth of the period later
 *   the ping was not permitted                         ping again a period later: the right may be restored
 *   the answer says that the present is another slot   ping at once
 *
 * Everything else follows from the answer: the store's time, the lease (core/lease.ts), and whether there is mail.
 */
import { deathPosition } from "../../core/alive.ts";
import { GivenUp, isRefusal } from "../../core/errors.ts";
import type { OwnPing } from "../../core/freshness.ts";
import { Lease } from "../../core/lease.ts";
import { pingPosition } from "../../core/schedule.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pong } from "../../core/store.ts";
import { within } from "../../lib/timers.ts";
import { type Context, learnTime, noteFailure, retryMs } from "../context/context.ts";

/** A ping that is unanswered after this part of a period is sent once more. */
const REPEAT_OF_PERIOD = 1 / 5;

export class Heartbeat {
  readonly #context: Context;
  readonly #seq: number;
  readonly lease: Lease;
  #own: OwnPing | undefined;
  #isStopped = false;
  /** How many pings are under way. */
  #underWay = 0;
  /** The slot of the latest ping that was sent, and how many were sent in it. */
  #sent: { readonly slot: Slot; count: number } = { slot: -Infinity, count: 0 };
  /** When the latest acknowledged ping was sent: a monotonic time, in ms. */
  #answeredSent = -Infinity;
  /** When a period will have passed since a ping was sent, without any acknowledgement: a monotonic time, in ms. */
  #lateAt = Infinity;
  /** When to ping next: a monotonic time, in ms. */
  #due = Infinity;

  constructor(context: Context, seq: number) {
    this.#context = context;
    this.#seq = seq;
    this.lease = new Lease(context.clock, context.time, context.periodMs);
  }

  /** Our own latest acknowledged ping. */
  get own(): OwnPing | undefined {
    return this.#own;
  }

  /** In how many ms `beat` is due. */
  get nextMs(): number {
    if (this.#isStopped) return Infinity;
    const next = Math.min(this.#due, this.#lateAt, this.lease.lapsesAt);
    return Math.max(0, next - this.#context.clock.monotonic());
  }

  /** Sends the first ping. Resolves when it is acknowledged, and the heartbeat begins; rejects if it fails. */
  async begin(): Promise<void> {
    while (this.#own === undefined) await this.#ping();
  }

  /** Does everything that is due. Never waits. */
  beat(): void {
    const { clock, requests, health } = this.#context;
    if (this.#isStopped || this.#own === undefined) return;
    this.#checkLapse();
    if (clock.monotonic() >= this.#lateAt) {
      const waitedMs = clock.monotonic() - this.#lateAt + this.#context.periodMs;
      this.#lateAt = Infinity;
      health.suspect(`no ping was acknowledged for ${Math.round(waitedMs)} ms`);
    }
    if (requests.take("ping")) this.#due = -Infinity;
    if (clock.monotonic() < this.#due) return;
    this.#ping().catch(() => {}); // noted where it failed
  }

  /**
   * Pings now, and returns whether that was acknowledged. A majority's acknowledgement proves that the next read
   * includes everything acknowledged before: a deposed primary may answer reads for a while, but acknowledges no write.
   */
  async confirm(): Promise<boolean> {
    const { clock, periodMs } = this.#context;
    try {
      const first = this.#ping();
      await within(clock, periodMs * REPEAT_OF_PERIOD, "ping", first).catch((error: unknown) => {
        if (!(error instanceof GivenUp)) throw error;
        // Its connection may not have survived a sleep of this machine.
        return within(clock, periodMs * (1 - REPEAT_OF_PERIOD), "ping", Promise.any([first, this.#ping()]));
      });
      return !this.#isStopped;
    } catch {
      return false; // noted
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#due = Infinity;
  }

  /** Continues after `stop`. */
  resume(): void {
    this.#isStopped = false;
    this.#dueIn(0);
  }

  /** Sends a ping of the present slot, and processes its answer. */
  async #ping(): Promise<void> {
    const { clock, time, namespace, instrumentation, periodMs } = this.#context;
    const { slot } = time;
    if (this.#sent.slot !== slot) this.#sent = { slot, count: 0 };
    // Once more at most: if neither is answered, the next slot's ping shows it.
    if (++this.#sent.count === 1) this.#dueIn(periodMs * REPEAT_OF_PERIOD);
    else this.#dueAfter(slot);
    const sent = clock.monotonic();
    const sentWall = clock.now();
    this.#underWay++;
    if (this.#lateAt === Infinity) this.#lateAt = sent + periodMs;
    try {
      const limitMs = (deathPosition(slot) - slot) * periodMs; // later it no longer counts
      const pong = await within(clock, limitMs, "ping", namespace.ping(slot, this.#seq));
      this.#underWay--;
      this.#lateAt = Infinity; // until the next ping is sent
      this.#answeredSent = Math.max(this.#answeredSent, sent);
      if (this.#isStopped) return;
      instrumentation.emit("answered", "ping", clock.monotonic() - sent);
      this.#take(slot, sent, sentWall, pong);
    } catch (error) {
      this.#underWay--;
      if (this.#isStopped || sent < this.#answeredSent) throw error; // a later ping was acknowledged
      noteFailure(this.#context, "ping", error);
      if (isRefusal(error) || this.#underWay === 0) this.#dueIn(retryMs(this.#context, error));
      this.#context.requests.sleeper.wake(); // the loop sleeps until a later time
      throw error;
    }
  }

  #take(slot: Slot, sent: number, sentWall: number, { ms, hasMail }: Pong): void {
    const { time, requests } = this.#context;
    learnTime(this.#context, sent, sentWall, ms);
    const stamped = time.positionOf(ms);
    this.#checkLapse(stamped);
    const { counts, endsLapse } = this.lease.extend(slot, sent, sentWall, ms);
    // The ping came too late to count, or after its slot was over: ping the present slot at once.
    if (!counts) return this.#dueIn(0);
    if (time.slot > slot && stamped >= slot + 1) this.#dueIn(0);
    else if (slot === time.slot) this.#dueAfter(slot);
    if (slot >= (this.#own?.slot ?? -Infinity)) this.#own = { seq: this.#seq, slot, ms };
    if (endsLapse) requests.add("return");
    if (hasMail) requests.add("mail");
    requests.sleeper.wake();
  }

  /** `stamped`: the stamp of an answer, in slots. */
  #checkLapse(stamped?: number): void {
    if (this.#isStopped) return;
    const lapse = this.lease.lapse(stamped);
    if (lapse === undefined) return;
    this.#context.events.emit("lapse", { from: new Date(lapse.from), to: new Date(lapse.to) });
  }

  #dueIn(ms: number): void {
    this.#due = this.#context.clock.monotonic() + ms;
  }

  /** At the session's moment of the slot after `slot`, which comes later if the store's time is behind our slots. */
  #dueAfter(slot: Slot): void {
    const { time, periodMs } = this.#context;
    this.#dueIn(time.until(pingPosition(slot + 1, this.#seq, periodMs)));
  }
}
