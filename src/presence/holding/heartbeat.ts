/**
 * The heartbeat: one ping a slot, however many keys this process holds.
 *
 *   at the slot's moment (core/schedule.ts)            ping
 *   unanswered after a fifth of the period             ping once more: it takes another connection; the first still counts
 *   a ping failed, and none is under way               ping again a twentieth of the period later
 *   the ping was refused                               ping again a period later: rights may be given back
 *   the answer says that the present is another slot   ping at once
 *
 * Everything else follows from the answer: the store's time, the lease, and whether there is mail. The lease says until
 * when others certainly consider this process alive. When it runs out, by our clock or by the stamp of an answer, that is
 * a lapse; the first ping that counts again ends it.
 */
import { deathPosition } from "../../core/alive.ts";
import { pingPosition } from "../../core/schedule.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pong } from "../../core/store.ts";
import { within } from "../../lib/timers.ts";
import { type Context, isRefusal, learnTime, noteFailure, retryMs } from "../context/context.ts";
import type { OwnPing } from "../context/pings.ts";

/** A ping unanswered for this part of a period is sent once more. */
const REPEAT_OF_PERIOD = 1 / 5;

interface Lease {
  /** The slot of the latest ping that counts. */
  readonly slot: Slot;
  /** When it was acknowledged, by the wall clock, in ms; and the store's time of it, in slots. */
  readonly acknowledged: number;
  readonly stamped: number;
  /** Until when it lasts, by the monotonic clock and by the wall clock, in ms. */
  readonly until: number;
  readonly wallUntil: number;
}

export class Heartbeat {
  readonly #context: Context;
  readonly #seq: number;
  #own: OwnPing | undefined;
  #lease: Lease | undefined;
  #isLapsed = false;
  /** How many slots the latest lapse took, from the last ping before it to the first after it. */
  lapsedSlots = 0;
  #isStopped = false;
  /** How many pings are under way. */
  #underWay = 0;
  /** The slot of the latest ping that was sent, and how many were sent in it. */
  #sent: { readonly slot: Slot; count: number } = { slot: -Infinity, count: 0 };
  /** When the latest acknowledged ping was sent: a monotonic time, in ms. */
  #answeredSent = -Infinity;
  /** When no ping will have been acknowledged for a period, since one was sent: a monotonic time, in ms. */
  #lateAt = Infinity;
  /** When to ping next: a monotonic time, in ms. */
  #due = Infinity;

  constructor(context: Context, seq: number) {
    this.#context = context;
    this.#seq = seq;
  }

  /** Our own latest acknowledged ping. */
  get own(): OwnPing | undefined {
    return this.#own;
  }

  /**
   * The earliest time at which a watcher could report this process dead, by this machine's wall clock: the earlier of what
   * its two clocks say, since either may have stood still or been set.
   */
  get vouchedUntil(): Date | undefined {
    if (this.#lease === undefined) return undefined;
    const { clock } = this.#context;
    const { until, wallUntil } = this.#lease;
    return new Date(Math.min(wallUntil, clock.now() + until - clock.monotonic()));
  }

  /** In how many ms `beat` has something to do. */
  get nextMs(): number {
    if (this.#isStopped) return Infinity;
    const until = this.#isLapsed ? Infinity : (this.#lease?.until ?? Infinity);
    return Math.max(0, Math.min(this.#due, until, this.#lateAt) - this.#context.clock.monotonic());
  }

  /** The first ping. Resolves when it is acknowledged; rejects when it fails. Only then does the heartbeat go on. */
  async begin(): Promise<void> {
    while (this.#own === undefined) await this.#ping();
  }

  /** Does what is due. Never waits. */
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
   * Pings now, and gives whether that was acknowledged. A write that a majority acknowledges proves that what is read next
   * has all that was acknowledged before: a deposed primary answers reads for a while, and acknowledges no write.
   */
  async confirm(): Promise<boolean> {
    const { clock, periodMs } = this.#context;
    try {
      await within(clock, periodMs, "ping", this.#ping());
      return !this.#isStopped;
    } catch {
      return false; // noted
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#due = Infinity;
  }

  /** Pings again after `stop`. */
  resume(): void {
    this.#isStopped = false;
    this.#dueIn(0);
  }

  /** Sends a ping of the present slot, and takes in its answer. */
  async #ping(): Promise<void> {
    const { clock, time, namespace, instrumentation, periodMs } = this.#context;
    const { slot } = time;
    if (this.#sent.slot !== slot) this.#sent = { slot, count: 0 };
    // Once more at most: what neither of two answers is noticed in the next slot.
    if (++this.#sent.count === 1) this.#dueIn(periodMs * REPEAT_OF_PERIOD);
    else this.#dueAfter(slot);
    const sent = clock.monotonic();
    const sentWall = clock.now();
    this.#underWay++;
    if (this.#lateAt === Infinity) this.#lateAt = sent + periodMs;
    try {
      const limitMs = (deathPosition(slot) - slot) * periodMs; // later it counts for nobody
      const pong = await within(clock, limitMs, "ping", namespace.ping(slot, this.#seq));
      this.#underWay--;
      this.#lateAt = Infinity; // until the next is sent
      this.#answeredSent = Math.max(this.#answeredSent, sent);
      if (this.#isStopped) return;
      instrumentation.emit("answered", "ping", clock.monotonic() - sent);
      this.#take(slot, sent, sentWall, pong);
    } catch (error) {
      this.#underWay--;
      if (this.#isStopped || sent < this.#answeredSent) throw error; // a later one was acknowledged
      noteFailure(this.#context, "ping", error);
      if (isRefusal(error) || this.#underWay === 0) this.#dueIn(retryMs(this.#context, error));
      throw error;
    }
  }

  #take(slot: Slot, sent: number, sentWall: number, { ms, hasMail }: Pong): void {
    const { clock, time, requests } = this.#context;
    learnTime(this.#context, sent, sentWall, ms);
    const stamped = time.positionOf(ms);
    if (this.#lease !== undefined && stamped >= deathPosition(this.#lease.slot)) this.#lapse(this.#lease);
    this.#checkLapse();
    // So late that it counts for nobody, or in a slot that was over: the present one is pinged at once.
    const leftMs = time.at(deathPosition(slot)) - ms;
    if (sent + leftMs <= clock.monotonic()) return this.#dueIn(0);
    if (time.slot > slot && stamped >= slot + 1) this.#dueIn(0);
    else if (slot === time.slot) this.#dueAfter(slot);
    if (slot >= (this.#own?.slot ?? -Infinity)) this.#own = { seq: this.#seq, slot, ms };
    if (this.#isLapsed) this.lapsedSlots = slot - (this.#lease?.slot ?? slot);
    this.#extend(slot, { until: sent + leftMs, wallUntil: sentWall + leftMs, stamped });
    if (this.#isLapsed) {
      this.#isLapsed = false;
      requests.add("return");
    }
    if (hasMail) requests.add("mail");
    requests.sleeper.wake();
  }

  /** The stamp was made after the sending: so what is left from the stamp on is not over before it is from the sending. */
  #extend(slot: Slot, lasts: Pick<Lease, "until" | "wallUntil" | "stamped">): void {
    if (this.#lease !== undefined && slot < this.#lease.slot) return;
    this.#lease = { slot, acknowledged: this.#context.clock.now(), ...lasts };
  }

  #checkLapse(): void {
    const lease = this.#lease;
    if (lease !== undefined && this.#context.clock.monotonic() >= lease.until) this.#lapse(lease);
  }

  #lapse({ acknowledged, stamped }: Lease): void {
    if (this.#isLapsed || this.#isStopped) return;
    this.#isLapsed = true;
    const { clock, time, periodMs, events } = this.#context;
    const to = clock.now();
    // Our own clocks may not show how long it was: the machine has slept, or they were set.
    const from = Math.min(acknowledged, to - (time.position - stamped) * periodMs);
    events.emit("lapse", { from: new Date(from), to: new Date(to) });
  }

  #dueIn(ms: number): void {
    this.#due = this.#context.clock.monotonic() + ms;
  }

  /** At the moment of the slot after `slot`. While the store's time is behind our slots it comes as late as a period. */
  #dueAfter(slot: Slot): void {
    const { time, periodMs } = this.#context;
    this.#dueIn(time.until(pingPosition(slot + 1, this.#seq, periodMs)));
  }
}
