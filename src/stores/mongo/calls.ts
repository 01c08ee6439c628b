/**
 * Calls to the server, each bounded in time and independent of the caller's client settings.
 *
 * They are plain commands (`db.command`), because the driver documents that these inherit nothing from the client,
 * the database or the URI: no read preference, no concern, no retrying. So what is said here holds.
 */
import type { Db, Document } from "mongodb";
import { GivenUp, HeartbitError } from "../../core/errors.ts";
import { setLimit } from "../../lib/system-clock.ts";
import { isWorthRepeating, ServerRefusal, toHeartbitError } from "./failures.ts";

/** How documents are read and written, whatever the client was told. Foreign text must not make a read fail. */
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

/** The first word with a server that may be away: long enough for a connection with TLS and a login. */
const OPENING_MS = 4000;
/** The driver looks for a new primary twice a second at most. */
const QUICK_MS_MIN = 1000;
const QUICK_MS_MAX = 10_000;
const BULK_MS_MIN = 5000;
const BULK_MS_MAX = 30_000;
/** What is let go of (a cursor, a stream, a client) is let go of here, whether or not the server hears of it. */
const CLOSING_MS = 500;
/** Calls without an answer at one time. Above it the server is certainly not answering; drivers queue without limit. */
const UNANSWERED_MAX = 500;

/** How long a call may take. */
export interface Limits {
  /** Setting up and asking for the first time. */
  readonly openingMs: number;
  /** Letting go of something. */
  readonly closingMs: number;
  /**
   * A ping, a single write. The presence gives up earlier (a fifth of the period) and repeats; this bounds what was
   * given up. It is no shorter, because giving up ends a connection, and a slow server is not helped by logins.
   */
  readonly quickMs: number;
  /** A page of a read, a batch of writes. */
  readonly bulkMs: number;
}

export function limitsFor(periodMs: number): Limits {
  return {
    openingMs: OPENING_MS,
    closingMs: CLOSING_MS,
    quickMs: Math.min(Math.max(periodMs / 5, QUICK_MS_MIN), QUICK_MS_MAX),
    bulkMs: Math.min(Math.max(periodMs, BULK_MS_MIN), BULK_MS_MAX),
  };
}

/** Acknowledged by a majority, or a failure: the caller repeats. */
export function majorityWithin(limitMs: number): { w: "majority"; wtimeout: number } {
  return { w: "majority", wtimeout: Math.ceil(limitMs) };
}

export class Calls {
  readonly db: Db;
  #unanswered = 0;

  constructor(db: Db) {
    this.db = db;
  }

  /**
   * Runs a command. Rejects as `HeartbitError`, after `limitMs` at the latest. Repeated once where the connection or
   * the primary was lost: all that heartbit does may be repeated.
   */
  async command(
    doing: string,
    command: Document,
    limitMs: number,
    options: Document = {},
  ): Promise<Document> {
    return this.bounded(doing, limitMs, async (signal) => {
      const once = async (): Promise<Document> => {
        const reply = await this.db.command(command, { ...PLAIN, ...options, signal });
        refuseWriteConcernError(reply);
        return reply;
      };
      try {
        return await once();
      } catch (error) {
        if (signal.aborted || !isWorthRepeating(error)) throw error;
        return await once();
      }
    });
  }

  /** A command on the server as a whole. */
  async admin(doing: string, command: Document, limitMs: number): Promise<Document> {
    return this.bounded(doing, limitMs, (signal) =>
      this.db.client.db("admin").command(command, { ...PLAIN, signal }),
    );
  }

  /** A command that writes: `{w: "majority"}`, bounded on the server too. */
  async write(doing: string, command: Document, limitMs: number): Promise<Document> {
    const bounds = { writeConcern: majorityWithin(limitMs), maxTimeMS: Math.ceil(limitMs) };
    return this.command(doing, { ...command, ...bounds }, limitMs);
  }

  /**
   * What `run` gives, or a rejection after `limitMs`. The signal then tells the driver to let go of the operation:
   * it ends the connection, which may be a dead one, so that nothing given up piles up in the driver. The limit does
   * not keep the process alive: the connection does, for as long as the client is open.
   */
  async bounded<T>(doing: string, limitMs: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#unanswered >= UNANSWERED_MAX)
      throw unavailable(doing, `${UNANSWERED_MAX} calls are unanswered`);
    this.#unanswered++;
    const controller = new AbortController();
    const running = run(controller.signal).finally(() => this.#unanswered--);
    return new Promise((resolve, reject) => {
      const cancel = setLimit(() => {
        reject(new GivenUp(`MongoDB could not ${doing}: no answer within ${Math.ceil(limitMs)} ms.`));
        controller.abort();
      }, limitMs);
      running
        .finally(cancel)
        .then(resolve)
        .catch((error: unknown) => reject(toHeartbitError(error, doing)));
    });
  }
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
