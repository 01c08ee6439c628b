/** For tests: what a MongoDB server answers to `doctor` where all is well, for a server that says what a test wants. */
import { BSON, type Document } from "mongodb";
import { onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/lib/system-clock.ts";
import { startFakeServer } from "../servers/fake-server.ts";

export const DATABASE = "app";
const ALL = ["find", "insert", "update", "remove", "createIndex", "changeStream"];
export const privilege = (collection: string, ...actions: readonly string[]): Document => ({
  resource: { db: DATABASE, collection },
  actions,
});

const INDEXES: Readonly<Record<string, readonly Document[]>> = {
  "presence.records": [
    { changed: 1 },
    { key: 1 },
    { session: 1, last: 1, opened: 1 },
    { last: 1 },
    { slot: 1 },
  ],
  "presence.pings": [{ slot: 1 }, { expireAt: 1 }],
};

const CONFIG = { _id: "config", version: 2, period: 5000, offset: 0, retention: 120, base: 0, indexes: 1 };

/** The answer to a command that finds these. */
export const rows = (firstBatch: readonly Document[], more: Document = {}): Document => ({
  ok: 1,
  cursor: { id: BSON.Long.ZERO, ns: `${DATABASE}.x`, firstBatch, ...more },
});

/** A feed that stays open and has nothing to tell. */
const FEED = { id: BSON.Long.ONE, postBatchResumeToken: { _data: "1" } };

export const UNAUTHORIZED = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" };

/** What differs from a server on which all is well. */
export interface Differences {
  /** How far its clock is ahead, in ms. */
  readonly aheadMs?: number;
  readonly privileges?: readonly Document[];
  /** What it says of itself besides. */
  readonly hello?: Document;
  /** How long a majority takes to acknowledge a write, in ms: by this process's clock, which the answer sets forward. */
  readonly lagMs?: number;
  /** The answer to what names this command, or this stage of an aggregation. */
  readonly answers?: Readonly<Record<string, Document | ((command: Document) => Document)>>;
}

function answer(command: Document, address: string, differs: Differences): Document {
  const [name = "", target] = Object.entries(command)[0] ?? [];
  const stage = Object.keys((command["pipeline"] as Document[] | undefined)?.[0] ?? {})[0] ?? name;
  const given = differs.answers?.[stage];
  if (given !== undefined) return typeof given === "function" ? given(command) : given;
  const now = new Date(Date.now() + (differs.aheadMs ?? 0));
  switch (stage) {
    case "hello":
    case "isMaster":
    case "ismaster":
      return {
        ok: 1,
        helloOk: true,
        isWritablePrimary: true,
        ismaster: true,
        setName: "rs",
        me: address,
        primary: address,
        hosts: [address],
        minWireVersion: 0,
        maxWireVersion: 21,
        maxBsonObjectSize: 16_777_216,
        maxMessageSizeBytes: 48_000_000,
        maxWriteBatchSize: 100_000,
        localTime: now,
        connectionId: 1,
        ...differs.hello,
      };
    case "buildInfo":
      return { ok: 1, version: "8.0.4" };
    case "find":
      return rows(target === "presence.meta" ? [CONFIG] : []);
    case "listIndexes":
      return rows((INDEXES[String(target)] ?? []).map((key) => ({ key })));
    case "$collStats":
      return rows([{ storageStats: { storageSize: 4096, totalIndexSize: 8192 } }]);
    case "$currentOp":
      return rows([]);
    case "findAndModify":
      return { ok: 1, value: { now, seq: 1 } };
    case "$changeStream":
      return rows([], FEED);
    case "getMore":
      return { ok: 1, cursor: { ns: `${DATABASE}.x`, nextBatch: [], ...FEED } };
    case "connectionStatus": {
      const authenticatedUserPrivileges = differs.privileges ?? [privilege("", ...ALL)];
      const authenticatedUsers = [{ user: "me", db: "admin" }];
      return { ok: 1, authInfo: { authenticatedUsers, authenticatedUserPrivileges } };
    }
    default:
      return { ok: 1 };
  }
}

/** A server on which all is well, but for what differs. Gives its connection string. */
export async function startHealthyServer(differs: Differences = {}): Promise<string> {
  let laggedMs = 0;
  const clock = vi.spyOn(systemClock, "monotonic").mockImplementation(() => performance.now() + laggedMs);
  const server = await startFakeServer(async (command, address) => {
    if (command["writeConcern"]?.w === "majority") laggedMs += differs.lagMs ?? 0;
    return answer(command, address, differs);
  });
  onTestFinished(async () => {
    clock.mockRestore();
    await server.stop();
  });
  return `${server.uri}${DATABASE}?directConnection=true`;
}
