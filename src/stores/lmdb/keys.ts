/**
 * The keys of the LMDB file, made so that their order in bytes is the order in which they are read:
 *
 *   <namespace> h                           the head: config, counters
 *   <namespace> s <seq>                     a session
 *   <namespace> b <session pinger start>    a registration
 *   <namespace> k <key> <session pinger start>   finds the registrations of a key, of a prefix
 *   <namespace> r <revision>                finds what has changed, in order: a session or a registration
 *   <namespace> p <slot> <seq>              a ping
 *
 * Numbers are eight bytes, big end first. A key of the user's may have any bytes, so it is told apart from what
 * follows it by its length: the eight-byte numbers behind it are always 24 bytes.
 */
import type { RegistrationId } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";

const NUMBER_BYTES = 8;
const ID_BYTES = 3 * NUMBER_BYTES;
/** LMDB takes keys of 1,978 bytes; a user's key is 1,024 at most. */
export const NAME_BYTES_MAX = 800;

/** From `start` on, to the last key before `end`. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** What an entry of the index of changes names. */
export type Changed = { readonly session: number } | { readonly registration: RegistrationId };

export class Keys {
  readonly #prefix: Buffer;

  constructor(name: string) {
    const bytes = Buffer.from(name);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    this.#prefix = Buffer.concat([length, bytes]);
  }

  /** Of two namespaces neither's keys lie among the other's, because the length of the name comes first. */
  get everything(): KeyRange {
    return startingWith(this.#prefix);
  }

  get head(): Buffer {
    return this.#key("h");
  }

  session(seq: number): Buffer {
    return this.#key("s", number(seq));
  }

  get sessions(): KeyRange {
    return startingWith(this.#key("s"));
  }

  registration(id: RegistrationId): Buffer {
    return this.#key("b", idBytes(id));
  }

  get registrations(): KeyRange {
    return startingWith(this.#key("b"));
  }

  registrationsOf(session: number): KeyRange {
    return startingWith(this.#key("b", number(session)));
  }

  byKey(key: string, id: RegistrationId): Buffer {
    return this.#key("k", Buffer.from(key), idBytes(id));
  }

  /** Where the registrations of the key are found, and those of other keys of another length in bytes, shorter or longer ones. */
  ofKey(key: string): KeyRange {
    // A number begins with a zero byte, because it is a safe integer.
    return startingWith(this.#key("k", Buffer.from(key), Buffer.alloc(1)));
  }

  /** Where the registrations of keys with the prefix are found, and those of some keys shorter than the prefix. */
  ofPrefix(prefix: string): KeyRange {
    return startingWith(this.#key("k", Buffer.from(prefix)));
  }

  /** The registration that an entry of `ofKey(key)` or `ofPrefix(prefix)` names; how many bytes its key has. */
  found(entry: Buffer): { readonly id: RegistrationId; readonly keyBytes: number } {
    const idAtByte = entry.length - ID_BYTES;
    return { id: idAt(entry, idAtByte), keyBytes: idAtByte - this.#prefix.length - 1 };
  }

  change(revision: number): Buffer {
    return this.#key("r", number(revision));
  }

  /** The changes behind revision `since`, up to `last`. */
  changes(since: number, last: number): KeyRange {
    return { start: this.change(since + 1), end: this.change(last + 1) };
  }

  ping(slot: Slot, seq: number): Buffer {
    return this.#key("p", number(slot), number(seq));
  }

  pingsFrom(slot: Slot): KeyRange {
    return { start: this.#pingsStart(slot), end: startingWith(this.#key("p")).end };
  }

  pingsBefore(slot: Slot): KeyRange {
    return { start: this.#key("p"), end: this.#pingsStart(slot) };
  }

  /** The slot and the session that the key of a ping names. */
  pingOf(key: Buffer): { slot: Slot; seq: number } {
    const at = this.#prefix.length + 1;
    return { slot: numberAt(key, at), seq: numberAt(key, at + NUMBER_BYTES) };
  }

  /** Before the pings of the slot. What is asked may lie before the first slot, or behind the last. */
  #pingsStart(slot: Slot): Buffer {
    return this.#key("p", number(Math.min(Math.max(0, slot), Number.MAX_SAFE_INTEGER)));
  }

  #key(table: string, ...parts: Buffer[]): Buffer {
    return Buffer.concat([this.#prefix, Buffer.from(table), ...parts]);
  }
}

/** What an entry of the index of changes holds. */
export function changedBytes(changed: Changed): Buffer {
  return "registration" in changed ? idBytes(changed.registration) : number(changed.session);
}

export function changedOf(bytes: Buffer): Changed {
  return bytes.length === ID_BYTES ? { registration: idAt(bytes, 0) } : { session: numberAt(bytes, 0) };
}

/** The range behind `key`: what is left of a range once `key` has been read. */
export function behind(range: KeyRange, key: Buffer): KeyRange {
  return { start: Buffer.concat([key, Buffer.alloc(1)]), end: range.end };
}

function startingWith(start: Buffer): KeyRange {
  const end = Buffer.from(start);
  let at = end.length - 1;
  // The name's length or the table's letter comes before any run of 255, so there always is a byte to raise.
  while (end[at] === 255) at--;
  end[at] = (end[at] ?? 0) + 1;
  return { start, end: end.subarray(0, at + 1) };
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(NUMBER_BYTES);
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), 0);
  bytes.writeUInt32BE(value % 2 ** 32, 4);
  return bytes;
}

function numberAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

function idBytes({ session, pinger, start }: RegistrationId): Buffer {
  return Buffer.concat([number(session), number(pinger), number(start)]);
}

function idAt(bytes: Buffer, at: number): RegistrationId {
  return {
    session: numberAt(bytes, at),
    pinger: numberAt(bytes, at + NUMBER_BYTES),
    start: numberAt(bytes, at + 2 * NUMBER_BYTES),
  };
}
