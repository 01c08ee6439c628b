/**
 * Brings the stored records of this presence in line with what it declares: reads, compares, writes the difference.
 *
 *   there is mail                              read the config, and which of our records were ended
 *   a lapse is over                            read the config; touch the session's record, which brings every key
 *                                              back that shares its bit; compare everything. After more than half of
 *                                              the retention also write everything again
 *   records may be missing: the store was      compare everything
 *   lost and found, its clock stepped, or a
 *   count was wrong
 *   every few slots, otherwise                 count our open records
 *
 * It repeats this until it succeeds. If the session's record is gone or has another owner, every key is registered
 * again under a new session. If the namespace is gone too, it rejects with `CONFIG_MISMATCH`.
 */
import { hasOwn, notFresh } from "../../core/freshness.ts";
import { candidatesInSteps, compareAll, type Difference, writtenInSteps } from "../../core/reconcile.ts";
import type { RegistrationRecord } from "../../core/records.ts";
import type { Registration } from "../../core/registration.ts";
import { oldestRetained, type Slot } from "../../core/slots.ts";
import { Slices } from "../../lib/timers.ts";
import { type Context, patiently } from "../context/context.ts";
import type { Registrations } from "./registrations.ts";
import { type OpenSession, readSession, type Session } from "./session.ts";

/** How often our open records are counted, in slots. This is the safety net: mail and suspicions are faster. */
const COUNT_SLOTS = 4;
/** After how many counts the config is read, too. Mail, a step of the clock and a lapse make it be read at once. */
const CONFIG_COUNTS = 8;
/** A stale read may lack a session that is at most this many slots old. */
const YOUNG_SLOTS = 2;

export class Reconciler {
  readonly #context: Context;
  readonly #session: Session;
  readonly #registrations: Registrations;
  /** The slot of the latest count or comparison that succeeded. */
  #checked: Slot = -Infinity;
  #counts = 0;
  /** The slot of the latest count that found nothing wrong, though some writes were under way. */
  #counted: Slot = -Infinity;

  constructor(context: Context, session: Session, registrations: Registrations) {
    this.#context = context;
    this.#session = session;
    this.#registrations = registrations;
  }

  /** Whether there is something to do in this slot. */
  get isDue(): boolean {
    const { requests } = this.#context;
    if (this.#session.current === undefined) return false;
    if (requests.has("mail") || requests.has("reconcile") || requests.has("recover")) return true;
    return this.#isCountDue || this.#mustTouch;
  }

  /** Does the most urgent part of it. Rejects if that fails, and is due again then. */
  async run(): Promise<void> {
    const { requests, time, retentionSlots } = this.#context;
    const session = this.#session.current;
    if (session === undefined) return;
    // A new session has nothing stored that could be missing yet.
    if (this.#checked < session.record.slot) this.#checked = session.record.slot;
    if (this.#mustTouch) await this.#session.touch();
    const isLong = time.slot - this.#checked > retentionSlots / 2; // records may have been pruned meanwhile
    // Serves one of these; the next turn of the loop serves the next.
    if (await requests.serve("recover", () => this.#recover(session))) return;
    if (isLong) requests.add("reconcile");
    if (await requests.serve("reconcile", () => this.#compareAll(session))) return;
    if (await requests.serve("mail", () => this.#readMail(session))) return;
    if (this.#isCountDue) await this.#count(session);
  }

  get #isCountDue(): boolean {
    const { slot } = this.#context.time;
    const slots = slot - Math.max(this.#checked, this.#counted);
    // After the ping of the slot, so that one connection will do; even if pings are acknowledged late.
    const hasPinged = this.#session.ownPing?.slot === slot;
    return slots >= COUNT_SLOTS && (hasPinged || slots >= 2 * COUNT_SLOTS);
  }

  /** Old records are pruned, so the record of a living session is touched well within the retention. */
  get #mustTouch(): boolean {
    const { time, retentionSlots } = this.#context;
    const touched = this.#session.current?.touched ?? Infinity;
    return time.slot - touched > retentionSlots / 2;
  }

  async #recover(session: OpenSession): Promise<void> {
    const { lease } = session.heartbeat;
    await this.#context.config.check(); // mail about a raised offset reaches only a process that pings
    await this.#session.touch();
    await this.#compareAll(session);
    if (session !== this.#session.current) return;
    // Watchers may have forgotten keys that looked long dead.
    if (lease.lapsedSlots > this.#context.retentionSlots / 2) {
      for (const registration of this.#registrations.declared.held())
        this.#registrations.queue.add(registration, "start");
    }
    lease.recovered();
  }

  async #readMail(session: OpenSession): Promise<void> {
    await this.#context.config.check(); // the slots may have been moved on
    const stored = await readSession(this.#context, session.record.seq, "ended");
    if (stored.session !== undefined) this.#registrations.takeSession(stored.session);
    await this.#apply(session, stored.registrations, []);
  }

  async #count(session: OpenSession): Promise<void> {
    const { namespace, time } = this.#context;
    const { slot } = time;
    const { declared } = this.#registrations;
    declared.forgetBefore(oldestRetained(this.#context));
    if (++this.#counts % CONFIG_COUNTS === 0) await this.#context.config.check();
    const { openCount: before, startCount, releaseCount } = declared;
    const { seq, opened } = session.record;
    const open = await patiently(this.#context, "count", namespace.countOpen(seq));
    if (session !== this.#session.current) return;
    // Starts and ends that happened meanwhile may or may not be counted.
    const least = before.least - (declared.releaseCount - releaseCount);
    const most = before.most + (declared.startCount - startCount);
    if (open.opened === opened && open.count >= least && open.count <= most) {
      if (least === most) this.#checked = slot;
      else this.#counted = slot; // writes under way may hide a loss, rarely for long
    } else await this.#compareAll(session);
  }

  async #compareAll(session: OpenSession): Promise<void> {
    const { slot } = this.#context.time;
    const { declared } = this.#registrations;
    const written = await new Slices(this.#context.clock).doAll(writtenInSteps(declared.byPinger));
    const stored = await readSession(this.#context, session.record.seq, "all");
    if (session !== this.#session.current) return;
    if (stored.session === undefined || !this.#session.isOurs(stored.session)) {
      await this.#context.config.check(); // the namespace may be gone with it
      const isYoung = slot - session.record.slot <= YOUNG_SLOTS;
      if (stored.session === undefined && isYoung) throw notFresh("session");
      if (stored.session === undefined) await this.#checkFresh(session);
      if (session === this.#session.current) this.#registrations.moveTo("is gone from the store");
      return;
    }
    this.#registrations.takeSession(stored.session);
    await this.#apply(session, stored.registrations, written);
    if (session === this.#session.current) this.#checked = slot;
  }

  /** Compares these stored records, and writes the difference. `written`: what must be among them. */
  async #apply(session: OpenSession, stored: RegistrationRecord[], written: Registration[]): Promise<void> {
    const { clock, time } = this.#context;
    const { byPinger } = this.#registrations.declared;
    const inSteps = candidatesInSteps(byPinger, stored, written, time.slot);
    const candidates = await new Slices(clock).doAll(inSteps);
    const compare = (): Difference<Registration> => compareAll(byPinger, candidates, time.slot);
    if (compare().missing.length > 0) await this.#checkFresh(session);
    if (session === this.#session.current) this.#registrations.apply(compare());
  }

  /** Rejects if a read of the pings lacks our own latest: what was read before may lack our records for that reason. */
  async #checkFresh({ heartbeat: { ownPing } }: OpenSession): Promise<void> {
    if (ownPing === undefined) return;
    const records = await patiently(this.#context, "read pings", this.#context.namespace.pings(ownPing.slot));
    if (!hasOwn(records, ownPing)) throw notFresh("ping");
  }
}
