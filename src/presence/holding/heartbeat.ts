/**
 * The heart: one ping loop a presence, however many keys it holds.
 *
 *   once a slot, at a moment drawn anew from 10 % to 40 % of it:   ping
 *   after a failure:                                               ping again every twentieth of the period
 *   after a refusal: none, where it is the first ping; else ping again a period later, since rights may be given back
 *
 * It knows until when this process is vouched for, and says so when that time passes without a ping: a lapse. Where only the
 * store's time says that it has passed, the pings of the others tell whether this machine has slept.
 */
import { deathPosition } from "../../core/alive.ts";
import { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import { type OwnPing, readPulse } from "../context/pings.ts";
import {
  between,
  isFinal,
  knowsTime,
  noteAnswer,
  noteFailure,
  RETRY_OF_PERIOD,
  type Shared,
  sleepUntil,
  soon,
} from "../context/context.ts";
import { Sleeper, wallDistanceOf } from "../../lib/timers.ts";

/** In which part of a slot it pings: late enough for a clock 10 % ahead, early enough for one 50 % behind. */
const EARLIEST = 0.1;
const LATEST = 0.4;

/** Below this the distance of the wall clock to the monotonic clock has not changed. */
const WALL_STEP_MS = 10;

/** This process could not ping for so long that others may have told it dead. */
export interface Lapse {
  /** When it was last vouched for: the answer to its last ping, by this machine's wall clock. */
  readonly from: Date;
  /** When the lapse was noticed, by this machine's wall clock. */
  readonly to: Date;
}

/** @internal */
export interface HeartEvents {
  /** A ping of `slot` was acknowledged; `lapsed`: the first after a lapse. */
  pinged(slot: Slot, lapsed: boolean): void;
  lapse(lapse: Lapse): void;
}

interface Vouch {
  readonly slot: Slot;
  /** Monotonic times, in ms. */
  readonly acknowledged: number;
  readonly until: number;
  /** Where it was acknowledged, in slots. */
  readonly position: number;
  /** Wall time less monotonic time, in ms, as it was then. */
  readonly wallDistance: number;
}

/** @internal */
export class Heart {
  readonly #shared: Shared;
  readonly #seq: number;
  readonly #events: HeartEvents;
  readonly #sleeper: Sleeper;
  /** Resolves when the first ping has been answered, or given up. Rejects when it was refused: the heart has stopped. */
  readonly answered: Promise<void>;
  /** Resolves at the first acknowledged ping, or when the heart has stopped. */
  readonly first: Promise<void>;
  /** The latest slot with an acknowledged ping; -Infinity before the first. */
  acknowledged: Slot = -Infinity;
  #firstDone: () => void = () => {};
  #vouch: Vouch | undefined;
  #lapsed = false;
  #attempt: Promise<void> | undefined;
  #cancelLapse: () => void = () => {};
  #hurry = false;
  /** What the latest ping was refused with. */
  #refusal: unknown;
  /** Wall time less monotonic time, in ms. */
  #wallDistance = 0;

  /** Starts to beat. `vouched` is a slot in which something of the session was written: that counts as a ping. */
  constructor(shared: Shared, seq: number, vouched: Slot, events: HeartEvents) {
    this.#shared = shared;
    this.#seq = seq;
    this.#events = events;
    this.#sleeper = new Sleeper(shared.clock);
    this.first = new Promise((resolve) => {
      this.#firstDone = resolve;
    });
    this.#vouchFor(vouched);
    const ping = this.#ping();
    this.answered = ping.then(() => this.#checkPermitted());
    this.answered.catch(() => {}); // whoever opens the session is told
    void this.#beat(ping);
  }

  /** Our own latest acknowledged ping. */
  get own(): OwnPing {
    return { seq: this.#seq, slot: this.acknowledged };
  }

  /** The earliest time at which a watcher could tell this process dead, by this machine's wall clock. */
  get vouchedUntil(): Date {
    return new Date(this.#wallTime(this.#vouch?.until ?? -Infinity));
  }

  /**
   * Pings once more, and gives whether that was acknowledged. A write that a majority acknowledges proves that what was
   * read just before was fresh, and that what is read next has all that was acknowledged to anybody before: a primary
   * that has been cut off answers reads for a while, and no such write.
   */
  async confirm(): Promise<boolean> {
    try {
      await this.#send(this.#shared.time.slot);
      return true;
    } catch (error) {
      if (!this.#sleeper.ended) noteFailure(this.#shared, "ping", error);
      return false;
    }
  }

  /** Pings at once: the store answers again, or its clock has stepped. */
  hurry(): void {
    this.#hurry = true;
    this.#sleeper.wake();
  }

  /** Resolves when the latest ping has been answered, or given up. */
  async settled(): Promise<void> {
    await this.#attempt?.catch(() => {});
  }

  stop(): void {
    this.#sleeper.end();
    this.#cancelLapse();
    this.#firstDone();
  }

  async #beat(first: Promise<Slot | undefined>): Promise<void> {
    const { time, clock } = this.#shared;
    for (let ping = first; ; ping = this.#ping()) {
      const slot = await ping;
      if (this.#sleeper.ended) return;
      if (this.#refusal !== undefined) await this.#wait(time.position + 1);
      else if (slot === undefined) await this.#wait(time.position + RETRY_OF_PERIOD);
      // Of the slot that it pinged in: one whose answer came in the next has still to ping in that.
      else await this.#wait(slot + 1 + between(clock, EARLIEST, LATEST));
      if (this.#sleeper.ended) return;
    }
  }

  /** After the first ping: who may not ping holds nothing, and needs not try on. */
  #checkPermitted(): void {
    if (this.#refusal === undefined) return;
    this.stop();
    throw this.#refusal;
  }

  /** Waits for a position, but not for longer than it should take: the store's clock may have stepped back. */
  async #wait(position: number): Promise<void> {
    const { time } = this.#shared;
    while (!this.#sleeper.ended && !this.#hurry && time.position < position) {
      await sleepUntil(this.#shared, this.#sleeper, position);
      if (time.slotsBehind > 0) break;
    }
    this.#hurry = false;
  }

  /** Sets our bit in the slot. */
  async #send(slot: Slot): Promise<void> {
    const { namespace, clock } = this.#shared;
    const began = clock.monotonic();
    await soon(this.#shared, "ping", namespace.ping(slot, [this.#seq]));
    if (!this.#sleeper.ended) noteAnswer(this.#shared, "ping", began);
  }

  /** Gives the slot in which it pinged, or undefined. */
  async #ping(): Promise<Slot | undefined> {
    const { time, log } = this.#shared;
    if (time.slotsBehind > 0)
      await time.catchUp().catch((error) => log.debug("reading the offset failed", error));
    await knowsTime(this.#shared); // a ping in the slot before a sleep proves nothing
    if (this.#sleeper.ended) return undefined;
    this.#checkLapse();
    const { slot } = time;
    try {
      this.#attempt = this.#send(slot);
      await this.#attempt;
    } catch (error) {
      if (this.#sleeper.ended) return undefined;
      this.#refusal = isFinal(error) ? error : undefined;
      noteFailure(this.#shared, "ping", error);
      return undefined;
    }
    this.#refusal = undefined;
    if (!(await this.#learnsTime())) return undefined;
    this.#checkLapse();
    if (time.position >= deathPosition(slot)) return slot; // so late that it vouches for nobody any more
    await this.#checkSleep(slot);
    if (this.#sleeper.ended) return undefined;
    const lapsed = this.#lapsed;
    this.#lapsed = false;
    this.acknowledged = Math.max(this.acknowledged, slot);
    this.#vouchFor(slot);
    this.#firstDone();
    this.#events.pinged(slot, lapsed);
    return slot;
  }

  /**
   * After a ping: whether it is known what slot is the present. That is asked for again as a ping is, but not pinged for: a ping
   * is a write, and for a period there was one.
   */
  async #learnsTime(): Promise<boolean> {
    const { clock, periodMs } = this.#shared;
    const end = clock.monotonic() + periodMs;
    while (!this.#sleeper.ended && !(await knowsTime(this.#shared))) {
      if (clock.monotonic() >= end) return false;
      await this.#sleeper.sleep(periodMs * RETRY_OF_PERIOD);
    }
    return !this.#sleeper.ended;
  }

  /** Something of the session was written in `slot`. */
  #vouchFor(slot: Slot): void {
    if (this.#vouch !== undefined && slot < this.#vouch.slot) return;
    const { clock, time } = this.#shared;
    const acknowledged = clock.monotonic();
    // Not `time.until`, which knows no past: what comes late may have lapsed already.
    const untilMs = (deathPosition(slot) - time.position) * this.#shared.periodMs;
    const wallDistance = this.#currentWallDistance();
    this.#vouch = {
      slot,
      acknowledged,
      until: acknowledged + untilMs,
      position: time.position,
      wallDistance,
    };
    this.#cancelLapse();
    this.#cancelLapse = clock.setTimer(() => this.#checkLapse(), untilMs);
  }

  #checkLapse(): void {
    if (this.#vouch !== undefined && this.#shared.clock.monotonic() >= this.#vouch.until)
      this.#lapse(this.#vouch);
  }

  /**
   * After a ping in `slot`: where by the store's time the vouch before it was over, and by our clock it was not, either the store's
   * clock has stepped forth, or ours has stood still, as it does while a machine sleeps. Then others have pinged meanwhile, and by
   * the rule we were dead. Never rejects.
   */
  async #checkSleep(slot: Slot): Promise<void> {
    const { time, periodMs } = this.#shared;
    const vouch = this.#vouch;
    if (vouch === undefined || this.#lapsed || time.position < deathPosition(vouch.slot)) return;
    const roster = new Roster();
    const isDead = await readPulse(this.#shared, roster, { seq: this.#seq, slot }).then(
      () => vouch.slot < roster.g,
      () => true, // it may be
    );
    if (isDead) this.#lapse(vouch, (time.position - vouch.position) * periodMs);
  }

  /** `forMs`: how long ago the vouch was, where our clocks don't tell. */
  #lapse(vouch: Vouch, forMs = 0): void {
    if (this.#lapsed || this.#sleeper.ended) return;
    this.#lapsed = true;
    const to = new Date(this.#shared.clock.now());
    const from = Math.min(this.#wallTime(vouch.acknowledged), to.getTime() - forMs);
    this.#events.lapse({ from: new Date(from), to });
  }

  /** The wall time of a monotonic time of this vouch. Where the wall clock has gone ahead since, this machine may have slept. */
  #wallTime(ms: number): number {
    const wallDistance = this.#currentWallDistance();
    return ms + Math.min(wallDistance, this.#vouch?.wallDistance ?? wallDistance);
  }

  #currentWallDistance(): number {
    const { clock } = this.#shared;
    const wallDistance = wallDistanceOf(clock);
    // The two clocks are read one after the other, so only a real step of the wall clock counts.
    if (Math.abs(wallDistance - this.#wallDistance) > WALL_STEP_MS) this.#wallDistance = wallDistance;
    return this.#wallDistance;
  }
}
