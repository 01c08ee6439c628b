/** Deleting what is dead for longer than the retention: found by looking through it, deleted where it still is so. */
import {
  type RegistrationId,
  type RegistrationRecord,
  pruned,
  type SessionRecord,
} from "../../core/records.ts";
import type { Pruned, PruneQuery } from "../../core/store.ts";
import { change, type Draft, readSession, recordOf } from "./draft.ts";
import type { Entry, Environment } from "./environment.ts";
import { behind, type KeyRange, type Keys } from "./keys.ts";

const LOOK_ENTRIES = 500;
const DELETE_RECORDS = 250;
const DELETE_PINGS = 5000;

interface Old {
  readonly slot: number;
  readonly changed?: number;
}

export async function prune(
  environment: Environment,
  name: string,
  keys: Keys,
  { beforeSlot, beforeMs, limit }: PruneQuery,
): Promise<Pruned> {
  environment.freeDeadReaders();
  const isOld = ({ slot, changed = 0 }: Old): boolean => slot < beforeSlot && changed <= beforeMs;
  const isOver = (session: SessionRecord): boolean =>
    isOld(session) && (session.last === undefined || session.last < beforeSlot);
  const isDead = (registration: RegistrationRecord, session: SessionRecord | undefined): boolean =>
    isOld(registration) &&
    (registration.last === undefined
      ? session === undefined || isOver(session)
      : registration.last < beforeSlot);

  const slots = await prunePings(environment, keys, beforeSlot, limit);
  await change(environment, name, keys, (draft) => {
    const { config } = draft.head;
    const after = config && pruned(config, beforeSlot);
    if (after !== undefined && after !== config) draft.setHead({ config: after });
  });

  const deadRegistrations = await look(
    environment,
    keys.registrations,
    limit,
    ({ value }): RegistrationId | undefined => {
      const registration = recordOf(value) as RegistrationRecord;
      return isDead(registration, readSession(environment, keys, registration.session))
        ? registration
        : undefined;
    },
  );
  const registrations = await deleteWhere(environment, name, keys, deadRegistrations, (id, draft) => {
    const registration = draft.registration(id);
    if (registration === undefined || !isDead(registration, draft.session(id.session))) return false;
    draft.removeRegistration(registration);
    return true;
  });

  const holdsNothing = (seq: number): boolean => environment.keys(keys.registrationsOf(seq), 1).length === 0;
  const overSessions = await look(environment, keys.sessions, limit, ({ value }) => {
    const session = recordOf(value) as SessionRecord;
    return isOver(session) && holdsNothing(session.seq) ? session.seq : undefined;
  });
  const sessions = await deleteWhere(environment, name, keys, overSessions, (seq, draft) => {
    const session = draft.session(seq);
    if (session === undefined || !isOver(session) || !holdsNothing(seq)) return false;
    draft.removeSession(seq);
    return true;
  });

  return { sessions, registrations, slots };
}

/** Looks through a range, some entries at a time, for at most `limit` of what `find` finds. */
async function look<T>(
  environment: Environment,
  range: KeyRange,
  limit: number,
  find: (entry: Entry) => T | undefined,
): Promise<T[]> {
  const found: T[] = [];
  let rest: KeyRange | undefined = range;
  while (rest !== undefined && found.length < limit) {
    const part: KeyRange = rest;
    const last = environment.view(() => {
      const entries = environment.range(part, LOOK_ENTRIES);
      for (const entry of entries) {
        const one = find(entry);
        if (one !== undefined && found.length < limit) found.push(one);
      }
      return entries.length === LOOK_ENTRIES ? entries.at(-1)?.key : undefined;
    });
    rest = last && behind(part, last);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

/** Lets `remove` delete what still is to be deleted; how many it did. */
async function deleteWhere<T>(
  environment: Environment,
  name: string,
  keys: Keys,
  found: readonly T[],
  remove: (one: T, draft: Draft) => boolean,
): Promise<number> {
  let deleted = 0;
  for (let first = 0; first < found.length; first += DELETE_RECORDS) {
    const some = found.slice(first, first + DELETE_RECORDS);
    deleted += await change(
      environment,
      name,
      keys,
      (draft) => some.filter((one) => remove(one, draft)).length,
    );
  }
  return deleted;
}

/** Deletes pings of slots before `beforeSlot`, at most `limit` slots; how many slots. */
async function prunePings(
  environment: Environment,
  keys: Keys,
  beforeSlot: number,
  limit: number,
): Promise<number> {
  const slots = new Set<number>();
  const old = environment.view(() => environment.keys(keys.pingsBefore(beforeSlot), DELETE_PINGS));
  const dead = old.filter((key) => {
    const { slot } = keys.pingOf(key);
    if (slots.size < limit) slots.add(slot);
    return slots.has(slot);
  });
  await environment.remove(dead);
  return slots.size;
}
