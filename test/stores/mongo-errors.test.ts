import { createRequire } from "node:module";
import { type Document, MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeartbitError } from "../../src/core/errors.ts";
import type { Namespace } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { isWorthRepeating, toHeartbitError } from "../../src/stores/mongo/failures.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startFakeServer } from "../servers/fake-server.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { settlesWithin } from "../support/wait.ts";
import { databaseOf, withDatabase, withLogin, withOptions, withoutLoginAndOptions } from "../servers/uri.ts";

/** Long: the time limits of calls follow it, and are not what is tested here. */
const SCALE = { periodMs: 60_000, retentionSlots: 120 };
const CONFIG = { version: 2, periodMs: SCALE.periodMs, offset: 0, retentionSlots: 120, base: 0 };
/** Nobody listens there. */
const NOBODY = "mongodb://127.0.0.1:1/heartbit";

/** The error that the promise rejects with. */
async function failure(promise: Promise<unknown>): Promise<{ error: HeartbitError }> {
  const error = await promise.then(
    () => expect.fail("it resolved"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HeartbitError);
  return { error: error as HeartbitError };
}

/** All that an error tells, its causes included. */
function tellings(error: unknown): string {
  return error instanceof Error ? `${error.message} ${error.stack} ${tellings(error.cause)}` : String(error);
}

describe("opening", () => {
  it("a server that is not there is STORE_UNAVAILABLE within 5 s", async () => {
    const opening = openMongo(NOBODY);
    expect(await settlesWithin(5000, opening)).toBe(true);
    await expect(opening).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("so it is for a Db of the caller's whose client would wait for half a minute", async () => {
    const client = new MongoClient(NOBODY, { serverSelectionTimeoutMS: 30_000 });
    const namespace = mongoStore(client.db()).namespace("presence", SCALE);
    const asking = namespace.config();
    expect(await settlesWithin(5000, asking)).toBe(true);
    await expect(asking).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await client.close();
  });

  it("a signal gives it up at once, with its reason", async () => {
    const controller = new AbortController();
    const opening = openMongo(NOBODY, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
  });

  it.each([
    ["no host", "mongodb:///presence"],
    ["a password with an at sign that is not escaped", "mongodb://joe:open@sesame@127.0.0.1/x"],
    ["a password with a slash that is not escaped", "mongodb://joe:open/sesame@127.0.0.1/x"],
    ["a port that is none", "mongodb://joe:sesame@127.0.0.1:99999999/x"],
    ["a database whose name has a dot", "mongodb://joe:sesame@127.0.0.1/a.b"],
    ["an unknown option", "mongodb://joe:sesame@127.0.0.1/x?nonsense=1"],
    ["an option with a wrong value", "mongodb://joe:sesame@127.0.0.1/x?maxPoolSize=many"],
    ["options that contradict each other", "mongodb://joe:sesame@127.0.0.1/x?tls=true&ssl=false"],
  ])("a connection string with %s is INVALID_OPTION, and tells no password", async (_, uri) => {
    const { error } = await failure(openMongo(uri));
    expect(error.code).toBe("INVALID_OPTION");
    expect(tellings(error)).not.toContain("sesame");
  });

  it.each(["local", "config"])(
    "the database %s, which is the server's own, is INVALID_OPTION",
    async (name) => {
      const { error } = await failure(openMongo(withDatabase(NOBODY, name)));
      expect(error).toMatchObject({
        code: "INVALID_OPTION",
        message: expect.stringContaining(name) as string,
      });
      const client = new MongoClient(NOBODY);
      expect(() => mongoStore(client.db(name))).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
      await client.close();
    },
  );

  it("a server before MongoDB 4.2 is UNSUPPORTED_SERVER", async () => {
    const hello: Document = { ok: 1, ismaster: true, isWritablePrimary: true, localTime: new Date() };
    const old = await startFakeServer(() => ({ ...hello, minWireVersion: 0, maxWireVersion: 7 }));
    const { error } = await failure(openMongo(old.uri));
    expect(error).toMatchObject({ code: "UNSUPPORTED_SERVER" });
    await old.stop();
  });

  it("a server without majority reads is UNSUPPORTED_SERVER, and the message says what to do", async () => {
    const hello: Document = { ok: 1, ismaster: true, isWritablePrimary: true, localTime: new Date() };
    const set = { setName: "rs", setVersion: 1, minWireVersion: 0, maxWireVersion: 9 };
    const server = await startFakeServer((command, me) => {
      if ("find" in command)
        return { ok: 0, code: 148, codeName: "ReadConcernMajorityNotEnabled", errmsg: "no" };
      return { ...hello, ...set, hosts: [me], me, primary: me };
    });
    const { error } = await failure(Presence.open(`${server.uri}x?directConnection=true`));
    expect(error.code).toBe("UNSUPPORTED_SERVER");
    expect(error.message).toContain("start every member without enableMajorityReadConcern: false");
    await server.stop();
  });

  it("the database is heartbit where the connection string names none", async () => {
    const uri = newDatabase();
    const named = await openMongo(uri);
    const unnamed = await openMongo(withDatabase(uri, ""));
    expect([named.db.databaseName, unnamed.db.databaseName]).toEqual([databaseOf(uri), "heartbit"]);
    await named.close();
    await unnamed.close();
  });
});

describe("a server with logins", () => {
  let server: TestServer;
  let admin: MongoClient;
  let database: string;
  beforeAll(async () => {
    server = await startServer({ auth: true });
    admin = new MongoClient(server.uri);
    database = newDatabase(server.uri);
  });
  afterAll(async () => {
    await admin.close();
    await server.stop();
  });

  async function asUserWith(
    roles: Document[],
  ): Promise<{ namespace: Namespace; close: () => Promise<void> }> {
    const user = `user${Math.random()}`;
    await admin.db("admin").command({ createUser: user, pwd: "sesame", roles });
    const store = await openMongo(withLogin(database, user, "sesame"));
    return { namespace: store.namespace("presence", SCALE), close: () => store.close() };
  }

  it("a wrong password is NOT_PERMITTED, and is not shown", async () => {
    const { error } = await failure(openMongo(withLogin(database, "administrator", "sesame")));
    expect(error.code).toBe("NOT_PERMITTED");
    expect(tellings(error)).not.toContain("sesame");
  });

  it("no login is NOT_PERMITTED", async () => {
    const store = await openMongo(withoutLoginAndOptions(database));
    const namespace = store.namespace("presence", SCALE);
    expect((await failure(namespace.config())).error.code).toBe("NOT_PERMITTED");
    await store.close();
  });

  it("a user who may only read opens an existing namespace, and is refused every write", async () => {
    const db = databaseOf(database);
    const writer = await asUserWith([{ role: "readWrite", db }]);
    const reader = await asUserWith([{ role: "read", db }]);
    expect((await failure(reader.namespace.configure(CONFIG))).error.code).toBe("NOT_PERMITTED");
    await writer.namespace.configure(CONFIG);
    expect(await reader.namespace.configure({ ...CONFIG, periodMs: 1 })).toEqual(CONFIG);
    expect(await reader.namespace.config()).toEqual(CONFIG);
    expect(await reader.namespace.pings(0)).toEqual([]);
    expect((await reader.namespace.countOpen(1)).count).toBe(0);
    // Without the right to have a stamp made it is the clock of the server that answers.
    for (let round = 0; round < 2; round++) {
      const before = await writer.namespace.time();
      const read = await reader.namespace.time();
      expect(read).toBeGreaterThanOrEqual(before - 50);
      expect(read).toBeLessThanOrEqual((await writer.namespace.time()) + 50);
    }
    const writes: ((namespace: Namespace) => Promise<unknown>)[] = [
      (namespace) => namespace.ping(1, 1),
      (namespace) => namespace.mail(1, [1]),
      (namespace) => namespace.kill("key"),
      (namespace) => namespace.nextSeq(),
      (namespace) => namespace.write([{ kind: "endSession", session: 1, last: 0 }]),
    ];
    for (const write of writes) {
      expect((await failure(write(reader.namespace))).error.code).toBe("NOT_PERMITTED");
    }
    await writer.close();
    await reader.close();
  });
});

describe("the loss of a connection", () => {
  const load = createRequire(import.meta.url);
  // The driver does not export these.
  const pools = ["mongodb", "mongodb6"].flatMap((driver) => {
    const { PoolClearedError, PoolClearedOnNetworkError } = load(`${driver}/lib/cmap/errors.js`) as Record<
      string,
      new (pool: object) => Error
    >;
    return [PoolClearedError, PoolClearedOnNetworkError].map((Cleared) => new Cleared!({ address: "a:1" }));
  });

  it.each(pools.map((error) => [error.name, error] as const))("by %s passes", (_, error) => {
    expect(isWorthRepeating(error)).toBe(true);
    expect(toHeartbitError(error, "ping")).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });
});

describe("the client of a connection string", () => {
  it("looks after the server as seldom as the driver does by itself, and by polling", async () => {
    const store = await openMongo(newDatabase());
    const { heartbeatFrequencyMS, serverMonitoringMode, maxPoolSize } = store.db.client.options;
    expect([heartbeatFrequencyMS, serverMonitoringMode, maxPoolSize]).toEqual([10_000, "poll", 10]);
    await store.close();
  });

  it("does as the connection string says where it says so", async () => {
    const said = "heartbeatFrequencyMS=700&servermonitoringmode=stream&maxpoolsize=7";
    const store = await openMongo(withOptions(newDatabase(), said));
    const { heartbeatFrequencyMS, serverMonitoringMode, maxPoolSize } = store.db.client.options;
    expect([heartbeatFrequencyMS, serverMonitoringMode, maxPoolSize]).toEqual([700, "stream", 7]);
    await store.close();
  });
});
