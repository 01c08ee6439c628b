/**
 * The lookout looks at the store at half of each slot, and for each `sync`. A look:
 *
 *   1. waits for our own ping, where it is under way: by it a read is known to be fresh
 *   2. reads the pings, and what has changed: that in every other slot, where a feed tells it
 *   3. tells what it has read
 *   4. judges, unless there was trouble; where a death would be told, it pings and reads once more before
 *   5. tells who has died
 *
 * Who is alive is the roster's to say (alive.ts, roster.ts): here is decided when it may judge, and by which pings.
 */
import { judgedSlot, mayTellDeaths } from "../../core/alive.ts";
import type { Roster } from "../../core/roster.ts";
import type { Slot } from "../../core/slots.ts";
import type { Heart } from "../holding/heartbeat.ts";
import { distrust, ensurePresent, oldestRetained, type OwnPing, readPulse } from "../context/pings.ts";
import type { Reader } from "./snapshot.ts";
import { knowsTime, noteAnswer, type Shared, soon } from "../context/context.ts";
import type { Teller } from "./notifier.ts";
import { OneAtATime, type Sleeper } from "../../lib/timers.ts";

export interface LookoutParts {
  readonly roster: Roster;
  readonly reader: Reader;
  readonly teller: Teller;
  readonly heart: () => Heart | undefined;
  /** Rejects when the namespace is gone, or another's. */
  readonly verify: () => Promise<void>;
  /** Whether each look must read what has changed: nothing else tells it, or somebody waits for just that. */
  readonly mustPoll: () => boolean;
}

export class Lookout {
  readonly #shared: Shared;
  readonly #sleeper: Sleeper;
  readonly #parts: LookoutParts;
  readonly #looks = new OneAtATime(() => this.#look());
  /** The judged slot of the latest read of the pings that was fresh: a later read begins there, or before. */
  #readUpTo: Slot = -Infinity;
  /** The slot of the latest look that has read what has changed. */
  #polled: Slot = -Infinity;
  /** The judged slot in which the long dead were last forgotten. */
  #forgotten: Slot = -Infinity;

  /** It ends when the sleeper does. */
  constructor(shared: Shared, sleeper: Sleeper, parts: LookoutParts) {
    this.#shared = shared;
    this.#sleeper = sleeper;
    this.#parts = parts;
  }

  /** The first look, of one who has just come. Rejects where it is not fresh: see `readPulse`. */
  async begin(): Promise<void> {
    const { roster, heart } = this.#parts;
    this.#readUpTo = await readPulse(this.#shared, roster, heart()?.own);
  }

  /** Looks, as of after the call: resolves when all that was found has been put to the subscriptions. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { time, clock } = this.#shared;
    const { teller } = this.#parts;
    const heart = this.#parts.heart();
    if (heart !== undefined && heart.acknowledged < judgedSlot(time.position)) await heart.settled();
    const own = heart?.own;
    const { slot, position } = time;
    const judged = judgedSlot(position);
    const { from, polls } = this.#extent(slot, judged, own);
    const began = clock.monotonic();
    const [goesOn] = await Promise.all([this.#readPings(from, own), polls ? this.#poll(slot) : undefined]);
    if (this.#sleeper.ended || !goesOn) return;
    noteAnswer(this.#shared, "read", began);
    teller.tell();
    // An older ping of ours proves too little: a primary cut off since then has it, but not what others pinged.
    if (own === undefined || own.slot >= judged) await this.#judge(judged, heart);
    await teller.tellAll();
  }

  /** How much to read: the pings from which slot on, and whether what has changed. */
  #extent(slot: Slot, judged: Slot, own: OwnPing | undefined): { from: Slot; polls: boolean } {
    const { reader, mustPoll } = this.#parts;
    // In quiet times the judged slot says enough: who has pinged in it lives.
    const isQuiet = judged === slot && this.#readUpTo >= slot - 1 && (own === undefined || own.slot === slot);
    return {
      from: isQuiet ? slot : Math.min(slot - 1, this.#readUpTo),
      polls: !isQuiet || mustPoll() || reader.isBehind || this.#polled < slot - 1,
    };
  }

  async #poll(slot: Slot): Promise<void> {
    await this.#parts.reader.poll();
    this.#polled = slot;
  }

  /** Reads the pings from a slot on. Gives false where it cannot be gone on from: the store's clock has stepped. */
  async #readPings(earliest: Slot, own: OwnPing | undefined): Promise<boolean> {
    const { namespace, time, health } = this.#shared;
    const judged = judgedSlot(time.position);
    const from = Math.max(earliest, oldestRetained(this.#shared));
    const records = await soon(this.#shared, "read pings", namespace.pings(from));
    if (this.#sleeper.ended || (await ensurePresent(this.#shared, records))) return false;
    for (const record of records) this.#parts.roster.bits(record);
    const reason = distrust(records, from, judged, own);
    if (reason === undefined) this.#readUpTo = judged;
    else {
      health.trouble(reason);
      await this.#parts.verify();
    }
    return true;
  }

  /** Takes what has not pinged for dead, and what was not found for gone, unless there was trouble. */
  async #judge(judged: Slot, heart: Heart | undefined): Promise<void> {
    const { health, retentionSlots } = this.#shared;
    const { roster, reader, teller } = this.#parts;
    const oldest = judged - retentionSlots;
    if (!(await this.#mayTellDeaths(judged))) return;
    const wouldEnd = reader.canSweep || roster.wouldEnd(judged, oldest);
    if (wouldEnd && !(await this.#lookAgain(judged, heart))) return;
    if (!(await this.#mayTellDeaths(judged)) || this.#sleeper.ended) return;
    await teller.doUntold(reader.sweep());
    await teller.doUntold(roster.judgeInSteps(judged, oldest));
    health.settle();
    await this.#forget(judged, oldest);
  }

  /**
   * Whether there was no trouble. A sleep is one, and what was read before it is old; but no clock of this process says so, only
   * the store's.
   */
  async #mayTellDeaths(judged: Slot): Promise<boolean> {
    await knowsTime(this.#shared);
    return mayTellDeaths(judged, this.#shared.health.latestTrouble);
  }

  /**
   * Pings and reads once more: what is read then has all that was acknowledged before, like a ping late in the slot
   * before or a planned absence. Gives whether that succeeded. Where it took long, as where this process was stopped in
   * the middle of it, that is trouble: what is read is too old by now.
   */
  async #lookAgain(judged: Slot, heart: Heart | undefined): Promise<boolean> {
    if (heart !== undefined && !(await heart.confirm())) return false;
    const began = this.#shared.clock.monotonic();
    const [goesOn] = await Promise.all([this.#readPings(judged - 1, heart?.own), this.#parts.reader.poll()]);
    if (goesOn) noteAnswer(this.#shared, "read", began);
    return goesOn;
  }

  /** Lets the roster forget what is long dead, four times in a retention. */
  async #forget(judged: Slot, oldest: Slot): Promise<void> {
    const { time, retentionSlots } = this.#shared;
    if (judged - this.#forgotten < retentionSlots / 4) return;
    this.#forgotten = judged;
    const { roster, teller } = this.#parts;
    await teller.doUntold(roster.forgetInSteps(oldest, time.at(oldest)));
  }
}
