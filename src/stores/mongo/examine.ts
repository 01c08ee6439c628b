/**
 * What `doctor` examines on a MongoDB server: its version, topology, change streams, indexes, the user's rights, and
 * the storage. Each examination stands alone: a missing right for one does not affect the others.
 */
import type { Document } from "mongodb";
import { isHeartbitError } from "../../core/errors.ts";
import type { Slot } from "../../core/slots.ts";
import type { Finding } from "../../core/store.ts";
import { OLD_MAX, storageFinding } from "../storage.ts";
import type { Context } from "./context.ts";
import { codeOf, NAMESPACE_NOT_FOUND, UNAUTHORIZED } from "./failures.ts";
import { missingIndexes } from "./indexes.ts";
import { oldSessions } from "./pruning.ts";
import { find } from "./reading.ts";
import { examineRights } from "./rights.ts";

/** The earliest major version that is still maintained: 6.0 reached its end of life in July 2025. */
const MAINTAINED_MAJOR = 7;
/** The most change streams on one namespace without a warning. The server runs every write past each of them. */
const STREAMS_MAX = 1000;

export async function examine(context: Context, beforeSlot: Slot): Promise<Finding[]> {
  const questions: readonly [check: string, right: string, ask: () => Promise<Finding>][] = [
    ["server", "none", () => examineVersion(context)],
    ["topology", "none", () => examineTopology(context)],
    ["change streams", "inprog on the cluster", () => examineStreams(context)],
    ["indexes", "listIndexes on the collections", () => examineIndexes(context)],
    ["permissions", "none", () => examineRights(context)],
    ["storage", "find on the collections", () => examineStorage(context, beforeSlot)],
  ];
  return Promise.all(
    questions.map(async ([check, right, ask]) => {
      try {
        return await ask();
      } catch (error) {
        return notLookedAt(check, right, error);
      }
    }),
  );
}

function notLookedAt(check: string, right: string, error: unknown): Finding {
  const why = error instanceof Error ? error.message : String(error);
  const found = `It could not be looked at: ${why}`;
  const advice = { advice: `Grant the right ${right} to the user who runs this.` };
  return { check, level: "warning", found, ...(isHeartbitError(error, "NOT_PERMITTED") ? advice : {}) };
}

async function examineVersion({ calls, limits }: Context): Promise<Finding> {
  const { version, versionArray }: Document = await calls.command(
    "tell its version",
    { buildInfo: 1 },
    limits.openingMs,
  );
  const found = `The server answers as MongoDB ${String(version)}.`;
  const major = Number((versionArray as unknown[] | undefined)?.[0] ?? Number.parseInt(String(version), 10));
  if (major >= MAINTAINED_MAJOR) return { check: "server", level: "ok", found };
  const advice = `Its makers mend it no longer: plan for MongoDB ${MAINTAINED_MAJOR}.0 or later.`;
  return { check: "server", level: "warning", found, advice };
}

async function examineTopology(context: Context): Promise<Finding> {
  const { topology } = await context.server();
  const found = `It is a ${topology}.`;
  if (topology !== "standalone") return { check: "topology", level: "ok", found };
  return {
    check: "topology",
    level: "warning",
    found:
      "It is a standalone server: it has no change streams, and what it acknowledged may be lost when it crashes.",
    advice: "Make it a replica set, if only of one member (`replication.replSetName`, then `rs.initiate()`).",
  };
}

async function examineStreams(context: Context): Promise<Finding> {
  const { db } = context.calls;
  const streamed = `${db.databaseName}.${context.names.records}`;
  const { operations, whose } = await currentOperations(context);
  let count = 0;
  for (const { ns, cursor } of operations) {
    // Of heartbit's cursors, only a change stream waits for more.
    if (ns === streamed && (cursor as Document | undefined)?.["awaitData"] === true) count++;
  }
  const check = "change streams";
  if (count <= STREAMS_MAX)
    return { check, level: "ok", found: `${count}${whose} are open on the namespace.` };
  return {
    check,
    level: "warning",
    found: `${count}${whose} are open on the namespace, more than ${STREAMS_MAX}: the server passes every write by each of them.`,
    advice:
      'Watch in fewer processes, each for many others, or open with `feed: "poll"` where a quarter of a period matters little.',
  };
}

/** The cursors of all users, or only of this one if it may not see others'. */
async function currentOperations({
  calls,
  limits,
}: Context): Promise<{ operations: readonly Document[]; whose: "" | " of this user" }> {
  const ask = async (allUsers: boolean): Promise<Document[]> => {
    const pipeline = [{ $currentOp: { allUsers, idleCursors: true } }];
    const command = { aggregate: 1, pipeline, cursor: { batchSize: 100_000 } };
    const { cursor } = await calls.admin("tell its cursors", command, limits.bulkMs);
    return (cursor as { firstBatch: Document[] }).firstBatch;
  };
  try {
    return { operations: await ask(true), whose: "" };
  } catch (error) {
    if (codeOf(error) !== UNAUTHORIZED) throw error;
    return { operations: await ask(false), whose: " of this user" };
  }
}

async function examineIndexes({ calls, names, limits }: Context): Promise<Finding> {
  const missing = await missingIndexes(calls, names, limits.openingMs);
  if (missing.length === 0) return { check: "indexes", level: "ok", found: "All are there." };
  return {
    check: "indexes",
    level: "error",
    found: `Missing, so that reads look through whole collections: ${missing.join(", ")}.`,
    advice: `Remove the field \`indexes\` of the config in ${names.meta}, and open the namespace once as a user with the right createIndex (\`heartbit wait x --timeout 0\` will do): that makes them.`,
  };
}

async function examineStorage(context: Context, beforeSlot: Slot): Promise<Finding> {
  const { records, pings, meta } = context.names;
  const before = { $lt: beforeSlot };
  const old =
    (await countOf(context, pings, { slot: before })) +
    (await countOf(context, records, oldSessions(beforeSlot)));
  const bytes = await Promise.all([meta, records, pings].map((name) => bytesOf(context, name)));
  const isKnown = bytes.every((some) => some !== undefined);
  return storageFinding({ old, ...(isKnown ? { bytes: bytes.reduce((sum, some) => sum + some, 0) } : {}) });
}

/** How many records are old, at most `OLD_MAX`. */
async function countOf(context: Context, collection: string, filter: Document): Promise<number> {
  let found = 0;
  for await (const batch of find(context, collection, filter, { projection: { _id: 1 }, limit: OLD_MAX })) {
    found += batch.length;
  }
  return found;
}

/** The bytes of a collection with its indexes on the disk; undefined without the right to know. */
async function bytesOf({ calls, limits }: Context, collection: string): Promise<number | undefined> {
  const command = { aggregate: collection, pipeline: [{ $collStats: { storageStats: {} } }], cursor: {} };
  try {
    const { cursor } = await calls.command("tell its size", command, limits.openingMs);
    let bytes = 0;
    for (const { storageStats } of (cursor as { firstBatch: Document[] }).firstBatch) {
      const { storageSize, totalIndexSize } = storageStats as Document;
      bytes += Number(storageSize) + Number(totalIndexSize);
    }
    return bytes;
  } catch (error) {
    if (codeOf(error) === NAMESPACE_NOT_FOUND) return 0;
    if (codeOf(error) === UNAUTHORIZED) return undefined;
    throw error;
  }
}
