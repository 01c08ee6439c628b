/** The collections of a namespace, and their indexes. */
import type { Document } from "mongodb";
import type { Calls } from "./calls.ts";
import { IS_SESSION, OPEN } from "./documents.ts";
import {
  codeOf,
  COMMIT_QUORUM_REFUSALS,
  INDEX_CONFLICTS,
  NAMESPACE_NOT_FOUND,
  PARTIAL_INDEX_REFUSALS,
} from "./failures.ts";
import type { ServerInfo } from "./server.ts";

/** Building an index over a big namespace takes a while. */
const BUILD_MS = 30_000;

/** The version of the set of indexes: noted in the config once they are created, raised when the set changes. */
export const INDEXES_VERSION = 1;

/** The names of the collections of a namespace. */
export interface Names {
  readonly meta: string;
  /** Sessions and registrations. */
  readonly records: string;
  readonly pings: string;
}

export function namesOf(namespace: string): Names {
  return { meta: `${namespace}.meta`, records: `${namespace}.records`, pings: `${namespace}.pings` };
}

interface IndexSpec {
  readonly name: string;
  readonly key: Readonly<Record<string, 1>>;
  readonly expireAfterSeconds?: number;
  readonly partialFilterExpression?: object;
}

const KINDS = ["records", "pings"] as const;

/**
 * Every query of heartbit uses one of these or `_id`, which is a number for sessions and a string for registrations.
 * Each index costs every start of a pinger, except the partial ones, which have no open registrations. (Partial, not
 * sparse: the Stable API, which a client may require, has no sparse indexes.)
 */
const INDEXES: Readonly<Record<(typeof KINDS)[number], readonly IndexSpec[]>> = {
  records: [
    { name: "changed", key: { changed: 1 } },
    { name: "key", key: { key: 1 } },
    // All records of a session; by equality on both fields its open ones, which are counted without reading documents.
    // Only the session itself has the field `opened`.
    { name: "session_last", key: { session: 1, last: 1, opened: 1 } },
    // Only for pruning.
    { name: "ended", key: { last: 1 }, partialFilterExpression: { last: { $lt: OPEN } } },
    { name: "slot", key: { slot: 1 }, partialFilterExpression: IS_SESSION },
  ],
  pings: [
    { name: "slot", key: { slot: 1 } },
    // Only cleans up, and never decides liveness: by then nothing reads the document any more.
    { name: "expireAt", key: { expireAt: 1 }, expireAfterSeconds: 0 },
  ],
};

/**
 * Creates missing collections and indexes. Rejects with `NOT_PERMITTED` without the right to do so. An index over the
 * same fields that somebody else made is accepted.
 */
export async function createIndexes(calls: Calls, names: Names, server: ServerInfo): Promise<void> {
  // One after the other: a process that holds keys needs one connection, and no more later.
  for (const kind of KINDS) await createOn(calls, server, names[kind], INDEXES[kind]);
}

async function createOn(
  calls: Calls,
  server: ServerInfo,
  collection: string,
  indexes: readonly IndexSpec[],
): Promise<void> {
  const command = {
    createIndexes: collection,
    indexes: [...indexes],
    ...(server.buildsByMajority ? { commitQuorum: "majority" } : {}),
    // The config is written after them by a majority, which then has them too.
    writeConcern: { w: 1, wtimeout: BUILD_MS },
  };
  try {
    await calls.command("create its indexes", command, BUILD_MS);
  } catch (error) {
    const code = codeOf(error) ?? 0;
    const one = indexes.length === 1 ? indexes[0] : undefined;
    if (server.buildsByMajority && COMMIT_QUORUM_REFUSALS.has(code)) {
      await createOn(calls, { ...server, buildsByMajority: false }, collection, indexes);
    } else if (one === undefined && (INDEX_CONFLICTS.has(code) || PARTIAL_INDEX_REFUSALS.has(code))) {
      for (const index of indexes) await createOn(calls, server, collection, [index]);
    } else if (one?.partialFilterExpression !== undefined && PARTIAL_INDEX_REFUSALS.has(code)) {
      const { partialFilterExpression: _, ...whole } = one;
      await createOn(calls, server, collection, [whole]);
    } else if (!INDEX_CONFLICTS.has(code)) throw error;
  }
}

/** The missing indexes, as `presence.records: key`. An index over the same fields with another name is accepted. */
export async function missingIndexes(calls: Calls, names: Names, limitMs: number): Promise<string[]> {
  const missing = KINDS.map(async (kind) => {
    const there = await fieldsIndexed(calls, names[kind], limitMs);
    const absent = INDEXES[kind].filter(({ key }) => !there.has(JSON.stringify(key)));
    return absent.map(({ name }) => `${names[kind]}: ${name}`);
  });
  return (await Promise.all(missing)).flat();
}

async function fieldsIndexed(calls: Calls, collection: string, limitMs: number): Promise<Set<string>> {
  try {
    const { cursor }: Document = await calls.command(
      "list its indexes",
      { listIndexes: collection },
      limitMs,
    );
    return new Set((cursor as { firstBatch: Document[] }).firstBatch.map(({ key }) => JSON.stringify(key)));
  } catch (error) {
    if (codeOf(error) !== NAMESPACE_NOT_FOUND) throw error;
    return new Set();
  }
}
