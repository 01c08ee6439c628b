/** The collections of a namespace, and their indexes. */
import type { Document } from "mongodb";
import { type Calls, majorityWithin } from "./calls.ts";
import { codeOf, INDEX_CONFLICTS, NAMESPACE_NOT_FOUND } from "./failures.ts";

/** Building an index over what a big namespace holds already takes its time. */
const BUILD_MS = 30_000;

/** The names of the collections of a namespace. */
export interface Names {
  readonly meta: string;
  readonly sessions: string;
  readonly registrations: string;
  readonly pings: string;
}

export function namesOf(namespace: string): Names {
  return {
    meta: `${namespace}.meta`,
    sessions: `${namespace}.sessions`,
    registrations: `${namespace}.registrations`,
    pings: `${namespace}.pings`,
  };
}

interface IndexSpec {
  readonly name: string;
  readonly key: Readonly<Record<string, 1>>;
  readonly expireAfterSeconds?: number;
  readonly partialFilterExpression?: object;
}

const KINDS = ["sessions", "registrations", "pings"] as const;

/** Every query of heartbit goes by one of these or by `_id`. */
const INDEXES: Readonly<Record<(typeof KINDS)[number], readonly IndexSpec[]>> = {
  sessions: [
    { name: "changed", key: { changed: 1 } },
    { name: "slot", key: { slot: 1 } },
  ],
  registrations: [
    { name: "key", key: { key: 1 } },
    { name: "session_changed", key: { session: 1, changed: 1 } },
    { name: "changed", key: { changed: 1 } },
    // Partial, not sparse: the Stable API, which a client may insist on, has no sparse indexes.
    { name: "last", key: { last: 1 }, partialFilterExpression: { last: { $gte: 0 } } },
  ],
  pings: [
    { name: "slot", key: { slot: 1 } },
    // A broom, never a judge: by then nothing reads the document any more.
    { name: "expireAt", key: { expireAt: 1 }, expireAfterSeconds: 0 },
  ],
};

/**
 * Makes the collections and indexes that are missing; the server leaves those alone that are there. Rejects with
 * `NOT_PERMITTED` where the right is missing. An index over the same fields made by somebody else will do.
 */
export async function createIndexes(calls: Calls, names: Names): Promise<void> {
  await Promise.all(KINDS.map((kind) => createOn(calls, names[kind], INDEXES[kind])));
}

async function createOn(calls: Calls, collection: string, indexes: readonly IndexSpec[]): Promise<void> {
  const command = {
    createIndexes: collection,
    indexes: [...indexes],
    writeConcern: majorityWithin(BUILD_MS),
  };
  try {
    await calls.command("create its indexes", command, BUILD_MS);
  } catch (error) {
    if (!INDEX_CONFLICTS.has(codeOf(error) ?? 0)) throw error;
    if (indexes.length > 1) for (const index of indexes) await createOn(calls, collection, [index]);
  }
}

/** The indexes that are not there, as `presence.registrations: key`. An index over the same fields by another name will do. */
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
