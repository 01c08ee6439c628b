/**
 * The roster as one would write it who had all the time and memory of the world: it keeps every record and every bit in
 * plain tables, and whenever it is asked evaluates the rule of `alive.ts`, as it stands there, from scratch.
 */
import type { RegistrationRecord, SessionRecord } from "../../src/core/records.ts";
import type { HolderState } from "../../src/core/holders.ts";
import type { RosterChange } from "../../src/core/roster.ts";

interface Reported {
  /** The registrations that were alive, by session and pinger. */
  readonly pingers: readonly { session: number; pinger: number; record: RegistrationRecord }[];
  readonly holders: readonly HolderState[];
}

export type ModelChange = Omit<RosterChange, "cause"> & { readonly cause: RosterChange["cause"] | "gone" };

const NOBODY: Reported = { pingers: [], holders: [] };

export class Model {
  g = -Infinity;
  readonly #sessions: SessionRecord[] = [];
  #registrations: { record: RegistrationRecord; heard: number }[] = [];
  readonly #bits: { slot: number; seq: number }[] = [];
  readonly #reported = new Map<string, Reported>();
  /** The pingers whose registrations a load has taken away since the last `changes`. */
  readonly #gone = new Set<string>();
  #load = 0;

  session(record: SessionRecord): void {
    this.#sessions.push(record);
  }

  registration(record: RegistrationRecord): void {
    if (!this.#sessions.some(({ seq }) => seq === record.session)) return;
    // What has been heard of an earlier start does not count as hearing of the pinger's registration.
    const starts = this.#of(record.session, record.pinger).map((one) => one.record.start);
    if (record.start >= Math.max(...starts, 0)) this.#registrations.push({ record, heard: this.#load });
  }

  bits(slot: number, seqs: readonly number[]): void {
    for (const seq of seqs) this.#bits.push({ slot, seq });
  }

  evaluate(j: number, oldest: number): void {
    const isEmpty = (slot: number): boolean => slot !== j && !this.#bits.some((bit) => bit.slot === slot);
    const complete: number[] = [];
    for (let slot = oldest; slot < j; slot++) {
      if (!isEmpty(slot - 1) && !isEmpty(slot) && !isEmpty(slot + 1) && slot > oldest) complete.push(slot);
    }
    this.g = Math.max(this.g, complete.at(-1) ?? oldest);
  }

  beginLoad(): number {
    return ++this.#load;
  }

  endLoad(load: number, selected: (key: string) => boolean): void {
    const gone = this.#pingers().filter(({ record, heard }) => heard < load && selected(record.key));
    for (const { record } of gone) {
      this.#gone.add(`${record.session} ${record.pinger}`);
      this.#remove(record);
    }
  }

  drop(selected: (key: string) => boolean): void {
    for (const { record } of this.#pingers()) {
      if (!selected(record.key)) this.#remove(record);
    }
    for (const key of this.#reported.keys()) if (!selected(key)) this.#reported.delete(key);
  }

  holders(key: string): HolderState[] {
    return this.#now(key).holders.slice();
  }

  /** With `cause: "gone"` where a load took a holder away: why it died is then nobody's to say. */
  changes(keys: readonly string[]): ModelChange[] {
    const changes = keys.flatMap((key) => {
      const before = this.#reported.get(key) ?? NOBODY;
      const now = this.#now(key);
      this.#reported.set(key, now);
      const cause = this.#cause(before, now);
      return cause === undefined ? [] : [{ key, cause, before: before.holders, now: now.holders }];
    });
    this.#gone.clear();
    return changes;
  }

  // ---- the rule

  /** 1: the slot in which the registration pinged for the last time. */
  #lastPing(registration: RegistrationRecord): number {
    const session = this.#session(registration.session);
    if (registration.last !== undefined) return registration.last;
    if (session.last !== undefined) return session.last;
    const bits = this.#bits.filter(({ seq }) => seq === registration.session).map(({ slot }) => slot);
    return Math.max(registration.slot, session.slot, ...bits);
  }

  /** 4 */
  #isAlive(registration: RegistrationRecord): boolean {
    const last = this.#lastPing(registration);
    return last !== 0 && last >= this.g;
  }

  // ---- the tables

  /** All that was heard of the session, as one record. */
  #session(seq: number): SessionRecord {
    const heard = this.#sessions.filter((session) => session.seq === seq);
    const lasts = heard.flatMap(({ last }) => (last === undefined ? [] : [last]));
    const [first] = heard;
    if (first === undefined) throw new Error(`session ${seq} is not known`);
    const slot = Math.max(...heard.map((session) => session.slot));
    return { ...first, slot, last: lasts.length === 0 ? undefined : Math.min(...lasts) };
  }

  #of(session: number, pinger: number): { record: RegistrationRecord; heard: number }[] {
    return this.#registrations.filter(({ record }) => record.session === session && record.pinger === pinger);
  }

  /** Of each pinger the latest start, all that was heard of it as one record. */
  #pingers(): { record: RegistrationRecord; heard: number }[] {
    const ids = new Set(this.#registrations.map(({ record }) => `${record.session} ${record.pinger}`));
    return [...ids].map((id) => {
      const [session = 0, pinger = 0] = id.split(" ").map(Number);
      const all = this.#of(session, pinger);
      const start = Math.max(...all.map(({ record }) => record.start));
      const heard = all.filter(({ record }) => record.start === start);
      const records = heard.map(({ record }) => record);
      const lasts = records.flatMap(({ last }) => (last === undefined ? [] : [last]));
      const newest = records.reduce((a, b) => (b.revision > a.revision ? b : a));
      const record = {
        ...(records[0] as RegistrationRecord),
        slot: Math.max(...records.map(({ slot }) => slot)),
        meta: newest.meta,
        revision: newest.revision,
        last: lasts.length === 0 ? undefined : Math.min(...lasts),
      };
      return { record, heard: Math.max(...heard.map((one) => one.heard)) };
    });
  }

  #remove({ session, pinger }: RegistrationRecord): void {
    this.#registrations = this.#registrations.filter(
      ({ record }) => record.session !== session || record.pinger !== pinger,
    );
  }

  #now(key: string): Reported {
    const alive = this.#pingers()
      .map(({ record }) => record)
      .filter((record) => record.key === key && this.#isAlive(record))
      .toSorted((a, b) => a.since - b.since || a.session - b.session || a.pinger - b.pinger);
    const pingers = alive.map((record) => ({ session: record.session, pinger: record.pinger, record }));
    const holders = alive.map(({ session, since, meta }) => {
      const { host, pid } = this.#session(session);
      return { session, host, pid, since, meta };
    });
    return { pingers, holders };
  }

  #cause(before: Reported, now: Reported): ModelChange["cause"] | undefined {
    if (before.holders.length === 0) return now.holders.length === 0 ? undefined : "joined";
    if (now.holders.length > 0)
      return JSON.stringify(before.holders) === JSON.stringify(now.holders) ? undefined : "updated";
    if (before.pingers.some(({ session, pinger }) => this.#gone.has(`${session} ${pinger}`))) return "gone";
    const lasts = before.pingers.map(({ session, pinger, record }) => {
      const latest = this.#pingers().find(
        (one) => one.record.session === session && one.record.pinger === pinger,
      );
      return (latest?.record ?? record).last ?? this.#session(session).last;
    });
    if (lasts.includes(0)) return "killed";
    return lasts.some((last) => last !== undefined) ? "stopped" : "expired";
  }
}
