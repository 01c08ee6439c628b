/** What the store makes of its client: a collection of it, the limits of its calls, its clock. */
import { type Db, type Document, MongoClient } from "mongodb";
import { MongoClient as Mongo6 } from "mongodb6";
import { beforeEach, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { Calls } from "../../src/stores/mongo/calls.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { everything, readAll } from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";
import { timersThatHold } from "../support/timers.ts";
import { passes } from "../support/wait.ts";
import { newClient } from "./support.ts";

let client: MongoClient;
beforeEach(() => void (client = newClient()));

it.each(["its database", "its client alone, as before driver 6.20"])(
  "a Collection that tells %s is a target, and its name the namespace",
  async (tells) => {
    const collection = client.db().collection("agents");
    const { collectionName, dbName } = collection;
    const target = tells === "its database" ? collection : { collectionName, dbName, client };
    const presence = await Presence.open(target);
    await presence.pinger("k").start();
    expect(presence.name).toBe("agents");
    expect(await client.db().collection("agents.records").countDocuments({ key: "k" })).toBe(1);
    await presence.drop();
    await presence.close();
  },
);

it("the caller's timeoutMS applies to no call of the store", async () => {
  const hurried = new Mongo6(newDatabase(), { timeoutMS: 2000 });
  const { db } = mongoStore(hurried.db() as unknown as Db);
  expect([db.timeoutMS, db.databaseName]).toEqual([undefined, hurried.db().databaseName]);
  await hurried.close();
});

it("the limit of a call that is not answered does not keep the process alive, and ends it in time", async () => {
  const calls = new Calls(client.db());
  const before = timersThatHold();
  const call = calls.bounded("wait", 30_000, () => new Promise((resolve) => setImmediate(resolve, "yes")));
  expect(timersThatHold()).toBe(before);
  expect(await call).toBe("yes");
  await expect(calls.bounded("wait", 20, () => new Promise(() => {}))).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
});

it("what is stamped by a clock that is most of a second behind is read all the same, however short the period", async () => {
  const db = client.db();
  const namespace = mongoStore(db).namespace("presence", { periodMs: 100, retentionSlots: 120 });
  const { cursor: since } = await readAll(namespace, { select: everything() });
  const changed = new Date((await namespace.time()) - 900);
  const session = { host: "here", pid: 1, opened: new Date(), slot: 1, last: 2 ** 53 - 1, changed };
  await db
    .collection<Document & { _id: number }>("presence.records")
    .insertOne({ _id: 7, session: 7, ...session });
  expect([...(await readAll(namespace, { select: everything(), since })).sessions.keys()]).toEqual([7]);
});

it("says that no connection is free, when the program's own calls have all of them", () => {
  const own = new MongoClient("mongodb://a/?maxPoolSize=2");
  const namespace = mongoStore(own.db("x")).namespace("presence", { periodMs: 100, retentionSlots: 120 });
  const end = namespace.notices?.(() => {});
  const use = (event: string): boolean =>
    own.emit(event as "connectionCheckedOut", { address: "a:27017" } as never);
  use("connectionCheckedIn"); // taken before anybody listened
  use("connectionCheckedOut");
  expect(namespace.delay?.()).toBeUndefined();
  use("connectionCheckedOut");
  expect(namespace.delay?.()).toMatch(/all 2 of its maxPoolSize are in use/);
  use("connectionCheckedIn");
  expect(namespace.delay?.()).toBeUndefined();
  end?.();
});

it.each([
  [1, 1],
  [10, 3],
  [0, 30],
])(
  "of %d connections operations of the program use %d, however many presences there are",
  async (most, used) => {
    const own = new MongoClient(`mongodb://a/?maxPoolSize=${most}`);
    let running = 0;
    for (let count = 0; count < 30; count++) {
      const one = mongoStore(own.db("x")).namespace(`n${count}`, { periodMs: 5000, retentionSlots: 120 });
      void one.inTurn?.(() => new Promise(() => running++));
    }
    await passes(0);
    expect(running).toBe(used);
  },
);
