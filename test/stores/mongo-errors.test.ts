import { createRequire } from "node:module";
import { BSON, type Document } from "mongodb";
import { describe, expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { isWorthRepeating, toHeartbitError } from "../../src/stores/mongo/failures.ts";
import { mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { CONFIG } from "../../src/testing/contract/world.ts";
import { startServer } from "../servers/index.ts";
import { withDatabase, withLogin, withoutLoginAndOptions } from "../servers/uri.ts";
import { settlesWithin } from "../support/wait.ts";
import { failure, fakeServer, newClient } from "./support.ts";

/** Nobody listens there. */
const NOBODY = "mongodb://127.0.0.1:1/heartbit";

/** What a member of a replica set says of itself. */
const member = (setName: string, me: string) => ({ setName, setVersion: 1, hosts: [me], me, primary: me });

describe("opening", () => {
  it.each([
    ["of a connection string", () => openMongo(NOBODY)],
    [
      "of a Db of the caller's whose client would wait for half a minute",
      () =>
        mongoStore(newClient({ serverSelectionTimeoutMS: 30_000 }, NOBODY).db())
          .namespace("presence", CONFIG)
          .config(),
    ],
  ])("a server that is not there, %s, is STORE_UNAVAILABLE within 5 s", async (_, open) => {
    const opening = open();
    expect(await settlesWithin(5000, opening)).toBe(true);
    expect(await failure(opening)).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("a signal gives it up at once, with its reason", async () => {
    const controller = new AbortController();
    const opening = openMongo(NOBODY, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
  });

  it.each(["local", "config"])(
    "the database %s, which is the server's own, is INVALID_OPTION",
    async (name) => {
      const refusal = { code: "INVALID_OPTION", message: expect.stringContaining(name) as string };
      expect(await failure(openMongo(withDatabase(NOBODY, name)))).toMatchObject(refusal);
      expect(() => mongoStore(newClient({}, NOBODY).db(name))).toThrow(expect.objectContaining(refusal));
    },
  );

  it("a replica set of another name is INVALID_OPTION, and the message has the name", async () => {
    const server = await fakeServer((_, __, me) => member("right", me));
    const message: unknown = expect.stringContaining("replicaSet=wrong");
    const wrong = failure(openMongo(`${server.uri.split("?")[0]}?replicaSet=wrong`));
    expect(await wrong).toMatchObject({ code: "INVALID_OPTION", message });
  });

  it("a server before MongoDB 4.2 is UNSUPPORTED_SERVER", async () => {
    const old = await fakeServer(() => ({ maxWireVersion: 7 }));
    expect((await failure(openMongo(old.uri))).code).toBe("UNSUPPORTED_SERVER");
  });

  it("a server without majority reads is UNSUPPORTED_SERVER, and the message says what to do", async () => {
    const refusal = { ok: 0, code: 148, codeName: "ReadConcernMajorityNotEnabled", errmsg: "no" };
    const server = await fakeServer((name, _, me) => (name === "find" ? refusal : member("rs", me)));
    expect(await failure(Presence.open(`${server.uri}x?directConnection=true`))).toMatchObject({
      code: "UNSUPPORTED_SERVER",
      message: expect.stringContaining("start every member without enableMajorityReadConcern: false"),
    });
  });

  it("a database whose name is another's in upper or lower case is INVALID_OPTION, and the message has both", async () => {
    const errmsg = "db already exists with different case already have: [App] trying to create [app]";
    const server = await fakeServer((name): Document => {
      if (name === "createIndexes") return { ok: 0, code: 13297, codeName: "DatabaseDifferCase", errmsg };
      return { cursor: { id: BSON.Long.ZERO, ns: "app.x", firstBatch: [] } };
    });
    const opening = Presence.open(`${server.uri}app?directConnection=true`);
    expect(await failure(opening)).toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("already have: [App] trying to create [app]"),
    });
  });

  it("a wrong password, and no login where one is wanted, are NOT_PERMITTED; the password is not shown", async () => {
    const server = await startServer({ auth: true });
    onTestFinished(() => server.stop());
    const error = await failure(openMongo(withLogin(server.uri, "administrator", "sesame")));
    expect(error.code).toBe("NOT_PERMITTED");
    expect(`${error.stack} ${String((error.cause as Error).stack)}`).not.toContain("sesame");
    const store = await openMongo(withoutLoginAndOptions(server.uri));
    onTestFinished(() => store.close());
    expect((await failure(store.namespace("presence", CONFIG).config())).code).toBe("NOT_PERMITTED");
  });
});

/** A server like Atlas, which refuses the command of this name. */
const refusing = (refused: string): ReturnType<typeof fakeServer> =>
  fakeServer((name): Document | undefined =>
    name === refused ? { ok: 0, code: 8000, codeName: "AtlasError", errmsg: "refused" } : undefined,
  );

describe("what Atlas refuses with its one code", () => {
  it("is NOT_PERMITTED where it is the login", async () => {
    const { uri } = await refusing("saslStart");
    const opening = openMongo(`${withLogin(uri, "joe", "sesame")}?authMechanism=SCRAM-SHA-256`);
    expect((await failure(opening)).code).toBe("NOT_PERMITTED");
  });

  it("is STORE_UNAVAILABLE where it is something else, as a write when the space is used up", async () => {
    const store = await openMongo((await refusing("findAndModify")).uri);
    onTestFinished(() => store.close());
    const error = await failure(store.namespace("presence", CONFIG).ping(1, 1));
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });
});

describe("the loss of a connection", () => {
  const load = createRequire(import.meta.url);
  // The driver does not export these.
  const lost = ["mongodb", "mongodb6"].flatMap((driver) => {
    const errors = load(`${driver}/lib/cmap/errors.js`) as Record<string, new (pool: object) => Error>;
    return [errors["PoolClearedError"]!, errors["PoolClearedOnNetworkError"]!].map(
      (Cleared) => new Cleared({ address: "a:1" }),
    );
  });

  it.each(lost.map((error) => [error.name, error] as const))("by %s passes", (_, error) => {
    expect(isWorthRepeating(error)).toBe(true);
    expect(toHeartbitError(error, "ping")).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });
});
