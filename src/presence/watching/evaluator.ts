/**
 * Evaluates liveness, at half of each slot and for each `sync`:
 *
 *   1. reads the pings of the evaluation slot, and the changes, in every other slot if a feed reports them
 *   2. reports what it has read
 *   3. if a key would be dead: also reads the pings of the slot before, then pings, and reads once more. The ping
 *      proves that the primary still has its majority, so the second read has everything acknowledged before it
 *   4. if there was no suspicion since the start of the slot before: moves `g`, and reports the deaths
 *
 * The roster decides which keys are alive (core/alive.ts, core/roster.ts). This file decides when it may evaluate, and
 * by which pings.
 */
import { evaluationSlot, mayReportDeaths } from "../../core/alive.ts";
import { distrust } from "../../core/freshness.ts";
import type { Roster } from "../../core/roster.ts";
import { isEmptySelection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import { OneAtATime } from "../../lib/timers.ts";
import { type Context, sampleTime, soon, timed } from "../context/context.ts";
import { followAhead, oldestRetained, readState } from "../context/pings.ts";
import type { HoldingSide } from "../holding/holding-side.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { Notifier } from "./notifier.ts";
import type { Snapshot } from "./snapshot.ts";

/** How often changes are read while a feed is live, in slots: a feed may fall silent without an error. */
const POLL_SLOTS = 2;

export class Evaluator {
  readonly #context: Context;
  readonly #holding: HoldingSide;
  readonly #roster: Roster;
  readonly #snapshot: Snapshot;
  readonly #feed: ChangeFeed;
  readonly #notifier: Notifier;
  readonly #evaluations = new OneAtATime(() => this.#evaluate());
  /** The evaluation slot of the latest evaluation; Infinity before the first. */
  #evaluated: Slot = Infinity;
  /** Up to this slot pings were read after our own ping in it was acknowledged. The next read begins here or before. */
  #readUpTo: Slot = -Infinity;
  /** The slot of the latest evaluation that read changes. */
  #polled: Slot = -Infinity;
  /** The evaluation slot in which the roster last forgot the long dead. */
  #forgotten: Slot = -Infinity;

  constructor(holding: HoldingSide, notifier: Notifier, snapshot: Snapshot, feed: ChangeFeed) {
    this.#context = holding.context;
    this.#holding = holding;
    this.#notifier = notifier;
    this.#roster = notifier.roster;
    this.#snapshot = snapshot;
    this.#feed = feed;
  }

  /** The first evaluation, of what is stored. Rejects if the read is not fresh: see `readState`. */
  async begin(): Promise<void> {
    const { ownPing } = this.#holding.session;
    this.#readUpTo = this.#evaluated = await readState(this.#context, this.#roster, ownPing);
  }

  /** In how many ms it is due: at half of the slot after the evaluated one. Infinity before `begin`. */
  get nextMs(): number {
    return this.#context.time.until(this.#evaluated + 1.5);
  }

  /** Evaluates what is stored after this call. Resolves when the subscriptions have everything that was found. */
  evaluate(): Promise<void> {
    return this.#evaluations.run();
  }

  async #evaluate(): Promise<void> {
    const { time, periodMs } = this.#context;
    // A presence that does not ping learns the store's time by asking for it.
    if (this.#holding.session.current === undefined && time.ageMs >= periodMs / 2)
      await timed(this.#context, sampleTime(this.#context));
    const slot = evaluationSlot(time.position);
    const isQuiet = slot > this.#evaluated && this.#readUpTo >= slot - 1;
    // The evaluation slot is enough if everyone is known to be alive; else a late ping in the one before matters, too.
    const isEnough = isQuiet && !this.#roster.isAnyoneSilent;
    // One after the other: it needs one connection.
    const goesOn = await this.#readPings(isEnough ? slot : Math.min(slot - 1, this.#readUpTo), slot);
    if (this.#mustPoll(slot, isQuiet)) {
      await this.#snapshot.poll();
      this.#polled = slot;
    }
    this.#notifier.notify();
    if (goesOn) await this.#reportDeaths(slot);
    this.#evaluated = Math.max(this.#evaluated, slot);
    await this.#notifier.notifyAll();
  }

  #mustPoll(slot: Slot, isQuiet: boolean): boolean {
    if (isEmptySelection(this.#snapshot.coverage)) return false;
    const isFed = this.#feed.covers(this.#snapshot.coverage);
    return !isQuiet || !isFed || this.#snapshot.plan.isBehind || slot - this.#polled >= POLL_SLOTS;
  }

  /** Reads the pings from a slot on. Returns false if the store's clock has stepped, so the evaluation must stop. */
  async #readPings(earliest: Slot, slot: Slot): Promise<boolean> {
    const { namespace, health, requests } = this.#context;
    const own = this.#holding.session.ownPing;
    const from = Math.max(earliest, oldestRetained(this.#context));
    const records = await soon(this.#context, "read pings", namespace.pings(from));
    if (await followAhead(this.#context, records)) return false;
    for (const record of records) this.#roster.addPings(record);
    const reason = distrust(records, from, slot, own);
    // A lagging majority does not show the pings of this slot yet, not even our own: the next read includes the slot
    // again.
    if (reason === undefined) this.#readUpTo = Math.min(slot, own?.slot ?? slot);
    else {
      health.suspect(reason);
      requests.add("config"); // the namespace may have been dropped
    }
    return true;
  }

  /** Moves `g`, and removes missing records, unless there was a suspicion. */
  async #reportDeaths(slot: Slot): Promise<void> {
    const { health, retentionSlots, requests, time } = this.#context;
    const oldest = slot - retentionSlots;
    if (!this.#mayReportDeaths(slot)) return;
    if (this.#wouldEnd(slot, oldest) && !this.#snapshot.plan.hasWhole) await this.#readPings(slot - 1, slot);
    // Once more if this machine may have slept meanwhile, since the read may be old then.
    for (let mustAsk = true; mustAsk && this.#wouldEnd(slot, oldest); mustAsk = time.mayHaveSlept)
      if (!(await this.#confirm(slot))) return;
    if (!this.#mayReportDeaths(slot) || requests.sleeper.ended) return;
    await this.#notifier.doUnreported(this.#snapshot.removeMissing());
    await this.#notifier.doUnreported(this.#roster.evaluateInSteps(slot, oldest));
    if (this.#holding.session.hasPingedIn(slot - 1)) health.markHealthy();
    await this.#forget(slot, oldest);
  }

  #mayReportDeaths(slot: Slot): boolean {
    return mayReportDeaths(slot, this.#context.health.latestSuspicion);
  }

  #wouldEnd(slot: Slot, oldest: Slot): boolean {
    return this.#snapshot.plan.hasWhole || this.#roster.wouldEnd(slot, oldest);
  }

  /**
   * Pings and reads once more: this read has everything that was acknowledged before it, such as a ping late in the
   * slot before, or a planned absence. Without the right to ping it asks for the time. Returns whether that succeeded.
   */
  async #confirm(slot: Slot): Promise<boolean> {
    const heartbeat = this.#holding.session.current?.heartbeat;
    if (heartbeat === undefined) await timed(this.#context, sampleTime(this.#context));
    else if (!(await heartbeat.confirm())) return false;
    const goesOn = await this.#readPings(slot - 1, slot);
    await this.#snapshot.poll();
    return goesOn;
  }

  /** Makes the roster forget the long dead, four times in a retention. */
  async #forget(slot: Slot, oldest: Slot): Promise<void> {
    const { time, retentionSlots } = this.#context;
    if (slot - this.#forgotten < retentionSlots / 4) return;
    this.#forgotten = slot;
    await this.#notifier.doUnreported(this.#roster.forgetInSteps(oldest, time.at(oldest)));
  }
}
