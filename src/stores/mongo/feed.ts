/**
 * The feed: one change stream, over the sessions and registrations.
 *
 * The stream is on this collection, not on the database: it needs a right to this collection only, and the server skips
 * the pings, which are most of the writes, by their namespace.
 *
 * An insert brings its document. An update brings only the fields that it changed, and the key is never one of them. So
 * the feed reads updated documents itself: all that arrive together with one `find`, which also selects the keys. The
 * server's own lookup (`fullDocument: "updateLookup"`) would be one read for each update and each stream, before any
 * filter by key. A gateway that closes with 100,000 keys would cost 100,000 reads for each process that watches.
 *
 * The driver resumes a stream by itself after what its specification calls a resumable error (a lost connection,
 * another primary), with the token of the last batch, even an empty one, so no change is missed. It does so at once,
 * for as long as a stream can be opened, so a server that loses each cursor ends the feed here. Any other error ends
 * it, too: a lost history, a dropped collection, a missing right. The presence then reads again and opens another feed,
 * later and later if it has to, so no token is kept here.
 */
import type { ChangeStream, Document, MongoClient } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import { EVERYTHING, type Selection } from "../../core/selection.ts";
import type { Feed, FeedSink } from "../../core/store.ts";
import { handled, quietly } from "../../lib/handled.ts";
import { turn } from "../../lib/turn.ts";
import { PLAIN } from "./calls.ts";
import type { Context } from "./context.ts";
import { toHeartbitError } from "./failures.ts";
import { find } from "./find.ts";
import { recordsIn, REGISTRATION_IDS, SESSION_IDS, startsWith, withSessions } from "./reading.ts";

/** How long the server waits for a change before it answers with none, in ms: the cost of an idle stream. */
const AWAIT_MS = 20_000;
/** A selection with longer names than this is not sent to the server, which then reports all registrations. */
const SELECTION_LENGTH_MAX = 100_000;
/** How many reported sessions a feed remembers. Above this it forgets them, and reports some again. */
const REPORTED_MAX = 100_000;

const BATCH_MAX = 1000;

/** How often the driver may resume a stream in a row without an answer to it. */
const RESUMES_MAX = 3;

/** Why there is no feed. */
const NO_FEED = {
  standalone: "A standalone MongoDB server has no change streams.",
  "sharded cluster":
    "A change stream through a router waits for the clock of every shard: polling reports changes sooner.",
} as const;

/** Events of a whole collection. Each ends the stream. */
const ENDINGS = ["drop", "rename", "dropDatabase", "invalidate"];

type Stream = ChangeStream<Document, Document>;

export function openFeed(context: Context, select: Selection, sink: FeedSink): Feed {
  return new MongoFeed(context, select, sink);
}

class MongoFeed implements Feed {
  readonly ready: Promise<void>;
  readonly #context: Context;
  readonly #select: Selection;
  readonly #sink: FeedSink;
  readonly #reported = new Set<number>();
  #stream: Stream | undefined;
  #isOver = false;

  constructor(context: Context, select: Selection, sink: FeedSink) {
    this.#context = context;
    this.#select = isShort(select) ? select : EVERYTHING;
    this.#sink = sink;
    const opening = this.#open().catch(async (error: unknown) => {
      await this.close();
      throw toHeartbitError(error, "open a change stream");
    });
    this.ready = handled(opening); // a caller that closes the feed early need not await it
  }

  async close(): Promise<void> {
    this.#isOver = true;
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined) return;
    const { calls, limits, monitor } = this.#context;
    monitor.streams--;
    await quietly(calls.bounded("end a change stream", limits.closingMs, () => stream.close()));
  }

  async #open(): Promise<void> {
    const { calls, limits } = this.#context;
    const { topology } = await this.#context.server();
    if (topology !== "replica set") throw new HeartbitError("UNSUPPORTED_SERVER", NO_FEED[topology]);
    checkRoom(this.#context);
    if (this.#isOver) return;
    await calls.bounded("open a change stream", limits.openingMs, () => this.#follow());
  }

  /**
   * Opens the stream and reports its changes until it ends. Resolves when every change from then on will be reported.
   */
  async #follow(): Promise<void> {
    const stream = this.#watch();
    this.#stream = stream;
    this.#context.monitor.streams++;
    return new Promise((resolve, reject) => {
      // Even an empty first answer has a token, which the driver emits at once. The first `tryNext` resolves only after
      // another answer, for which the server waits.
      let tokens = 0; // since the latest answer
      stream.on("resumeTokenChanged", () => {
        resolve();
        if (++tokens > RESUMES_MAX) this.#lose(new Error("the server loses each cursor"));
      });
      const run = async (): Promise<void> => {
        for await (const changes of batches(stream, () => (tokens = 0))) {
          resolve();
          if (this.#isOver) return;
          if (changes.length > 0) await this.#report(changes);
        }
      };
      run().catch((error: unknown) => {
        reject(error);
        this.#lose(error);
      });
    });
  }

  #watch(): Stream {
    const { calls, names } = this.#context;
    const { db } = calls;
    const concerns = { readConcern: { level: "majority" }, readPreference: "primary" } as const;
    const pipeline = [CHANGES, ...insertsOf(this.#select), ONLY_NEEDED];
    return db.collection(names.records, { ...PLAIN, ...concerns }).watch<Document, Document>(pipeline, {
      ...PLAIN,
      ...concerns,
      maxAwaitTimeMS: awaitMs(db.client),
    });
  }

  async #report(changes: readonly Document[]): Promise<void> {
    const documents = await this.#documentsOf(changes);
    const { sessions, registrations } = recordsIn(this.#context, documents);
    if (this.#reported.size > REPORTED_MAX) this.#reported.clear();
    for (const { seq } of sessions) this.#reported.add(seq);
    const page = await withSessions(this.#context, registrations, this.#reported);
    const all = [...sessions, ...page.sessions];
    if (this.#isOver || all.length + page.registrations.length === 0) return;
    this.#sink.page({ sessions: all, registrations: page.registrations });
  }

  /** Updated documents as they are by now; without those that were deleted since, which is not a change of liveness. */
  async #documentsOf(changes: readonly Document[]): Promise<Document[]> {
    const documents: Document[] = [];
    const updated = new Set<unknown>();
    for (const { operationType, documentKey, fullDocument } of changes) {
      if (operationType === "update") updated.add((documentKey as Document)["_id"]);
      else documents.push(fullDocument as Document);
    }
    if (updated.size === 0) return documents;
    const picked = picks(this.#select);
    const ids = { _id: { $in: [...updated] } };
    const filter = picked === undefined ? ids : { ...ids, $or: [{ _id: SESSION_IDS }, ...picked] };
    for await (const some of find(this.#context, this.#context.names.records, filter))
      documents.push(...some);
    return documents;
  }

  #lose(error: unknown): void {
    if (this.#isOver) return;
    this.#sink.lost(toHeartbitError(error, "follow its changes"));
    void this.close();
  }
}

/**
 * All changes except deletions, and updates that only raise the `slot` of a session. (A session that ends in the ms in
 * which it was created keeps its stamp, so `last` is matched too.)
 */
const CHANGES = {
  $match: {
    $or: [
      { operationType: { $in: ["insert", "replace", ...ENDINGS] } },
      { operationType: "update", "documentKey._id": REGISTRATION_IDS },
      { "updateDescription.updatedFields.changed": { $exists: true } },
      { "updateDescription.updatedFields.last": { $exists: true } },
    ],
  },
};

/** The changed fields, which may have a large meta, are not sent. */
const ONLY_NEEDED = { $project: { operationType: 1, "documentKey._id": 1, fullDocument: 1 } };

/** Of the registrations that come with their documents, the selected ones. */
function insertsOf(select: Selection): Document[] {
  const picked = picks(select)?.map(({ key }) => ({ "fullDocument.key": key as unknown }));
  if (picked === undefined) return [];
  const others = [{ operationType: { $in: ["update", ...ENDINGS] } }, { "documentKey._id": SESSION_IDS }];
  return [{ $match: { $or: [...others, ...picked] } }];
}

/** Filters that together match the selected registrations; undefined if all are selected. */
function picks({ all, keys, prefixes }: Selection): Document[] | undefined {
  return all ? undefined : [{ key: { $in: [...keys] } }, ...Array.from(prefixes, startsWith)];
}

function isShort({ keys, prefixes }: Selection): boolean {
  return [...keys, ...prefixes].reduce((sum, name) => sum + name.length, 0) <= SELECTION_LENGTH_MAX;
}

/**
 * The changes, as many at a time as have arrived together; none after `AWAIT_MS` without a change. One that had to be
 * awaited is returned alone: asking for another one first would delay it. Calls `answered` at each answer.
 */
async function* batches(stream: Stream, answered: () => void): AsyncGenerator<Document[]> {
  let asked: Promise<Document[]> | undefined;
  for (;;) {
    let next = asked ?? ask(stream, answered);
    asked = undefined;
    const most = (await isSettled(next)) ? BATCH_MAX : 1;
    const changes = await next;
    while (changes.length < most) {
      next = ask(stream, answered);
      if (!(await isSettled(next))) {
        asked = next;
        break;
      }
      changes.push(...(await next));
    }
    yield changes;
  }
}

function ask(stream: Stream, answered: () => void): Promise<Document[]> {
  const next = stream.tryNext().then((change) => {
    answered();
    if (change !== null) return [understood(change)];
    if (stream.closed) throw new Error("the stream was closed");
    return [];
  });
  return handled(next); // awaited in its turn
}

function understood(change: Document): Document {
  const { operationType }: Document = change;
  if (ENDINGS.includes(String(operationType))) throw new Error(`the collection is gone: ${operationType}`);
  return change;
}

/** Whether it settles without waiting: what the driver already has arrives before the next turn of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([turn().then(() => false), promise.then(() => true)]).catch(() => true);
}

/** A waiting stream occupies a connection. Streams may occupy half of the client's pool: the pings need the rest. */
function checkRoom({ calls, monitor }: Context): void {
  const { maxPoolSize } = calls.db.client.options;
  if (maxPoolSize === 0 || monitor.streams + 1 <= maxPoolSize / 2) return;
  throw new HeartbitError(
    "UNSUPPORTED_SERVER",
    `Another change stream would take too many of this client's connections: its maxPoolSize is ${maxPoolSize}.`,
  );
}

/** Less than the time after which the client considers a silent connection dead. */
function awaitMs({ options }: MongoClient): number {
  const { socketTimeoutMS } = options;
  return socketTimeoutMS !== undefined && socketTimeoutMS > 0
    ? Math.min(AWAIT_MS, socketTimeoutMS / 2)
    : AWAIT_MS;
}
