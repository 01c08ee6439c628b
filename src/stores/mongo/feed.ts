/**
 * The feed: two change streams, over the sessions and over the registrations.
 *
 * Two streams on collections rather than one on the database: each needs the right to these two collections only, and
 * the server passes the pings, most of all that is written, by their namespace without looking into them.
 *
 * The driver resumes a stream by itself after what its specification calls a resumable error (a lost connection,
 * another primary), with the token of the last batch, an empty one included; no change is missed by that. Whatever it
 * does not resume ends the feed: a lost history, a dropped collection, a missing right. The presence then reads anew
 * and opens another feed, so no token is kept here.
 */
import type { ChangeStream, Document, MongoClient } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import type { RegistrationRecord, SessionRecord } from "../../core/records.ts";
import type { Selection } from "../../core/selection.ts";
import type { Feed, FeedSink } from "../../core/store.ts";
import { PLAIN } from "./calls.ts";
import type { Context } from "./context.ts";
import { toRegistration, toSession } from "./documents.ts";
import { toHeartbitError } from "./failures.ts";
import { startsWith, understood, withSessions } from "./reading.ts";

/** How long the server waits for a change before it answers with none: the cost of a stream in which nothing happens. */
const AWAIT_MS = 5000;
/** A selection with longer names than this is not sent to the server; then all registrations are told. */
const SELECTION_LENGTH_MAX = 100_000;
/** How many sessions a feed remembers to have told. When there are more it forgets, and tells some again. */
const TOLD_MAX = 100_000;

const BATCH_MAX = 1000;

/** What happens to a collection as a whole; after each of these the stream ends. */
const ENDINGS = ["drop", "rename", "dropDatabase", "invalidate"];

/** The streams open on each client. */
const streamsOf = new WeakMap<MongoClient, { count: number }>();

type Stream = ChangeStream<Document, Document>;

export function openFeed(context: Context, select: Selection, sink: FeedSink): Feed {
  return new MongoFeed(context, select, sink);
}

class MongoFeed implements Feed {
  readonly ready: Promise<void>;
  readonly #context: Context;
  readonly #sink: FeedSink;
  readonly #told = new Set<number>();
  #streams: Stream[] = [];
  #isOver = false;

  constructor(context: Context, select: Selection, sink: FeedSink) {
    this.#context = context;
    this.#sink = sink;
    this.ready = this.#open(select).catch(async (error: unknown) => {
      await this.close();
      throw toHeartbitError(error, "open a change stream");
    });
    this.ready.catch(() => undefined); // whoever closes the feed early need not look at it
  }

  async close(): Promise<void> {
    this.#isOver = true;
    const streams = this.#streams;
    this.#streams = [];
    const { calls, limits } = this.#context;
    await Promise.all(
      streams.map(async (stream) => {
        streamsAt(this.#context).count--;
        await calls
          .bounded("end a change stream", limits.closingMs, () => stream.close())
          .catch(() => undefined);
      }),
    );
  }

  async #open(select: Selection): Promise<void> {
    const { calls, names, limits } = this.#context;
    const { topology } = await this.#context.server();
    if (topology === "standalone") {
      throw new HeartbitError("UNSUPPORTED_SERVER", "A standalone MongoDB server has no change streams.");
    }
    refuseToFill(this.#context);
    if (this.#isOver) return;
    await calls.bounded("open a change stream", limits.openingMs, () =>
      Promise.all([
        this.#follow(names.sessions, [SESSION_CHANGES], (changed) => this.#tellSessions(changed)),
        this.#follow(names.registrations, registrationChanges(select), (changed) =>
          this.#tellRegistrations(changed),
        ),
      ]),
    );
  }

  /** Opens a stream and tells what it brings, for ever. Resolves when every change from then on will be told. */
  async #follow(
    collection: string,
    pipeline: readonly Document[],
    tell: (documents: Document[]) => Promise<void>,
  ): Promise<void> {
    const stream = this.#watch(collection, pipeline);
    this.#streams.push(stream);
    streamsAt(this.#context).count++;
    return new Promise((resolve, reject) => {
      // The first answer, however empty, has a token, which the driver tells of at once; the first `tryNext` resolves
      // only after another answer, for which the server takes its time.
      stream.once("resumeTokenChanged", () => resolve());
      const run = async (): Promise<void> => {
        for await (const changes of batches(stream)) {
          resolve();
          if (this.#isOver) return;
          if (changes.length > 0) await tell(changes);
        }
      };
      run().catch((error: unknown) => {
        reject(error);
        this.#lose(error);
      });
    });
  }

  #watch(collection: string, pipeline: readonly Document[]): Stream {
    const { db } = this.#context.calls;
    const concerns = { readConcern: { level: "majority" }, readPreference: "primary" } as const;
    return db.collection(collection, { ...PLAIN, ...concerns }).watch<Document, Document>([...pipeline], {
      ...PLAIN,
      ...concerns,
      fullDocument: "updateLookup",
      maxAwaitTimeMS: awaitMs(db.client),
    });
  }

  async #tellSessions(documents: Document[]): Promise<void> {
    const sessions = understood(this.#context, this.#context.names.sessions, documents, toSession);
    this.#remember(sessions);
    this.#tell(sessions, []);
  }

  async #tellRegistrations(documents: Document[]): Promise<void> {
    const registrations = understood(
      this.#context,
      this.#context.names.registrations,
      documents,
      toRegistration,
    );
    const page = await withSessions(this.#context, registrations, this.#told);
    this.#remember(page.sessions);
    this.#tell(page.sessions, page.registrations);
  }

  #remember(sessions: readonly SessionRecord[]): void {
    if (this.#told.size > TOLD_MAX) this.#told.clear();
    for (const { seq } of sessions) this.#told.add(seq);
  }

  #tell(sessions: readonly SessionRecord[], registrations: readonly RegistrationRecord[]): void {
    if (!this.#isOver && sessions.length + registrations.length > 0)
      this.#sink.page({ sessions, registrations });
  }

  #lose(error: unknown): void {
    if (this.#isOver) return;
    this.#sink.lost(toHeartbitError(error, "follow its changes"));
    void this.close();
  }
}

/**
 * A session is told when it is created and when it ends, not when its `slot` is raised. One that ends in the ms in which it
 * was created gets no other stamp.
 */
const SESSION_CHANGES = {
  $match: {
    $or: [
      { operationType: { $in: ["insert", "replace", ...ENDINGS] } },
      { "updateDescription.updatedFields.changed": { $exists: true } },
      { "updateDescription.updatedFields.last": { $exists: true } },
    ],
  },
};

/** The key stands in the looked-up document, since an update names only what it changes. */
function registrationChanges(select: Selection): Document[] {
  const changes = { $match: { operationType: { $in: ["insert", "update", "replace", ...ENDINGS] } } };
  const keys = [...select.keys];
  const length = [...keys, ...select.prefixes].reduce((sum, name) => sum + name.length, 0);
  if (select.all || length > SELECTION_LENGTH_MAX) return [changes];
  const selected = [{ key: { $in: keys } }, ...Array.from(select.prefixes, startsWith)].map(({ key }) => ({
    "fullDocument.key": key as unknown,
  }));
  return [changes, { $match: { $or: [{ operationType: { $in: ENDINGS } }, ...selected] } }];
}

/**
 * The documents of the changes, as many together as have arrived together; none after `AWAIT_MS` without any. One that had
 * to be waited for comes by itself: to ask for another before it is told would make it wait.
 */
async function* batches(stream: Stream): AsyncGenerator<Document[]> {
  let asked: Promise<Document[]> | undefined;
  for (;;) {
    let next = asked ?? ask(stream);
    asked = undefined;
    const most = (await isSettled(next)) ? BATCH_MAX : 1;
    const documents = await next;
    while (documents.length < most) {
      next = ask(stream);
      if (!(await isSettled(next))) {
        asked = next;
        break;
      }
      documents.push(...(await next));
    }
    yield documents;
  }
}

function ask(stream: Stream): Promise<Document[]> {
  const next = stream.tryNext().then((change) => {
    if (change !== null) return documentIn(change);
    if (stream.closed) throw new Error("the stream was closed");
    return [];
  });
  next.catch(() => undefined); // awaited in its turn
  return next;
}

/** A document that was deleted meanwhile is not there; that is no change of liveness. */
function documentIn({ operationType, fullDocument }: Document): Document[] {
  if (ENDINGS.includes(String(operationType))) throw new Error(`the collection is gone: ${operationType}`);
  return typeof fullDocument === "object" && fullDocument !== null ? [fullDocument as Document] : [];
}

/** Whether it needs no waiting: what the driver has already comes before the next turn of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<false>((resolve) => setImmediate(resolve, false));
  return Promise.race([turn, promise.then(() => true)]).catch(() => true);
}

function streamsAt({ calls }: Context): { count: number } {
  const { client } = calls.db;
  let streams = streamsOf.get(client);
  if (streams === undefined) streamsOf.set(client, (streams = { count: 0 }));
  return streams;
}

/** A waiting stream holds a connection. Streams may hold half of the client's pool: the pings need the rest. */
function refuseToFill(context: Context): void {
  const { maxPoolSize } = context.calls.db.client.options;
  if (maxPoolSize === 0 || streamsAt(context).count + 2 <= maxPoolSize / 2) return;
  throw new HeartbitError(
    "UNSUPPORTED_SERVER",
    `Another change stream would take too many of this client's connections: its maxPoolSize is ${maxPoolSize}.`,
  );
}

/** Less than the time after which the client takes a silent connection for dead. */
function awaitMs({ options }: MongoClient): number {
  const { socketTimeoutMS } = options;
  return socketTimeoutMS !== undefined && socketTimeoutMS > 0
    ? Math.min(AWAIT_MS, socketTimeoutMS / 2)
    : AWAIT_MS;
}
