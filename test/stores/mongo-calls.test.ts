/** What the store makes of its client: a collection of it, the limits of its calls, its refusals, its clock. */
import { type Document, MongoClient } from "mongodb";
import { MongoClient as Mongo6 } from "mongodb6";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { ReadQuery } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { Calls } from "../../src/stores/mongo/calls.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { type FakeServer, startFakeServer } from "../servers/fake-server.ts";
import { databaseOf, withLogin, withOptions } from "../servers/uri.ts";
import { timersThatHold } from "../support/timers.ts";

let client: MongoClient;
beforeAll(async () => {
  client = await new MongoClient(newDatabase()).connect();
});
afterAll(() => client.close());

it.each(["its database", "its client alone, as before driver 6.20"])(
  "a Collection that tells %s is a target, and its name the namespace",
  async (tells) => {
    const collection = client.db(databaseOf(newDatabase())).collection("agents");
    const { collectionName, dbName } = collection;
    const target = tells === "its database" ? collection : { collectionName, dbName, client };
    const presence = await Presence.open(target);
    await presence.pinger("k").start();
    expect(presence.name).toBe("agents");
    expect(await client.db(dbName).collection("agents.records").countDocuments({ key: "k" })).toBe(1);
    await presence.drop();
    await presence.close();
  },
);

it("the caller's timeoutMS applies to no call of the store", async () => {
  const hurried = new Mongo6(newDatabase(), { timeoutMS: 2000 });
  const { db } = mongoStore(hurried.db() as unknown as Parameters<typeof mongoStore>[0]);
  expect([db.timeoutMS, db.databaseName]).toEqual([undefined, hurried.db().databaseName]);
  await hurried.close();
});

it("the limit of a call that is not answered does not keep the process alive, and ends it in time", async () => {
  const calls = new Calls(client.db());
  const before = timersThatHold();
  const call = calls.bounded(
    "wait",
    30_000,
    () => new Promise<string>((resolve) => setImmediate(resolve, "yes")),
  );
  expect(timersThatHold()).toBe(before);
  expect(await call).toBe("yes");
  await expect(calls.bounded("wait", 20, () => new Promise(() => {}))).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
});

/** A server like Atlas, which refuses the command of this name. */
async function refusing(name: string): Promise<FakeServer> {
  const hello: Document = { ismaster: true, isWritablePrimary: true, minWireVersion: 0, maxWireVersion: 21 };
  return startFakeServer((command) =>
    name in command
      ? { ok: 0, code: 8000, codeName: "AtlasError", errmsg: "refused" }
      : { ok: 1, ...hello, localTime: new Date() },
  );
}

describe("what Atlas refuses with its one code", () => {
  it("is NOT_PERMITTED where it is the login", async () => {
    const server = await refusing("saslStart");
    const uri = withOptions(withLogin(`${server.uri}x`, "joe", "sesame"), "authMechanism=SCRAM-SHA-256");
    await expect(openMongo(uri)).rejects.toMatchObject({ code: "NOT_PERMITTED" });
    await server.stop();
  });

  it("is STORE_UNAVAILABLE where it is something else, as a write when the space is used up", async () => {
    const server = await refusing("findAndModify");
    const store = await openMongo(server.uri);
    const ping = store.namespace("presence", { periodMs: 5000, retentionSlots: 120 }).ping(1, 1);
    await expect(ping).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    await store.close();
    await server.stop();
  });
});

it("what is stamped by a clock that is most of a second behind is read all the same, however short the period", async () => {
  const db = client.db(databaseOf(newDatabase()));
  const namespace = mongoStore(db).namespace("presence", { periodMs: 100, retentionSlots: 120 });
  const sessions = async (
    query: Partial<ReadQuery>,
  ): Promise<{ seqs: number[]; cursor: ReadQuery["since"] }> => {
    const seqs: number[] = [];
    let cursor: ReadQuery["since"];
    for await (const page of namespace.read({ select: EVERYTHING, ...query })) {
      seqs.push(...page.sessions.map(({ seq }) => seq));
      cursor = page.cursor ?? cursor;
    }
    return { seqs, cursor };
  };
  const { cursor } = await sessions({});
  const changed = new Date((await namespace.time()) - 900);
  const session = {
    session: 7,
    host: "here",
    pid: 1,
    opened: new Date(),
    slot: 1,
    last: 2 ** 53 - 1,
    changed,
  };
  await db.collection<Document & { _id: number }>("presence.records").insertOne({ _id: 7, ...session });
  expect((await sessions({ since: cursor })).seqs).toEqual([7]);
  await db.dropDatabase();
});
