/**
 * What `doctor` asks of a MongoDB server. Every question is asked by itself: one that may not be asked spoils no other.
 */
import type { Document } from "mongodb";
import { isHeartbitError } from "../../core/errors.ts";
import type { Slot } from "../../core/slots.ts";
import type { Finding } from "../../core/store.ts";
import { OLD_MAX, storageFinding } from "../storage.ts";
import type { Context } from "./context.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { CLOCK_ID, CONFIG_ID, toConfig } from "./documents.ts";
import { codeOf, NAMESPACE_NOT_FOUND, UNAUTHORIZED } from "./failures.ts";
import { missingIndexes } from "./indexes.ts";
import { oldSessions } from "./pruning.ts";
import { find } from "./find.ts";
import { examineRights } from "./rights.ts";
import { stamping } from "./time.ts";

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
    ["majority", "update on the collections", () => examineMajority(context)],
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
    "read its version",
    { buildInfo: 1 },
    limits.openingMs,
  );
  const found = `The server answers as MongoDB ${String(version)}.`;
  const major = Number((versionArray as unknown[] | undefined)?.[0] ?? Number.parseInt(String(version), 10));
  if (major >= MAINTAINED_MAJOR) return { check: "server", level: "ok", found };
  const advice = `It is no longer maintained: plan for MongoDB ${MAINTAINED_MAJOR}.0 or later.`;
  return { check: "server", level: "warning", found, advice };
}

async function examineTopology({ calls, limits }: Context): Promise<Finding> {
  const check = "topology";
  const reply = await calls.command("open a connection", { hello: 1 }, limits.openingMs);
  const { msg, setName, hosts = [], passives = [], arbiters = [] }: Document = reply;
  if (msg === "isdbgrid") return { check, level: "ok", found: "It is a sharded cluster." };
  if (typeof setName !== "string") {
    return {
      check,
      level: "warning",
      found: "It is a standalone server: it has no change streams, and nobody takes over when it is down.",
      advice:
        "Make it a replica set, if only of one member (`replication.replSetName`, then `rs.initiate()`).",
    };
  }
  const withData = [...(hosts as string[]), ...(passives as string[])].length;
  const found = `It is a replica set of ${withData} with data`;
  const names = arbiters as string[];
  if (names.length === 0) return { check, level: "ok", found: `${found}.` };
  return {
    check,
    level: "warning",
    found: `${found}, and ${names.length === 1 ? "an arbiter" : `${names.length} arbiters`}, ${names.join(", ")}: an arbiter votes and acknowledges nothing, so that no write has a majority while one member with data is down.`,
    advice: "Put a member with data in the place of each arbiter.",
  };
}

/** Above the first part of the period a majority is slow; above the second, watchers are stale. */
const SLOW_MAJORITY = 1 / 2;
const TOO_SLOW_MAJORITY = 4 / 5;
const MAJORITY_SAMPLES = 5;

/** Measures how long a majority write and a majority read take, with the clock's document. */
async function examineMajority(context: Context): Promise<Finding> {
  const { limits, names, send } = context;
  const check = "majority";
  const [config] = await all(find(context, names.meta, { _id: CONFIG_ID }));
  if (config === undefined) return { check, level: "ok", found: "There is nothing to try it out on yet." };
  const periodMs = toConfig(config)?.periodMs ?? context.periodMs;
  const readMs = await medianMs(async () => {
    await all(find(context, names.meta, { _id: CLOCK_ID }));
  });
  let writeMs: number;
  try {
    writeMs = await medianMs(() =>
      send("stamp its clock", { ...stamping(names.meta), upsert: true, new: true }, limits.pingMs),
    );
  } catch (error) {
    if (codeOf(error) !== UNAUTHORIZED) throw error;
    return { check, level: "ok", found: `A read of what a majority has takes ${Math.round(readMs)} ms.` };
  }
  const found = `A write is acknowledged in ${Math.round(writeMs)} ms; a read of what a majority has takes ${Math.round(readMs)} ms`;
  const part = Math.max(readMs, writeMs) / periodMs;
  if (part <= SLOW_MAJORITY) return { check, level: "ok", found: `${found}.` };
  return {
    check,
    level: part <= TOO_SLOW_MAJORITY ? "warning" : "error",
    found: `${found}: more than ${part <= TOO_SLOW_MAJORITY ? "half" : "0.8"} of the period.`,
    advice:
      "Look at the replication lag of the members (`rs.printSecondaryReplicationInfo()`), or choose a longer period: above 0.8 of it watchers are stale.",
  };
}

/** How long it takes by the median, in ms. */
async function medianMs(act: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let sample = 0; sample < MAJORITY_SAMPLES; sample++) {
    const began = systemClock.monotonic();
    await act();
    took.push(systemClock.monotonic() - began);
  }
  return took.toSorted((a, b) => a - b)[Math.floor(MAJORITY_SAMPLES / 2)] as number;
}

async function all(pages: AsyncIterable<Document[]>): Promise<Document[]> {
  const documents: Document[] = [];
  for await (const page of pages) documents.push(...page);
  return documents;
}

async function examineStreams(context: Context): Promise<Finding> {
  const { db } = context.calls;
  const streamed = `${db.databaseName}.${context.names.records}`;
  const { operations, whose } = await currentOperations(context);
  // A router lists each stream once for every shard.
  const counts = new Map<unknown, number>();
  for (const { ns, cursor, shard } of operations) {
    // Of heartbit's cursors, only a change stream waits for more.
    if (ns === streamed && (cursor as Document | undefined)?.["awaitData"] === true)
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  const count = Math.max(0, ...counts.values());
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
    const { cursor } = await calls.admin("read its cursors", command, limits.bulkMs);
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
    const { cursor } = await calls.command("read its size", command, limits.openingMs);
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
