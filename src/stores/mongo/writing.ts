/**
 * The writes, as update statements. Each is idempotent and may happen late, twice, or between others: a document is
 * created only by its `_id`, and changes only by `$max`, `$min` and a newer revision.
 */
import type { Document } from "mongodb";
import { bitOf, groupBits } from "../../core/bits.ts";
import {
  KILLED,
  type RegistrationId,
  type RegistrationRecord,
  type SessionRecord,
} from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pong, Write } from "../../core/store.ts";
import type { Context } from "./context.ts";
import {
  dateOf,
  hasMail,
  MAIL,
  OPEN,
  pingId,
  registrationConstants,
  registrationId,
  sessionConstants,
  stampOf,
} from "./documents.ts";
import { DUPLICATE_KEY, ServerRefusal, toHeartbitError } from "./failures.ts";
import { reachedMs } from "./time.ts";
import { upsert } from "./upsert.ts";

/**
 * The most statements in one command: so few that a slow server answers in time, and serves others in between. (The
 * server accepts 100,000 and 16 MiB.) More statements in one command are hardly faster.
 */
const STATEMENTS_MAX = 250;
const BYTES_MAX = 8 * 1024 * 1024;
const STATEMENT_BYTES = 512;
/** How many batches may be under way together: while one waits for its majority, the server works on another. */
const TOGETHER_MAX = 4;
const DUPLICATES_MAX = 20;

interface Statement {
  readonly q: Document;
  readonly u: Document;
  readonly upsert?: boolean;
  readonly multi?: boolean;
}

/** Statements that share one kind of order. */
interface Batch {
  readonly ordered: boolean;
  /** Whether it only puts registrations: the order of such batches does not affect the result. */
  puts: boolean;
  readonly statements: Statement[];
  bytes: number;
}

/**
 * Applies the writes in their order, but sessions first, since no registration may be visible without its session. Once
 * the signal is aborted, nothing further is sent.
 */
export async function write(
  context: Context,
  writes: readonly Write[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const batches = new Batches();
  for (const one of writes) if (one.kind === "session") batches.add(false, putSession(one.session));
  for (const one of writes) {
    if (one.kind === "registration")
      batches.add(true, putRegistration(one.registration), sizeOf(one.registration), true);
    else if (one.kind === "meta") batches.add(true, [newer(one.registration, one)], 3 * one.meta.length);
    else if (one.kind === "end")
      batches.add(true, [endWith({ _id: registrationId(one.registration) }, one.last)]);
    else if (one.kind === "touch") batches.add(true, [touch(one.session, one.slot)]);
    else if (one.kind === "endSession") batches.add(true, [endWith({ _id: one.session }, one.last)]);
  }
  for (const some of batches.together()) {
    await Promise.all(some.map((batch) => run(context, "write", context.names.records, batch, signal)));
  }
}

/**
 * Sets the session's bit, and returns its stamp and the session's mail. It also increments a count: two pings may have
 * the same stamp, and a ping that changes nothing would be acknowledged without a majority. Reads are compared by the
 * count as well, since a server's clock may step back, and some servers stamp before they wait for another write.
 */
export async function ping(context: Context, slot: Slot, seq: number): Promise<Pong> {
  const { clock, limits, names } = context;
  const { Int32 } = await context.server();
  const { segment, word, mask } = bitOf(seq);
  const command = {
    findAndModify: names.pings,
    query: { _id: pingId(slot, segment) },
    update: {
      $bit: { [word]: { or: new Int32(mask) } },
      $inc: { count: 1 },
      $currentDate: { now: true },
      $setOnInsert: await pingConstants(context, slot),
    },
    fields: { _id: 0, now: 1, count: 1, [`${MAIL}.${word}`]: 1 },
  };
  const document = await upsert(context.send, "ping", command, limits.pingMs);
  const ms = stampOf(document);
  clock.sample(ms);
  if (clock.mayStamp === false) clock.mayStamp = undefined; // the refusal has passed
  return { ms, revision: Number(document["count"]), hasMail: hasMail(document, word, mask) };
}

/** Sets the mail bits of the sessions, with one statement for each segment. */
export async function mail(context: Context, slot: Slot, seqs: readonly number[]): Promise<void> {
  const { Int32 } = await context.server();
  const constants = await pingConstants(context, slot);
  const statements = Array.from(groupBits(seqs), ([segment, words]): Statement => {
    const bits = Object.fromEntries(
      Array.from(words, ([word, mask]) => [`${MAIL}.${word}`, { or: new Int32(mask) }]),
    );
    return { q: { _id: pingId(slot, segment) }, u: { $bit: bits, $setOnInsert: constants }, upsert: true };
  });
  await run(context, "leave mail", context.names.pings, { ordered: true, statements });
}

/** The fields of a ping document that are set only once. */
async function pingConstants(context: Context, slot: Slot): Promise<Document> {
  const livesMs = 2 * context.retentionSlots * context.periodMs;
  return { slot, expireAt: dateOf((await reachedMs(context)) + livesMs) };
}

/** Ends every registration of the key at once. */
export async function kill(context: Context, key: string): Promise<void> {
  const statements = [{ ...endWith({ key: { $eq: key } }, KILLED), multi: true }];
  await run(context, "kill", context.names.records, { ordered: true, statements });
}

/**
 * Creates the session, or raises its `slot` without renewing its stamp. If the session exists, the first statement
 * fails: the server finds no document without a stamp to update, and the `_id` is taken.
 */
function putSession(session: SessionRecord): Statement[] {
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
function touch(seq: number, slot: Slot): Statement {
  return { q: { _id: seq, slot: { $lt: slot } }, u: { $max: { slot }, $currentDate: { changed: true } } };
}

function putRegistration(registration: RegistrationRecord): Statement[] {
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
function newer(
  registration: RegistrationId,
  { meta, revision }: Pick<RegistrationRecord, "meta" | "revision">,
): Statement {
  return {
    q: { _id: registrationId(registration), revision: { $lt: revision } },
    u: { $set: { meta, revision }, $currentDate: { changed: true } },
  };
}

/** Sets `last` if the stored one is later. A repetition matches nothing, and renews no stamp. */
function endWith(q: Document, last: Slot): Statement {
  return {
    q: { ...q, last: { $gt: last } },
    u: { $min: { last }, $currentDate: { changed: true } },
  };
}

function sizeOf({ key, meta, revision }: RegistrationRecord): number {
  return 3 * (key.length + meta.length * (revision === 0 ? 1 : 2));
}

/** Splits statements into batches, where the kind of order changes or a batch is full. */
class Batches {
  readonly #all: Batch[] = [];

  add(ordered: boolean, statements: readonly Statement[], extraBytes = 0, puts = false): void {
    const bytes = statements.length * STATEMENT_BYTES + extraBytes;
    let batch = this.#all.at(-1);
    if (
      batch === undefined ||
      batch.ordered !== ordered ||
      batch.statements.length + statements.length > STATEMENTS_MAX ||
      batch.bytes + bytes > BYTES_MAX
    ) {
      batch = { ordered, puts, statements: [], bytes: 0 };
      this.#all.push(batch);
    }
    batch.statements.push(...statements);
    batch.bytes += bytes;
    batch.puts &&= puts;
  }

  /** The batches in order; those in one list may be under way together. */
  *together(): IterableIterator<Batch[]> {
    let some: Batch[] = [];
    for (const batch of this.#all) {
      if (some.length > 0 && !(batch.puts && some[0]?.puts === true && some.length < TOGETHER_MAX)) {
        yield some;
        some = [];
      }
      some.push(batch);
    }
    if (some.length > 0) yield some;
  }
}

async function run(
  context: Context,
  doing: string,
  collection: string,
  batch: Pick<Batch, "ordered" | "statements">,
  signal?: AbortSignal,
): Promise<void> {
  const { writeMs } = context.limits; // even for one statement: each waits for a majority
  let { statements } = batch;
  for (let duplicates = 0; statements.length > 0; duplicates++) {
    const command = { update: collection, updates: statements, ordered: batch.ordered };
    const refused = refusalsIn(await context.send(doing, command, writeMs, signal));
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

function refusalsIn(reply: Document): StatementRefusal[] {
  const errors: unknown = reply["writeErrors"];
  if (!Array.isArray(errors)) return [];
  return errors.map((error: Document) => {
    const { index, errmsg }: Document = error;
    return new StatementRefusal(Number(index), Number(error["code"]), String(errmsg));
  });
}
