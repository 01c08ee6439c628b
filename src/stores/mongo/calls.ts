/**
 * Calls to the server, each bounded in time and independent of the caller's client settings.
 *
 * They are plain commands (`db.command`), because the driver documents that these inherit nothing from the client, the
 * database or the URI: no read preference, no concern, no retrying. So only the options given here apply.
 */
import type { Db, Document, MongoClient } from "mongodb";
import { GivenUp, HeartbitError } from "../../core/errors.ts";
import { onAbort } from "../../lib/abort.ts";
import { setLimit } from "../../lib/system-clock.ts";
import { afterClosings } from "../../lib/turn.ts";
import { codeOf, isWorthRepeating, ServerRefusal, toHeartbitError, UNAUTHORIZED } from "./failures.ts";

/** How documents are read and written, whatever the client's options. Text in other encodings must not fail a read. */
export const PLAIN = {
  raw: false,
  fieldsAsRaw: {},
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  useBigInt64: false,
  bsonRegExp: false,
  ignoreUndefined: false,
  serializeFunctions: false,
  checkKeys: false,
  enableUtf8Validation: false,
} as const;

/** The first contact with a server that may be away: long enough for a connection with TLS and a login. */
const OPENING_MS = 4000;
/** The driver searches for a new primary at most twice a second. */
const QUICK_MS_MIN = 1000;
const QUICK_MS_MAX = 10_000;
/** An acknowledged ping counts for 2.5 periods at most, so a later answer is of no use. */
const PING_PERIODS = 2.5;
const PING_MS_MIN = 1000;
const PING_MS_MAX = 30_000;
const BULK_MS_MIN = 5000;
const BULK_MS_MAX = 30_000;
/** Closing a cursor, a stream or a client takes at most this long, whether or not the server learns of it. */
const CLOSING_MS = 500;
/**
 * How many calls may be unanswered. With more, the server is certainly not answering, and drivers queue without limit.
 */
const UNANSWERED_MAX = 500;

export interface Limits {
  /** Setting up and asking for the first time. */
  readonly openingMs: number;
  readonly closingMs: number;
  /** A small read. Not shorter, because giving up closes a connection, and logins do not help a slow server. */
  readonly quickMs: number;
  /**
   * A ping. Long, because a late acknowledgement is not a lost ping: the presence sends it once more by itself, on
   * another connection, while the first still counts.
   */
  readonly pingMs: number;
  /** A write, as long as a ping: one that waits for a slow majority is late, and not lost. */
  readonly writeMs: number;
  /** A page of a read, and whatever else may take long. */
  readonly bulkMs: number;
}

export function limitsFor(periodMs: number): Limits {
  return {
    openingMs: OPENING_MS,
    closingMs: CLOSING_MS,
    quickMs: Math.min(Math.max(periodMs / 5, QUICK_MS_MIN), QUICK_MS_MAX),
    pingMs: Math.min(Math.max(PING_PERIODS * periodMs, PING_MS_MIN), PING_MS_MAX),
    writeMs: Math.min(Math.max(PING_PERIODS * periodMs, BULK_MS_MIN), BULK_MS_MAX),
    bulkMs: Math.min(Math.max(periodMs, BULK_MS_MIN), BULK_MS_MAX),
  };
}

export class Calls {
  readonly db: Db;
  readonly #onUnauthorized: () => void;
  readonly #onSilence: () => void;
  #unanswered = 0;

  /**
   * Calls `onUnauthorized` whenever the server refuses something for lack of a right, and `onSilence` whenever it does
   * not answer.
   */
  constructor(db: Db, onUnauthorized: () => void = () => {}, onSilence: () => void = () => {}) {
    this.db = withoutTimeout(db.client, db.databaseName);
    this.#onUnauthorized = onUnauthorized;
    this.#onSilence = onSilence;
  }

  /**
   * Runs a command. Rejects with a `HeartbitError`, after `limitMs` at the latest. Repeats it once if the connection or
   * the primary was lost, since all commands of heartbit can be repeated. Once `ending` is aborted, nothing further is
   * sent.
   */
  async command(
    doing: string,
    command: Document,
    limitMs: number,
    options: Document = {},
    ending?: AbortSignal,
  ): Promise<Document> {
    const once = async (signal: AbortSignal): Promise<Document> => {
      const reply = await this.db.command(command, { ...PLAIN, ...options, signal });
      refuseWriteConcernError(reply);
      return reply;
    };
    return this.bounded(doing, limitMs, (signal) => this.twice(signal, () => once(signal)), ending);
  }

  /**
   * Does it once more if the connection or the primary was lost, but only after the driver knows which of its other
   * connections were lost too. A driver that needs a server before that may send its `hello` over a closed connection,
   * and then waits for ever. (So do not let it repeat reads by itself.)
   */
  async twice<T>(signal: AbortSignal, once: () => Promise<T>): Promise<T> {
    try {
      return await once();
    } catch (error) {
      if (signal.aborted || !isWorthRepeating(error)) throw error;
      await afterClosings();
      this.#onSilence();
      return once();
    }
  }

  /** A command on the server as a whole. */
  async admin(doing: string, command: Document, limitMs: number): Promise<Document> {
    return this.bounded(doing, limitMs, (signal) =>
      withoutTimeout(this.db.client, "admin").command(command, { ...PLAIN, signal }),
    );
  }

  /**
   * The result of `run`, or a rejection after `limitMs` or when `ending` is aborted. The signal then makes the driver
   * drop the operation and close its connection, which may be dead, so that abandoned operations do not pile up in the
   * driver. The limit does not keep the process alive; the connection does, as long as the client is open.
   */
  async bounded<T>(
    doing: string,
    limitMs: number,
    run: (signal: AbortSignal) => Promise<T>,
    ending?: AbortSignal,
  ): Promise<T> {
    if (ending?.aborted === true) throw endedBefore(doing);
    if (this.#unanswered >= UNANSWERED_MAX)
      throw unavailable(doing, `${UNANSWERED_MAX} calls are unanswered`);
    this.#unanswered++;
    const controller = new AbortController();
    const running = run(controller.signal).finally(() => this.#unanswered--);
    return new Promise((resolve, reject) => {
      const giveUp = (error: GivenUp): void => {
        reject(error);
        controller.abort();
      };
      const cancel = setLimit(() => {
        giveUp(new GivenUp(`MongoDB could not ${doing}: no answer within ${Math.ceil(limitMs)} ms.`));
        this.#onSilence();
      }, limitMs);
      const stopListening = onAbort(ending, () => giveUp(endedBefore(doing)));
      running
        .finally(() => {
          cancel();
          stopListening();
        })
        .then(resolve)
        .catch((error: unknown) => {
          if (codeOf(error) === UNAUTHORIZED) this.#onUnauthorized();
          if (isWorthRepeating(error)) void afterClosings().then(this.#onSilence);
          reject(toHeartbitError(error, doing));
        });
    });
  }
}

/**
 * The database without the client's `timeoutMS`. Drivers before 7.2 apply that to commands too, whatever time they are
 * given here, and refuse change streams that wait longer.
 */
function withoutTimeout(client: MongoClient, name: string): Db {
  const options: Document = { timeoutMS: undefined };
  return client.db(name, options);
}

function endedBefore(doing: string): GivenUp {
  return new GivenUp(`MongoDB could not ${doing}: the caller gave it up.`);
}

function unavailable(doing: string, why: string): HeartbitError {
  return new HeartbitError("STORE_UNAVAILABLE", `MongoDB could not ${doing}: ${why}.`);
}

/** Drivers since 6.9 throw these themselves. */
function refuseWriteConcernError(reply: Document): void {
  const refusal: unknown = reply["writeConcernError"];
  if (typeof refusal !== "object" || refusal === null) return;
  const { code, errmsg }: Document = refusal;
  throw new ServerRefusal(Number(code), String(errmsg));
}
