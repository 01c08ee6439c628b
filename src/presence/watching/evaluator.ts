/**
 * Evaluates liveness, at half of each slot and for each `sync`:
 *
 *   1. reads the pings of the evaluation slot, and the changes (only in every other slot while a feed reports them)
 *   2. reports joins, updates and kills
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
import { oldestRetained, type Slot } from "../../core/slots.ts";
import { OneAtATime } from "../../lib/timers.ts";
import { type Context, quickly, sampleTime, timed } from "../context/context.ts";
import { handleFuturePings, readState } from "../context/pings.ts";
import type { HoldingSide } from "../holding/holding-side.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { Notifier } from "./notifier.ts";
import type { Snapshot } from "./snapshot.ts";

/** How often changes are read while a feed is live, in slots: a feed may fall silent without an error. */
const POLL_SLOTS = 2;

export class Evaluator {
  readonly #context: Context;
  readonly #holdingSide: HoldingSide;
  readonly #roster: Roster;
  readonly #snapshot: Snapshot;
  readonly #feed: ChangeFeed;
  readonly #notifier: Notifier;
  readonly #evaluations = new OneAtATime(() => this.#evaluate());
  /** The evaluation slot of the next evaluation; Infinity before `begin`. */
  #next: Slot = Infinity;
  /** The latest slot whose read had our own ping of it. A read that must miss no ping begins there or earlier. */
  #readUpTo: Slot = -Infinity;
  /** The slot of the latest evaluation that read changes. */
  #polledSlot: Slot = -Infinity;
  /** The evaluation slot in which the roster last forgot the long dead. */
  #forgotten: Slot = -Infinity;

  constructor(holdingSide: HoldingSide, notifier: Notifier, snapshot: Snapshot, feed: ChangeFeed) {
    this.#context = holdingSide.context;
    this.#holdingSide = holdingSide;
    this.#notifier = notifier;
    this.#roster = notifier.roster;
    this.#snapshot = snapshot;
    this.#feed = feed;
  }

  /** The first evaluation, of what is stored. Rejects if the read is not fresh: see `readState`. */
  async begin(): Promise<void> {
    this.#readUpTo = await readState(this.#context, this.#roster, this.#holdingSide.session.ownPing);
    this.#next = this.#readUpTo + 1;
  }

  /** In how many ms the next evaluation is due: at half of its slot. Infinity before `begin`. */
  get nextMs(): number {
    return this.#context.time.until(this.#next + 0.5);
  }

  /** Evaluates by reads that begin after this call. Resolves when the subscriptions have everything that was found. */
  evaluate(): Promise<void> {
    return this.#evaluations.run();
  }

  async #evaluate(): Promise<void> {
    const { time, periodMs } = this.#context;
    // A presence that does not ping learns the store's time by asking for it.
    if (this.#holdingSide.session.current === undefined && time.ageMs >= periodMs / 2)
      await timed(this.#context, sampleTime(this.#context));
    const slot = evaluationSlot(time.position);
    const isQuiet = slot >= this.#next && this.#readUpTo >= slot - 1;
    // The evaluation slot is enough if everyone is known to be alive; else a late ping in the one before matters, too.
    const isEnough = isQuiet && !this.#roster.isAnyoneSilent;
    // One after the other: it needs one connection.
    const goesOn = await this.#readPings(isEnough ? slot : Math.min(slot - 1, this.#readUpTo), slot);
    if (this.#mustPoll(slot, isQuiet)) {
      await this.#snapshot.poll();
      this.#polledSlot = slot;
    }
    this.#notifier.notify();
    if (goesOn) await this.#reportDeaths(slot);
    this.#next = Math.max(this.#next, slot + 1);
    await this.#notifier.notifyAll();
  }

  #mustPoll(slot: Slot, isQuiet: boolean): boolean {
    if (isEmptySelection(this.#snapshot.coverage)) return false;
    const isFed = this.#feed.covers(this.#snapshot.coverage);
    return !isQuiet || !isFed || this.#snapshot.plan.mustReadAll || slot - this.#polledSlot >= POLL_SLOTS;
  }

  /** Reads the pings from a slot on. Returns false if the store's clock has stepped, so the evaluation must stop. */
  async #readPings(earliest: Slot, slot: Slot): Promise<boolean> {
    const { namespace, health, requests } = this.#context;
    const own = this.#holdingSide.session.ownPing;
    const from = Math.max(earliest, oldestRetained(this.#context));
    const records = await quickly(this.#context, "read pings", namespace.pings(from));
    if (await handleFuturePings(this.#context, records)) return false;
    await this.#notifier.addPings(records);
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
    // A late ping in the slot before may show that nobody is dead, and reading it costs less than a confirmation.
    if (this.#wouldFindDeath(slot, oldest) && !this.#snapshot.plan.hasRemoval)
      await this.#readPings(slot - 1, slot);
    while (this.#wouldFindDeath(slot, oldest)) {
      if (!(await this.#confirm(slot))) return;
      if (!time.mayHaveSlept) break; // otherwise the read may be old: confirm again
    }
    if (!this.#mayReportDeaths(slot) || requests.sleeper.ended) return;
    await this.#notifier.doUnreported(this.#snapshot.removeMissing());
    await this.#notifier.doUnreported(this.#roster.evaluateInSteps(slot, oldest));
    if (this.#holdingSide.session.arePingsCurrent(slot - 1)) health.markHealthy();
    await this.#forget(slot, oldest);
  }

  #mayReportDeaths(slot: Slot): boolean {
    return mayReportDeaths(slot, this.#context.health.latestSuspicion);
  }

  #wouldFindDeath(slot: Slot, oldest: Slot): boolean {
    return this.#snapshot.plan.hasRemoval || this.#roster.wouldFindDeath(slot, oldest);
  }

  /**
   * Pings and reads once more: this read has everything that was acknowledged before it, such as a ping late in the
   * slot before, or a planned absence. Without the right to ping it asks for the time. Returns whether that succeeded.
   */
  async #confirm(slot: Slot): Promise<boolean> {
    const heartbeat = this.#holdingSide.session.current?.heartbeat;
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
