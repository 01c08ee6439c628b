/** The merge rules of `core/records.ts` as SQL: each write is one statement, which changes no row needlessly. */
import {
  KILLED,
  type RegistrationId,
  type RegistrationRecord,
  type SessionRecord,
} from "../../core/records.ts";
import type { Write } from "../../core/store.ts";
import { escaped, type Head, SESSION_PINGER, SESSION_START } from "./schema.ts";
import type { Sql } from "./sql.ts";

const ID = "ns = ? AND session = ? AND pinger = ? AND start = ?";

const PUT_SESSION = `
  INSERT INTO records (ns, session, pinger, start, host, pid, since, slot, last, changed, change)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;
const RAISE = `UPDATE records SET slot = ? WHERE ${ID} AND slot < ?`;
const TOUCH = `UPDATE records SET slot = ?, changed = ?, change = ? WHERE ${ID} AND slot < ?`;
const PUT_REGISTRATION = `
  INSERT INTO records (ns, session, pinger, start, key, since, slot, meta, revision, last, changed, change)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET
    slot = max(slot, excluded.slot),
    meta = iif(excluded.revision > revision, excluded.meta, meta),
    revision = max(revision, excluded.revision),
    last = iif(last IS NULL OR excluded.last < last, excluded.last, last),
    changed = excluded.changed,
    change = excluded.change
  WHERE excluded.slot > slot OR excluded.revision > revision OR excluded.last < ifnull(last, 9e15)`;
const UPDATE_META = `
  UPDATE records SET meta = ?, revision = ?, changed = ?, change = ? WHERE ${ID} AND revision < ?`;
const END = `UPDATE records SET last = ?, changed = ?, change = ? WHERE ${ID} AND (last IS NULL OR last > ?)`;
const KILL = `
  UPDATE records SET last = ${KILLED}, changed = ?, change = ? WHERE ns = ? AND key = ? AND last IS NOT ${KILLED}`;

/**
 * One change of a namespace, made of writes. Everything that it changes gets the same number in the order of changes.
 */
export class Change {
  readonly #sql: Sql;
  readonly #ns: number;
  readonly #number: number;
  readonly #now: number;
  #hasChanged = false;

  /** `now`: the store's time, which stamps everything that changes. */
  constructor(sql: Sql, { id, change }: Head, now: number) {
    this.#sql = sql;
    this.#ns = id;
    this.#number = change + 1;
    this.#now = now;
  }

  apply(write: Write): void {
    if (write.kind === "session") this.#putSession(write.session);
    else if (write.kind === "touch") this.#touch(write.session, write.slot);
    else if (write.kind === "endSession") this.#end(sessionId(write.session), write.last);
    else if (write.kind === "registration") this.#putRegistration(write.registration);
    else if (write.kind === "end") this.#end(idOf(write.registration), write.last);
    else this.#updateMeta(write.registration, write.meta, write.revision);
  }

  /** Ends every registration of the key at once. */
  kill(key: string): void {
    this.#note(this.#sql.run(KILL, this.#now, this.#number, this.#ns, escaped(key)));
  }

  /** Gives the change its number, if anything has changed. */
  end(): void {
    if (this.#hasChanged)
      this.#sql.run("UPDATE namespaces SET change = ? WHERE id = ?", this.#number, this.#ns);
  }

  #putSession({ seq, host, pid, opened, slot, last }: SessionRecord): void {
    const values = [escaped(host), pid, opened, slot, last, this.#now, this.#number];
    const isNew = this.#sql.run(PUT_SESSION, this.#ns, ...sessionId(seq), ...values) > 0;
    if (isNew) this.#hasChanged = true;
    else this.#raise(seq, slot);
  }

  /** Reports that it is back. */
  #touch(seq: number, slot: number): void {
    const values = [slot, this.#now, this.#number, this.#ns, ...sessionId(seq), slot];
    this.#note(this.#sql.run(TOUCH, ...values));
  }

  /** Proof of life, which is not reported as a change. */
  #raise(seq: number, slot: number): void {
    this.#sql.run(RAISE, slot, this.#ns, ...sessionId(seq), slot);
  }

  #putRegistration(registration: RegistrationRecord): void {
    const { key, since, slot, meta, revision, last } = registration;
    const values = [escaped(key), since, slot, meta, revision, last, this.#now, this.#number];
    this.#note(this.#sql.run(PUT_REGISTRATION, this.#ns, ...idOf(registration), ...values));
  }

  #updateMeta(id: RegistrationId, meta: string, revision: number): void {
    const values = [meta, revision, this.#now, this.#number, this.#ns, ...idOf(id), revision];
    this.#note(this.#sql.run(UPDATE_META, ...values));
  }

  #end(id: readonly number[], last: number): void {
    this.#note(this.#sql.run(END, last, this.#now, this.#number, this.#ns, ...id, last));
  }

  #note(changedRows: number): void {
    if (changedRows > 0) this.#hasChanged = true;
  }
}

function idOf({ session, pinger, start }: RegistrationId): readonly [number, number, number] {
  return [session, pinger, start];
}

function sessionId(seq: number): readonly [number, number, number] {
  return [seq, SESSION_PINGER, SESSION_START];
}
