/** The config of a namespace, on which all its presences agree: sets it up, follows it, and notices when it is gone. */
import { PERIODS_TO_DEATH } from "../../core/alive.ts";
import { Dropped, isRefusal } from "../../core/errors.ts";
import { lacksOwn, notFresh, type OwnPing } from "../../core/freshness.ts";
import { planMail } from "../../core/mail.ts";
import { answerMs } from "../../core/limits.ts";
import { longestRetention } from "../../core/pruning.ts";
import { baseOf, type Config, FORMAT_VERSION, mismatch } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import { JoinedRun, within } from "../../lib/timers.ts";
import { type Context, leaveMail, patiently, readConfig, sampleTime } from "./context.ts";

/**
 * If the store's clock steps back by at most this many slots, presences wait until it has caught up. After a longer
 * step they raise the offset.
 */
const SLOTS_BEHIND_MAX = 2;
/** A process has not lapsed yet if it pinged in the current slot or in one of this many slots before. */
const LEASE_SLOTS = Math.floor(PERIODS_TO_DEATH);

export class NamespaceConfig {
  readonly #context: Context;
  #base = 0;
  /** When the config was last read: a monotonic time, in ms. */
  #readAt = -Infinity;
  readonly #configuring = new JoinedRun(() => this.#configure());
  /** Whether we have raised the offset, or may have. */
  #hasRaised = false;
  /** The offset that a raise began from which was not acknowledged. */
  #raisingFrom: number | undefined;
  /** By how many slots it was raised, by anyone, since we opened the namespace. */
  #raisedBy = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Sets the namespace up if nobody has, and follows its config. Rejects with `CONFIG_MISMATCH` if it was set up with
   * another period, or by another version.
   */
  configure(): Promise<void> {
    return this.#configuring.run();
  }

  async #configure(): Promise<void> {
    const { namespace, periodMs, retentionSlots, clock, time } = this.#context;
    const base = baseOf(clock.now());
    const wanted = { version: FORMAT_VERSION, periodMs, offset: 0, retentionSlots, base };
    const limitMs = answerMs(periodMs, !time.isKnown);
    await this.#follow(await within(clock, limitMs, "open", namespace.configure(wanted)));
  }

  /** Before a session is opened: sets the namespace up again if it was dropped since. */
  async ensure(): Promise<void> {
    const { clock, periodMs } = this.#context;
    if (clock.monotonic() - this.#readAt >= periodMs) await this.restore();
  }

  /** Follows the config, and sets the namespace up again if it was dropped. */
  async restore(): Promise<void> {
    if ((await this.#read()) === undefined) await this.configure();
  }

  /**
   * Follows the config. Rejects with `CONFIG_MISMATCH` if the namespace was dropped, or set up again with another
   * period or format version. A store that was found again may have lost the config too: then it is set up again.
   */
  async check(): Promise<void> {
    if ((await this.#read()) !== undefined) return;
    if (!this.#context.requests.has("restore") && !this.#configuring.isRunning)
      throw new Dropped(this.#context.name);
    await this.configure();
  }

  /** The number of a new session. */
  async nextSeq(): Promise<number> {
    const { namespace } = this.#context;
    return this.#base + (await patiently(this.#context, "open a session", namespace.nextSeq()));
  }

  /** Whether the store's clock has stepped back, or may have: then `catchUp` is due. */
  get mustCatchUp(): boolean {
    return this.#context.time.slotsBehind > 0 || this.#isRaising;
  }

  /**
   * Whether a raise of the offset is still unacknowledged. It may happen late, and then nobody would learn of it. This
   * ends when anyone raises the offset.
   */
  get #isRaising(): boolean {
    return this.#raisingFrom === this.#context.time.offset;
  }

  /**
   * After a step back of the store's clock: follows the offset, and raises it if the store's time is too far behind
   * `stored`, the latest slot in use.
   */
  async catchUp(stored: Slot = this.#context.time.slot): Promise<void> {
    const { namespace, time, requests } = this.#context;
    await this.#read();
    const raw = Math.floor(time.positionOf(time.now));
    const behind = stored - raw;
    if (behind <= SLOTS_BEHIND_MAX && !this.#isRaising) return;
    const { offset: from } = time;
    const hadRaised = this.#hasRaised;
    this.#raisingFrom = from;
    this.#hasRaised = true;
    try {
      const to = from + Math.max(1, behind);
      const offset = await patiently(this.#context, "offset", namespace.raiseOffset(from, to));
      if (offset > to) await sampleTime(this.#context); // another raised it, perhaps after another step
      this.#raise(offset);
      requests.add("announceOffset");
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#hasRaised = hadRaised; // a user who may only read leaves it to others
    }
    this.#raisingFrom = undefined;
  }

  /**
   * After raising the offset, and after each step of the clock since: mail makes a process that noticed no step read
   * the config. A process that does not ping in the slots of that mail has a lapse, and reads the config after it.
   */
  async announceOffset(own?: OwnPing): Promise<void> {
    if (!this.#hasRaised) return;
    const { namespace, time } = this.#context;
    const from = time.slot - this.#raisedBy - LEASE_SLOTS;
    const pings = await patiently(this.#context, "read pings", namespace.pings(from));
    // A stale read lacks those who have just come.
    if (own !== undefined && lacksOwn(pings, from, own)) throw notFresh("ping");
    const { slots, seqs } = planMail(pings, time, this.#raisedBy);
    for (const slot of slots) await leaveMail(this.#context, slot, seqs);
  }

  async #read(): Promise<Config | undefined> {
    const config = await readConfig(this.#context);
    if (config === undefined) this.#readAt = -Infinity;
    else await this.#follow(config);
    return config;
  }

  async #follow(config: Config): Promise<void> {
    const error = mismatch(config, this.#context);
    if (error !== undefined) throw error;
    this.#base = config.base;
    this.#context.retentionSlots = longestRetention(this.#context.retentionSlots, config);
    this.#readAt = this.#context.clock.monotonic();
    const { time } = this.#context;
    if (config.offset <= time.offset) return;
    // A raised offset says that the store's clock stepped back. With our old view of it we would run ahead of everyone.
    if (time.isKnown) await sampleTime(this.#context);
    this.#raise(config.offset);
  }

  #raise(offset: number): void {
    const { time, health, requests } = this.#context;
    const { isKnown, offset: before } = time;
    if (!time.raise(offset) || !isKnown) return; // the offset that a presence starts with is no news
    this.#raisedBy += offset - before;
    health.suspect("the store's clock has stepped back, and the slots were moved on");
    requests.add("ping", "reconcile", "resync");
    if (this.#hasRaised) requests.add("announceOffset"); // perhaps it was our raise, whose answer was lost
  }
}
