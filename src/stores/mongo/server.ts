/** Finds out what kind of server answers: whether heartbit can use it, and what it offers. */
import type { Document } from "mongodb";
import { HeartbitError } from "../../core/errors.ts";
import type { Calls } from "./calls.ts";
import { codeOf } from "./failures.ts";

/** The wire version of MongoDB 4.2. */
const WIRE_VERSION_MIN = 8;
/** The wire version of MongoDB 4.4. */
const WIRE_VERSION_4_4 = 9;
const COMMAND_NOT_FOUND = 59;

/** A number that is stored as 32 bits, whatever its value and the client's settings. */
export type Int32Class = new (value: number) => object;

export interface ServerInfo {
  readonly topology: "standalone" | "replica set" | "sharded cluster";
  /**
   * The class of the copy of the driver that will write it. bson refuses values whose class comes from another major
   * version, so importing one here would not work for the caller's `Db`.
   */
  readonly Int32: Int32Class;
  /**
   * The read concern of all reads. Majority if there may be several members: otherwise a primary that is cut off shows
   * writes that will be rolled back. Also explicit on a standalone server, where the URI may demand what it cannot do.
   */
  readonly readConcern: { readonly level: "majority" | "local" };
  /** Whether a majority of the members is enough to build an index. Otherwise a build waits for all members. */
  readonly buildsByMajority: boolean;
}

/**
 * The write concern: a majority, within the limit. A standalone server would acknowledge that from memory, so it must
 * write to its journal first. One without a journal (`--nojournal`, an engine in memory) refuses that as a `BadValue`.
 */
export function writeConcernOf({ topology }: ServerInfo, limitMs: number, hasJournal: boolean): Document {
  if (topology !== "standalone") return { w: "majority", wtimeout: Math.ceil(limitMs) };
  return hasJournal ? { w: 1, j: true } : { w: 1 };
}

/** Asks what kind of server it is. Rejects with `UNSUPPORTED_SERVER` if heartbit cannot use it. */
export async function askServer(
  calls: Calls,
  limitMs: number,
): Promise<{ info: ServerInfo; localTimeMs: number }> {
  const reply = await hello(calls, limitMs);
  const wireVersion = Number(reply["maxWireVersion"] ?? 0);
  if (wireVersion < WIRE_VERSION_MIN) {
    throw new HeartbitError(
      "UNSUPPORTED_SERVER",
      `The MongoDB server is too old: its wire version is ${wireVersion}, and heartbit needs ${WIRE_VERSION_MIN} (MongoDB 4.2) or later.`,
    );
  }
  const topology =
    reply["msg"] === "isdbgrid"
      ? "sharded cluster"
      : typeof reply["setName"] === "string"
        ? "replica set"
        : "standalone";
  return {
    info: {
      topology,
      Int32: int32Of(reply),
      readConcern: { level: topology === "standalone" ? "local" : "majority" },
      buildsByMajority: topology === "replica set" && wireVersion >= WIRE_VERSION_4_4,
    },
    localTimeMs: localTimeOf(reply),
  };
}

/** The server's time, in ms, from a reply to `hello`; NaN if it has none. */
function localTimeOf(reply: Document): number {
  const time: unknown = reply["localTime"];
  return time instanceof Date ? time.getTime() : NaN;
}

/**
 * `hello` with its numbers as instances of the driver's classes. Releases of 4.2 before 4.2.10 know `isMaster` only.
 */
async function hello(calls: Calls, limitMs: number): Promise<Document> {
  const asClasses = { promoteValues: false, promoteLongs: false };
  try {
    return await calls.command("open a connection", { hello: 1 }, limitMs, asClasses);
  } catch (error) {
    if (codeOf(error) !== COMMAND_NOT_FOUND) throw error;
    return calls.command("open a connection", { isMaster: 1 }, limitMs, asClasses);
  }
}

function int32Of(reply: Document): Int32Class {
  const value: unknown = reply["maxWireVersion"];
  // Recognized by this mark, not by its name, which a bundler may have shortened.
  const isInt32 = typeof value === "object" && value !== null && Reflect.get(value, "_bsontype") === "Int32";
  if (isInt32) return value.constructor as Int32Class;
  throw new HeartbitError(
    "UNSUPPORTED_SERVER",
    "The MongoDB server gives its wire version in an unknown form.",
  );
}
