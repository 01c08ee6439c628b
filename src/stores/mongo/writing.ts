/**
 * The writes, in batches of update statements (statements.ts). Many new registrations together are inserted instead
 * (inserting.ts).
 */
import type { Document } from "mongodb";
import { bitOf, groupBits } from "../../core/bits.ts";
import { KILLED } from "../../core/records.ts";
import type { Slot } from "../../core/slots.ts";
import type { Pong, Write } from "../../core/store.ts";
import type { Context } from "./context.ts";
import { dateOf, hasMail, MAIL, pingId, registrationId, stampOf } from "./documents.ts";
import { insert, insertable } from "./inserting.ts";
import {
  BYTES_MAX,
  endWith,
  newer,
  putRegistration,
  putSession,
  run,
  sizeOf,
  type Statement,
  STATEMENT_BYTES,
  STATEMENTS_MAX,
  TOGETHER_MAX,
  touch,
} from "./statements.ts";
import { reachedMs } from "./time.ts";
import { upsert } from "./upsert.ts";

/** Statements of one command. */
interface Batch {
  readonly ordered: boolean;
  /** Whether it only puts registrations: the order of such batches does not affect the result. */
  puts: boolean;
  readonly statements: Statement[];
  bytes: number;
}

/**
 * Applies the writes in their order, but sessions first, since no registration may be visible without its session, and
 * then what is inserted. Once the signal is aborted, nothing further is sent.
 */
export async function write(
  context: Context,
  writes: readonly Write[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const sessions = new Batches(false);
  for (const one of writes) if (one.kind === "session") sessions.add(putSession(one.session));
  await sessions.run(context, signal);
  const inserted = insertable(context, writes);
  await insert(context, inserted, signal);
  const others = new Batches(true);
  for (const one of writes) {
    if (one.kind === "registration") {
      const { registration } = one;
      if (!inserted.has(registration)) others.add(putRegistration(registration), sizeOf(registration), true);
    } else if (one.kind === "meta") others.add([newer(one.registration, one)], 3 * one.meta.length);
    else if (one.kind === "end") others.add([endWith({ _id: registrationId(one.registration) }, one.last)]);
    else if (one.kind === "touch") others.add([touch(one.session, one.slot)]);
    else if (one.kind === "endSession") others.add([endWith({ _id: one.session }, one.last)]);
  }
  await others.run(context, signal);
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

/** Splits statements into batches, as many as fit into one command. */
class Batches {
  readonly #ordered: boolean;
  readonly #all: Batch[] = [];

  /** `ordered`: the server stops at the first statement that fails. */
  constructor(ordered: boolean) {
    this.#ordered = ordered;
  }

  async run(context: Context, signal: AbortSignal | undefined): Promise<void> {
    const take = (most: number): Promise<void>[] =>
      this.#take(most).map((batch) => run(context, "write", context.names.records, batch, signal));
    while (this.#all.length > 0) await context.monitor.together(TOGETHER_MAX, take);
  }

  add(statements: readonly Statement[], extraBytes = 0, puts = false): void {
    const bytes = statements.length * STATEMENT_BYTES + extraBytes;
    let batch = this.#all.at(-1);
    if (
      batch === undefined ||
      batch.statements.length + statements.length > STATEMENTS_MAX ||
      batch.bytes + bytes > BYTES_MAX
    ) {
      batch = { ordered: this.#ordered, puts, statements: [], bytes: 0 };
      this.#all.push(batch);
    }
    batch.statements.push(...statements);
    batch.bytes += bytes;
    batch.puts &&= puts;
  }

  /** Takes the next batch; if it only puts, with those after it that do, up to `most` together. */
  #take(most: number): Batch[] {
    let count = 1;
    while (count < most && this.#all[0]?.puts === true && this.#all[count]?.puts === true) count++;
    return this.#all.splice(0, count);
  }
}
