/**
 * The update statements, and how they are run. Each is idempotent and may happen late, twice, or between others: a
 * document is created only by its `_id`, and changes only by `$max`, `$min` and a newer revision.
 */
import type { Document } from "mongodb";
import type { RegistrationId, RegistrationRecord, SessionRecord } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Context } from "./context.ts";
import { OPEN, registrationConstants, registrationId, sessionConstants } from "./documents.ts";
import { DUPLICATE_KEY, ServerRefusal, toHeartbitError } from "./failures.ts";

/**
 * The most statements in one command: so few that a slow server answers in time, and serves others in between. (The
 * server accepts 100,000 and 16 MiB.) More statements in one command are hardly faster.
 */
export const STATEMENTS_MAX = 250;
export const BYTES_MAX = 8 * 1024 * 1024;
export const STATEMENT_BYTES = 512;
/**
 * How many batches may be under way together, if there are connections: while one waits for its majority, the server
 * works on another.
 */
export const TOGETHER_MAX = 4;
const DUPLICATES_MAX = 20;

export interface Statement {
  readonly q: Document;
  readonly u: Document;
  readonly upsert?: boolean;
  readonly multi?: boolean;
}

/**
 * Creates the session, or raises its `slot` without renewing its stamp. If the session exists, the first statement
 * fails: the server finds no document without a stamp to update, and the `_id` is taken.
 */
export function putSession(session: SessionRecord): Statement[] {
  const { seq, slot, last } = session;
  const constants = { ...sessionConstants(session), slot, last: last ?? OPEN };
  return [
    {
      q: { _id: seq, changed: { $exists: false } },
      u: { $setOnInsert: constants, $currentDate: { changed: true } },
      upsert: true,
    },
    { q: { _id: seq }, u: { $max: { slot } } },
    ...(last === undefined ? [] : [endWith({ _id: seq }, last)]),
  ];
}

/** Raises an earlier slot. A repetition matches nothing, and renews no stamp. */
export function touch(seq: number, slot: Slot): Statement {
  return { q: { _id: seq, slot: { $lt: slot } }, u: { $max: { slot }, $currentDate: { changed: true } } };
}

export function putRegistration(registration: RegistrationRecord): Statement[] {
  const { slot, meta, revision, last } = registration;
  const constants = { ...registrationConstants(registration), meta, revision };
  const put: Statement = {
    q: { _id: registrationId(registration) },
    u: {
      $setOnInsert: constants,
      $max: { slot },
      $min: { last: last ?? OPEN }, // sets a field that is missing
      $currentDate: { changed: true },
    },
    upsert: true,
  };
  return revision === 0 ? [put] : [put, newer(registration, registration)];
}

/** Replaces an older meta. A repetition matches nothing. */
export function newer(
  registration: RegistrationId,
  { meta, revision }: Pick<RegistrationRecord, "meta" | "revision">,
): Statement {
  return {
    q: { _id: registrationId(registration), revision: { $lt: revision } },
    u: { $set: { meta, revision }, $currentDate: { changed: true } },
  };
}

/** Sets `last` if the stored one is later. A repetition matches nothing, and renews no stamp. */
export function endWith(q: Document, last: Slot): Statement {
  return {
    q: { ...q, last: { $gt: last } },
    u: { $min: { last }, $currentDate: { changed: true } },
  };
}

export function sizeOf({ key, meta, revision }: RegistrationRecord): number {
  return 3 * (key.length + meta.length * (revision === 0 ? 1 : 2));
}

/** Runs update statements in one command, and again those that lost a race. */
export async function run(
  context: Context,
  doing: string,
  collection: string,
  batch: { readonly ordered: boolean; readonly statements: readonly Statement[] },
  signal?: AbortSignal,
): Promise<void> {
  let { statements } = batch;
  for (let duplicates = 0; statements.length > 0; duplicates++) {
    const command = { update: collection, updates: statements, ordered: batch.ordered };
    const refused = await refusalsOf(context, doing, command, signal);
    const refusal = refused.find(({ code }) => code !== DUPLICATE_KEY);
    if (refusal !== undefined || duplicates === DUPLICATES_MAX) {
      throw toHeartbitError(refusal ?? refused[0], doing);
    }
    const first = refused[0];
    // Unordered batches have only sessions, and a duplicate is a session that already exists.
    if (first === undefined || !batch.ordered) return;
    // Otherwise an upsert lost the race against another one of the same `_id`; repeated, it finds the document.
    statements = statements.slice(first.index);
  }
}

class StatementRefusal extends ServerRefusal {
  readonly index: number;

  constructor(index: number, code: number, message: string) {
    super(code, message);
    this.index = index;
  }
}

/** Sends a command that writes. Returns which of its parts were refused. */
export async function refusalsOf(
  context: Context,
  doing: string,
  command: Document,
  signal: AbortSignal | undefined,
): Promise<StatementRefusal[]> {
  // So long even for one part: each waits for a majority.
  return refusalsIn(await context.send(doing, command, context.limits.writeMs, signal));
}

function refusalsIn(reply: Document): StatementRefusal[] {
  const errors: unknown = reply["writeErrors"];
  if (!Array.isArray(errors)) return [];
  return errors.map((error: Document) => {
    const { index, errmsg }: Document = error;
    return new StatementRefusal(Number(index), Number(error["code"]), String(errmsg));
  });
}
