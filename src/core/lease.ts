/**
 * The lease of a process: until when others certainly consider it alive. Each ping that counts extends it. If it runs
 * out, by our clock or by the stamp of an answer, that is a lapse. The next ping that counts ends the lapse.
 *
 * We send a ping before the server stamps it. So a time counted from sending ends before the same time counted from the
 * stamp, and the lease is never too long. It is kept by the monotonic clock and by the wall clock, and the earlier one
 * counts: the first stands still while the machine sleeps, and the second can be set.
 */
// oxlint-disable eslint/no-restricted-globals -- a Date only holds a given time here
import { deathPosition } from "./alive.ts";
import type { Clock } from "./clock.ts";
import type { Slot } from "./slots.ts";
import type { StoreTime } from "./store-time.ts";

/** This process could not ping for so long that others may have reported its keys dead. */
export interface Lapse {
  /** When its last ping was acknowledged, by this machine's wall clock. */
  readonly from: Date;
  /** When the lapse was noticed, by this machine's wall clock. */
  readonly to: Date;
}

interface Ping {
  readonly slot: Slot;
  /** Its stamp; and when it was sent and acknowledged, by the monotonic clock: all in ms. */
  readonly ms: number;
  readonly sent: number;
  readonly received: number;
  /** The offset of the slots then. */
  readonly offset: number;
}

/** The latest ping that counts. */
interface Extension extends Ping {
  /** When it was acknowledged, by the wall clock, in ms; and its stamp, in slots. */
  readonly receivedWall: number;
  readonly stamped: number;
  /** When the lease runs out, by the monotonic clock and by the wall clock, in ms. */
  readonly until: number;
  readonly untilWall: number;
}

/** @internal */
export class Lease {
  readonly #clock: Clock;
  readonly #time: StoreTime;
  readonly #periodMs: number;
  #latest: Extension | undefined;
  #isLapsed = false;
  #lapsedSlots = 0;
  /** How many moves to a new session are under way. */
  #moves = 0;

  constructor(clock: Clock, time: StoreTime, periodMs: number) {
    this.#clock = clock;
    this.#time = time;
    this.#periodMs = periodMs;
  }

  /** The earliest time at which a watcher could report this process dead, by the wall clock, in ms. */
  get until(): number | undefined {
    if (this.#latest === undefined) return undefined;
    const { until, untilWall } = this.#latest;
    return Math.min(untilWall, this.#clock.now() + until - this.#clock.monotonic());
  }

  /** How many slots the longest lapse since `recovered` lasted, from the last ping before it to the first after it. */
  get lapsedSlots(): number {
    return this.#lapsedSlots;
  }

  /** Everything that the lapses may have changed has been restored. */
  recovered(): void {
    this.#lapsedSlots = 0;
  }

  /**
   * Call it while the keys are registered under a new session. Until `work` settles, pings do not extend the lease:
   * others still know the keys by the previous session.
   */
  async move(work: Promise<unknown>): Promise<void> {
    this.#moves++;
    await work.catch(() => {});
    this.#moves--;
  }

  /** When `noteLapse` will find that it has run out: a monotonic time, in ms. Infinity if it has already. */
  get lapsesAt(): number {
    return this.#isLapsed ? Infinity : (this.#latest?.until ?? Infinity);
  }

  /** Returns the lapse if the lease has run out since the last call, by our clock or by an answer's stamp, in slots. */
  noteLapse(stamped = -Infinity): Lapse | undefined {
    const latest = this.#latest;
    if (latest === undefined || this.#isLapsed) return undefined;
    const [to, now] = [this.#clock.now(), this.#clock.monotonic()];
    if (stamped < deathPosition(latest.slot) && now < latest.until) return undefined;
    this.#isLapsed = true;
    const [until, untilWall] = [Math.min(latest.until, now), Math.min(latest.untilWall, to)];
    this.#latest = { ...latest, until, untilWall }; // a stamp shows it before our clocks do
    // Our own clocks may not show the whole lapse, if the machine slept or they were set.
    const from = Math.min(latest.receivedWall, to - (this.#time.position - latest.stamped) * this.#periodMs);
    return { from: new Date(from), to: new Date(to) };
  }

  /**
   * Takes the stamp `ms` of a ping of `slot`, which was sent at these monotonic and wall times. Returns whether the
   * ping counts, or came too late; and whether it ends a lapse.
   */
  extend(slot: Slot, sent: number, sentWall: number, ms: number): { counts: boolean; endsLapse: boolean } {
    const leftMs = this.#time.at(deathPosition(slot)) - ms;
    if (sent + leftMs <= this.#clock.monotonic()) return { counts: false, endsLapse: false };
    if (this.#moves > 0) return { counts: true, endsLapse: false };
    const endsLapse = this.#isLapsed;
    const before = this.#latest?.slot ?? slot;
    if (endsLapse) this.#lapsedSlots = Math.max(this.#lapsedSlots, slot - before);
    this.#isLapsed = false;
    if (slot < before) return { counts: true, endsLapse };
    const [receivedWall, stamped] = [this.#clock.now(), this.#time.positionOf(ms)];
    const ping = { slot, ms, sent, received: this.#clock.monotonic(), offset: this.#time.offset };
    let until = sent + leftMs;
    // A ping that waited long before it was stamped seems to end the lease earlier than the one before it. Both are
    // right, so the later end counts.
    if (this.#latest !== undefined && !endsLapse && hasSameClock(this.#latest, ping)) {
      until = Math.max(until, this.#latest.until);
    }
    this.#latest = { ...ping, receivedWall, stamped, until, untilWall: sentWall + until - sent };
    return { counts: true, endsLapse };
  }
}

/** Whether the store's clock cannot have stepped between two pings, and no slots were moved on. */
function hasSameClock(before: Ping, after: Ping): boolean {
  const passedMs = after.ms - before.ms;
  const isPossible = passedMs <= after.received - before.sent && passedMs >= after.sent - before.received;
  return isPossible && before.offset === after.offset;
}
