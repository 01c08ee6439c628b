/** The holders of a key: what the roster keeps of each, and how they are reported, oldest first. */
import type { RegistrationRecord, SessionRecord } from "./records.ts";
import type { Slot } from "./slots.ts";

/** @internal A holder of a key, as it is reported. */
export interface HolderState {
  readonly session: number;
  readonly host: string;
  readonly pid: number;
  /** The store's time in ms. */
  readonly since: number;
  /** JSON text. */
  readonly meta: string;
}

/**
 * @internal From this many on, unchanged holders are reported as the same objects: a join makes one object, not all.
 */
export const MANY_HOLDERS = 32;

/** A session as the roster knows it. */
export interface KnownSession {
  record: SessionRecord;
  /** The latest start of each of its pingers: an earlier start is ended by a later one. */
  readonly registrations: Map<number, KnownRegistration>;
  /** The load in which it was last read. */
  readIn: number;
  /** Of a previous owner of its number: the latest slot with a bit of its own. */
  lastBit?: Slot;
}

/** A registration as the roster knows it. Immutable: a newer version replaces it. */
export interface KnownRegistration {
  readonly record: RegistrationRecord;
  readonly session: KnownSession;
  /** The load in which it was last read. */
  readIn: number;
  /** As it is reported, for a key with many: see `holdersOf`. */
  holder: HolderState | undefined;
}

/** Oldest first. Nearly every key has one registration: a list for each would take a sixth of all memory. */
export type OneOrMany = KnownRegistration | KnownRegistration[];

export const NO_REGISTRATIONS: OneOrMany = [];

export function listOf(registrations: OneOrMany): KnownRegistration[] {
  return Array.isArray(registrations) ? registrations : [registrations];
}

/** @internal Whether two lists of holders are reported alike. */
export function sameHolders(a: readonly HolderState[], b: readonly HolderState[]): boolean {
  return (
    a.length === b.length &&
    a.every((holder, index) => {
      const other = b[index];
      if (holder === other) return true;
      return holder.session === other?.session && holder.since === other.since && holder.meta === other.meta;
    })
  );
}

/** Most registrations are appended: sorting a list of thousands again for each would take too long. */
export function insertBySeniority(registrations: KnownRegistration[], registration: KnownRegistration): void {
  let at = registrations.length;
  for (let other = registrations[at - 1]; other !== undefined && bySeniority(other, registration) > 0;) {
    at--;
    other = registrations[at - 1];
  }
  registrations.splice(at, 0, registration);
}

export function bySeniority({ record: a }: KnownRegistration, { record: b }: KnownRegistration): number {
  return a.since - b.since || a.session - b.session || a.pinger - b.pinger;
}

/** A key with many holders keeps the objects: making thousands for each join would take too long. */
export function holdersOf(registrations: OneOrMany): HolderState[] {
  const list = listOf(registrations);
  if (list.length < MANY_HOLDERS) return list.map(holderOf);
  return list.map((registration) => (registration.holder ??= holderOf(registration)));
}

function holderOf({ record, session }: KnownRegistration): HolderState {
  const { host, pid } = session.record;
  return { session: record.session, host, pid, since: record.since, meta: record.meta };
}
