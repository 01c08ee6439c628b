/**
 * A change of a namespace, made without holding a lock: it is drafted on a view of the file, and committed on the
 * condition that the namespace has not been changed since; else it is drafted anew. Every change of anything but pings
 * renews the version of the namespace's head, and is committed on the condition that this version is the one that was
 * read. So one of those that compete always succeeds, and what was read still holds when it is written.
 */
import { randomBytes, randomInt } from "node:crypto";
import {
  type RegistrationId,
  type RegistrationRecord,
  type Config,
  earlierLast,
  mergeRegistrations,
  type SessionRecord,
} from "../../core/records.ts";
import type { Environment } from "./environment.ts";
import { changedBytes, type Keys } from "./keys.ts";

/** What is kept once a namespace. */
export interface Head {
  /** Names this life of the namespace: another one begins after a drop. */
  readonly life: string;
  readonly config?: Config;
  /** The latest session number. */
  readonly seq: number;
  /** Counts the changes: the latest has this number. */
  readonly revision: number;
}

/** A record, and the number of its latest change: where it stands in the index of changes. */
interface Kept<T> {
  readonly revision: number;
  readonly record: T;
}

function parse(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString());
}

function serialize(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function readHead(environment: Environment, keys: Keys): Head | undefined {
  const bytes = environment.get(keys.head);
  return bytes && (parse(bytes) as Head);
}

export function readSession(environment: Environment, keys: Keys, seq: number): SessionRecord | undefined {
  const bytes = environment.get(keys.session(seq));
  return bytes && (recordOf(bytes) as SessionRecord);
}

export function readRegistration(
  environment: Environment,
  keys: Keys,
  id: RegistrationId,
): RegistrationRecord | undefined {
  const bytes = environment.get(keys.registration(id));
  return bytes && (recordOf(bytes) as RegistrationRecord);
}

/** The session or registration that is stored so. */
export function recordOf(bytes: Buffer): unknown {
  return (parse(bytes) as Kept<unknown>).record;
}

/** Drafts with `work` and commits, again and again until nobody came between. `work` must not wait for anything. */
export function change<T>(
  environment: Environment,
  name: string,
  keys: Keys,
  work: (draft: Draft) => T,
): Promise<T> {
  return environment.queue(name, async () => {
    for (;;) {
      const { draft, result } = environment.view(() => {
        const begun = new Draft(environment, keys);
        return { draft: begun, result: work(begun) };
      });
      if (await draft.commit()) return result;
    }
  });
}

export class Draft {
  readonly #environment: Environment;
  readonly #keys: Keys;
  readonly #version: number | undefined;
  readonly #changes = new Map<string, { key: Buffer; value: Buffer | undefined }>();
  #head: Head;
  #isChanged = false;
  #endsAll = false;

  constructor(environment: Environment, keys: Keys) {
    this.#environment = environment;
    this.#keys = keys;
    const entry = environment.entry(keys.head);
    this.#version = entry?.version;
    this.#head = entry
      ? (parse(entry.value) as Head)
      : { life: randomBytes(8).toString("hex"), seq: 0, revision: 0 };
  }

  get head(): Head {
    return this.#head;
  }

  setHead(head: Partial<Head>): void {
    this.#head = { ...this.#head, ...head };
    this.#isChanged = true;
  }

  session(seq: number): SessionRecord | undefined {
    return this.#kept<SessionRecord>(this.#keys.session(seq))?.record;
  }

  registration(id: RegistrationId): RegistrationRecord | undefined {
    return this.#kept<RegistrationRecord>(this.#keys.registration(id))?.record;
  }

  putSession(session: SessionRecord, now: number): void {
    if (this.session(session.seq) === undefined) this.#stampSession({ ...session, changed: now });
    else this.raiseSession(session.seq, session.slot);
  }

  /** It is no change that anybody is told of. */
  raiseSession(seq: number, slot: number): void {
    const key = this.#keys.session(seq);
    const known = this.#kept<SessionRecord>(key);
    if (known === undefined || known.record.slot >= slot) return;
    this.#set(key, serialize({ ...known, record: { ...known.record, slot } }));
  }

  endSession(seq: number, last: number, now: number): void {
    const known = this.session(seq);
    if (known === undefined || earlierLast(known.last, last) === known.last) return;
    this.#stampSession({ ...known, last, changed: now });
  }

  putRegistration(registration: RegistrationRecord, now: number): void {
    const known = this.registration(registration);
    const merged = known === undefined ? registration : mergeRegistrations(known, registration);
    if (known === undefined) this.#set(this.#keys.byKey(registration.key, registration), Buffer.alloc(0));
    else if (merged.slot === known.slot && merged.revision === known.revision && merged.last === known.last)
      return;
    this.#stampRegistration({ ...merged, changed: now });
  }

  updateRegistration(
    id: RegistrationId,
    { meta, revision }: Pick<RegistrationRecord, "meta" | "revision">,
    now: number,
  ): void {
    const known = this.registration(id);
    if (known !== undefined) this.putRegistration({ ...known, meta, revision }, now);
  }

  endRegistration(id: RegistrationId, last: number, now: number): void {
    const known = this.registration(id);
    if (known === undefined || earlierLast(known.last, last) === known.last) return;
    this.#stampRegistration({ ...known, last, changed: now });
  }

  removeSession(seq: number): void {
    const key = this.#keys.session(seq);
    this.#forgetChange(this.#kept<SessionRecord>(key));
    this.#set(key, undefined);
  }

  removeRegistration(registration: RegistrationRecord): void {
    const key = this.#keys.registration(registration);
    this.#forgetChange(this.#kept<RegistrationRecord>(key));
    this.#set(key, undefined);
    this.#set(this.#keys.byKey(registration.key, registration), undefined);
  }

  /** Removes the entries of these keys; `last` says that with them the whole namespace is gone. */
  removeAll(keys: readonly Buffer[], last: boolean): void {
    for (const key of keys) this.#set(key, undefined);
    this.#endsAll = last;
  }

  /** Whether it was committed: it is not when the namespace was changed meanwhile. */
  async commit(): Promise<boolean> {
    if (!this.#isChanged && this.#changes.size === 0) return true;
    const guard = { key: this.#keys.head, version: this.#version };
    // The versions of another life of the namespace begin elsewhere, so that they are not mistaken for this one's.
    const version = this.#version === undefined ? randomInt(2 ** 47) : this.#version + 1;
    const next = this.#endsAll ? undefined : { value: serialize(this.#head), version };
    return this.#environment.commit(guard, next, this.#changes.values());
  }

  #stampSession(record: SessionRecord): void {
    this.#stamp(this.#keys.session(record.seq), record, changedBytes({ session: record.seq }));
  }

  #stampRegistration(record: RegistrationRecord): void {
    this.#stamp(this.#keys.registration(record), record, changedBytes({ registration: record }));
  }

  /** Keeps the record as the latest change. */
  #stamp(key: Buffer, record: SessionRecord | RegistrationRecord, changed: Buffer): void {
    this.#forgetChange(this.#kept(key));
    const revision = this.#head.revision + 1;
    this.setHead({ revision });
    this.#set(this.#keys.change(revision), changed);
    this.#set(key, serialize({ revision, record }));
  }

  #forgetChange(kept: Kept<unknown> | undefined): void {
    if (kept !== undefined) this.#set(this.#keys.change(kept.revision), undefined);
  }

  #kept<T>(key: Buffer): Kept<T> | undefined {
    const drafted = this.#changes.get(key.toString("latin1"));
    const bytes = drafted === undefined ? this.#environment.get(key) : drafted.value;
    return bytes && (parse(bytes) as Kept<T>);
  }

  #set(key: Buffer, value: Buffer | undefined): void {
    this.#changes.set(key.toString("latin1"), { key, value });
  }
}
