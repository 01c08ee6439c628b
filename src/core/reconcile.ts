/**
 * Compares what a process declares to hold with what is stored: the plan of the reconciler, as a pure function.
 *
 *   declared    stored                         result
 *   held        the same                       nothing
 *   held        ended                          another process has ended it: `killed`
 *   held        an older meta                  write the meta again: `outdated`
 *   held        nothing, or another key        register it again, as a new start: `missing`
 *   held        an earlier start, open         end that one: `ends`
 *   released    open, or ended later           end it as declared: `ends`
 *   released    killed                         another process has killed it in its planned absence: `killed`
 *   nothing     anything                       nothing: this process has forgotten it
 *
 * A missing record becomes a new start, because another process may have killed it before it was lost. Anyone who saw
 * that end treats the old start as ended for good. A record with another key comes from a process with the same session
 * number: a server that had lost its session gave us the number again. That record is ended.
 */
import { KILLED, type RegistrationId, type RegistrationRecord } from "./records.ts";
import type { Slot } from "./slots.ts";
import { STEP } from "./steps.ts";

/** What a process declares about one pinger: its latest start. */
export interface Declared {
  readonly key: string;
  /** The pinger's number in its session. */
  readonly pinger: number;
  /** Counts the starts of the pinger, including those that were registered again. */
  readonly start: number;
  /** The first start that this one stands for, if it was registered again since. */
  readonly firstStart: number;
  /** Counts the updates of the meta. */
  readonly revision: number;
  /** How it was released; absent while it is held. */
  readonly last?: Slot | undefined;
  /** Whether the store has acknowledged its latest state, with no write of it under way. */
  readonly isWritten: boolean;
}

/** An end that must be written. */
export interface End {
  readonly id: RegistrationId;
  readonly last: Slot;
}

export interface Difference<D extends Declared> {
  readonly killed: D[];
  readonly outdated: D[];
  readonly ends: End[];
  /** Some of them are found only by a whole read. */
  readonly missing: D[];
}

/** Compares what is declared with some stored records of this session. `slot` is the current one. */
export function compare<D extends Declared>(
  declared: ReadonlyMap<number, D>,
  stored: Iterable<RegistrationRecord>,
  slot: Slot,
): Difference<D> {
  const difference = { killed: [] as D[], outdated: [] as D[], ends: [] as End[], missing: [] as D[] };
  const found = new Set<D>();
  for (const record of stored) {
    const own = declared.get(record.pinger);
    if (own === undefined) continue;
    if (own.key !== record.key) {
      if (own.last === undefined && own.isWritten && isSameStart(own, record) && !found.has(own)) {
        found.add(own);
        difference.missing.push(own);
      }
      if (record.last === undefined) difference.ends.push({ id: record, last: slot });
    } else if (isKilled(own, record)) {
      if (found.has(own)) continue;
      found.add(own);
      difference.killed.push(own);
      // It was registered again before this process learned of the kill: the new start would live on.
      if (record.start < own.start)
        difference.ends.push({ id: { ...record, start: own.start }, last: KILLED });
    } else if (own.isWritten) {
      const end = missingEnd(own, record, slot);
      if (end !== undefined) difference.ends.push(end);
      else if (isSameStart(own, record) && own.last === undefined && record.revision < own.revision)
        difference.outdated.push(own);
    }
  }
  return difference;
}

/** What may differ after a read of all records of this session. */
export interface Candidates<D extends Declared> {
  readonly differing: readonly RegistrationRecord[];
  /** Declared, and not read. */
  readonly missing: readonly D[];
}

/** Held registrations that are written: only those written before a read begins can be missing from it. */
export function* writtenInSteps<D extends Declared>(
  declared: ReadonlyMap<number, D>,
): Generator<void, D[], void> {
  const written: D[] = [];
  let count = 0;
  for (const own of declared.values()) {
    if (own.last === undefined && own.isWritten) written.push(own);
    if (++count % STEP === 0) yield;
  }
  return written;
}

/** Goes through everything in steps, so that `compareAll` need only look at a few records, all in one moment. */
export function* candidatesInSteps<D extends Declared>(
  declared: ReadonlyMap<number, D>,
  stored: readonly RegistrationRecord[],
  written: readonly D[],
  slot: Slot,
): Generator<void, Candidates<D>, void> {
  const found = new Set<D>();
  const differing: RegistrationRecord[] = [];
  let count = 0;
  for (const record of stored) {
    const own = declared.get(record.pinger);
    if (own !== undefined && isSameStart(own, record)) found.add(own);
    if (own !== undefined && mayDiffer(own, record, slot)) differing.push(record);
    if (++count % STEP === 0) yield;
  }
  const missing: D[] = [];
  for (const own of written) {
    if (!found.has(own)) missing.push(own);
    if (++count % STEP === 0) yield;
  }
  return { differing, missing };
}

/** The difference as it is now: what is declared may have changed since the read. */
export function compareAll<D extends Declared>(
  declared: ReadonlyMap<number, D>,
  { differing, missing }: Candidates<D>,
  slot: Slot,
): Difference<D> {
  const difference = compare(declared, differing, slot);
  const killed = new Set(difference.killed);
  const isMissing = (own: D): boolean =>
    own.last === undefined && own.isWritten && declared.get(own.pinger) === own && !killed.has(own);
  return { ...difference, missing: [...difference.missing, ...missing.filter(isMissing)] };
}

/** Whether `compare` may find a difference, now or when a write that is under way has ended. */
function mayDiffer(own: Declared, record: RegistrationRecord, slot: Slot): boolean {
  if (own.key !== record.key) return true;
  if (isKilled(own, record)) return true;
  return missingEnd(own, record, slot) !== undefined || record.revision < own.revision;
}

function isSameStart(a: { start: number }, b: { start: number }): boolean {
  return a.start === b.start;
}

/** Whether another process has ended it, or an earlier start that it stands for; for a released one, killed it. */
function isKilled({ start, firstStart, last }: Declared, record: RegistrationRecord): boolean {
  if (last !== undefined) return last !== KILLED && record.last === KILLED && record.start === start;
  if (record.start === start) return record.last !== undefined;
  return record.last === KILLED && record.start >= firstStart && record.start < start;
}

/** The end that a stored record should have and lacks. */
function missingEnd({ start, last }: Declared, record: RegistrationRecord, slot: Slot): End | undefined {
  if (last === undefined ? record.start >= start : record.start > start) return undefined;
  const wanted = last ?? slot;
  return (record.last ?? Infinity) > wanted ? { id: record, last: wanted } : undefined;
}
