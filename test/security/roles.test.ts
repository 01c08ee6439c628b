import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { PresenceOptions } from "../../src/index.ts";
import { startServer, type TestServer, withDatabase } from "../servers/index.ts";
import { addressOf, withLogin, withOptions } from "../servers/uri.ts";
import { until } from "../support/wait.ts";
import { type Authorizer, type Privilege, startAuthorizer } from "./authorizer.ts";
import { failure, newUser, open, privilegesOf } from "./support.ts";

/**
 * A stand-in checks the actions of a role for the whole database, not for each collection; of `findAndModify` and of
 * an upsert only `update`, and `changeStream` not at all. So what is asked of it goes through an authorizer, which
 * checks what MongoDB documents; the stand-in's own checks come on top. A real mongod is asked alone.
 */
const DATABASE = "app";
const PERIOD_MS = 2000;
/** The rights without which something is refused. */
const RIGHTS = [
  ...["find", "insert", "update"].map((action) => [action, "meta"] as const),
  ...["records", "pings"].flatMap((part) =>
    ["find", "insert", "update", "remove", "createIndex"].map((action) => [action, part] as const),
  ),
];

let server: TestServer;
let admin: MongoClient;
let count = 0;
beforeAll(async () => {
  server = await startServer({ auth: true });
  admin = await new MongoClient(server.uri).connect();
});
afterAll(async () => {
  await admin.close();
  await server.stop();
});

interface Foreign {
  readonly _id: string | number;
  readonly [field: string]: unknown;
}

interface Access {
  readonly uri: string;
  /** What has come through the authorizer; nothing where the server is a mongod. */
  readonly commands: Authorizer["commands"];
}

/** A user with the privileges, and the way to the server that holds it to them. */
async function access(privileges: readonly Privilege[]): Promise<Access> {
  const user = await newUser(admin, DATABASE, { privileges });
  const { port } = addressOf(server.uri);
  const isMongod = server.kind === "mongod" || server.kind === "memory";
  const authorizer = await startAuthorizer(port, isMongod ? "all" : privileges);
  onTestFinished(() => authorizer.stop());
  const uri = withLogin(withDatabase(`mongodb://127.0.0.1:${authorizer.port}/`, DATABASE), user, "sesame");
  const options = `authSource=${DATABASE}&directConnection=true`;
  return { uri: withOptions(uri, options), commands: authorizer.commands };
}

const newName = (): string => `ns${count++}`;

/** What was dead long ago, in each of the collections of a namespace. */
async function addOld(name: string): Promise<void> {
  const db = admin.db(DATABASE);
  const old = { slot: 5, changed: new Date(5000) };
  const session = { session: 1, host: "h", pid: 1, opened: new Date(5000), last: 0, ...old };
  const registration = {
    key: "old",
    session: 1,
    pinger: 1,
    start: 1,
    since: new Date(5000),
    meta: "null",
    revision: 0,
  };
  await db.collection<Foreign>(`${name}.records`).insertMany([
    { _id: 1, ...session },
    { _id: "1.1.1", ...registration, ...old, last: 0 },
  ]);
  await db.collection<Foreign>(`${name}.pings`).insertOne({ _id: "5.0", slot: 5, 0: 2 });
  // Numbers that were given to sessions are not given again.
  await db.collection<Foreign>(`${name}.meta`).insertOne({ _id: "sessions", seq: 1 });
}

/** All that the API does with a store, but `drop`. */
async function useAll(uri: string, options: PresenceOptions): Promise<void> {
  const presence = await open(uri, { periodMs: PERIOD_MS, ...options });
  try {
    const watcher = presence.watcher();
    const heard: string[] = [];
    watcher.watch({ all: true }, ({ key, cause }) => heard.push(`${key} ${cause}`));
    await watcher.sync().catch((error: unknown) => {
      throw watcher.error ?? error;
    });
    const pinger = presence.pinger("a", { meta: 1 });
    await pinger.start();
    await pinger.update(2);
    await until(() => heard.includes("a joined") || heard.includes("a updated") || watcher.error !== null);
    if (watcher.error !== null) throw watcher.error;
    await presence.list();
    await presence.kill("a");
    await presence.pinger("b").start();
    await pinger.stop();
    await pinger.start();
    await presence.prune();
  } finally {
    await presence.close();
  }
}

describe("the role of the guide", () => {
  it("is enough for all but drop, feed included, and the one with drop for that too", async () => {
    const name = newName();
    const privileges = await privilegesOf("heartbit", DATABASE, name);
    const { uri, commands } = await access(privileges);
    await addOld(name);
    const said: string[] = [];
    const say = (message: string): unknown => said.push(message);
    await useAll(uri, { name, logger: { info: say, warn: say, error: say } });
    expect(said.filter((line) => line.includes("NOT_PERMITTED"))).toEqual([]);
    expect(commands).toContain(`aggregate ${name}.records`);
    for (const part of ["records", "pings"]) expect(commands).toContain(`delete ${name}.${part}`);

    const presence = await open(uri, { name, periodMs: PERIOD_MS });
    expect((await failure(presence.drop())).error).toMatchObject({ code: "NOT_PERMITTED" });
    const more = await access([...privileges, ...(await privilegesOf("heartbitDrop", DATABASE, name))]);
    const dropper = await open(more.uri, { name, periodMs: PERIOD_MS });
    await dropper.drop();
    const left = await admin.db(DATABASE).listCollections().toArray();
    expect(left.filter((one) => one.name.startsWith(`${name}.`))).toEqual([]);
  });

  it.each(RIGHTS)("is least: without %s on %s something is refused", async (action, part) => {
    const name = newName();
    const privileges = (await privilegesOf("heartbit", DATABASE, name)).map(({ resource, actions }) => {
      const isIt = resource.collection === `${name}.${part}`;
      return { resource, actions: isIt ? actions.filter((one) => one !== action) : actions };
    });
    const { uri } = await access(privileges);
    await addOld(name);
    await expect(useAll(uri, { name })).rejects.toMatchObject({ code: "NOT_PERMITTED" });
  });

  it.each(["records"])("is least: without changeStream on %s it polls", async (part) => {
    const name = newName();
    const privileges = (await privilegesOf("heartbit", DATABASE, name)).map(({ resource, actions }) => {
      const isIt = resource.collection === `${name}.${part}`;
      return { resource, actions: isIt ? actions.filter((one) => one !== "changeStream") : actions };
    });
    const { uri } = await access(privileges);
    const said: string[] = [];
    await useAll(uri, { name, logger: { info: (message) => said.push(message) } });
    expect(said.find((line) => line.includes("changes are polled"))).toContain("NOT_PERMITTED");
  });

  it("raises the retention without createIndex, once the namespace is there", async () => {
    const name = newName();
    const privileges = await privilegesOf("heartbit", DATABASE, name);
    await open((await access(privileges)).uri, { name, periodMs: PERIOD_MS, retentionSlots: 20 });
    const without = privileges.map(({ resource, actions }) => ({
      resource,
      actions: actions.filter((action) => action !== "createIndex"),
    }));
    await open((await access(without)).uri, { name, periodMs: PERIOD_MS, retentionSlots: 1000 });
    const config = await admin.db(DATABASE).collection<Foreign>(`${name}.meta`).findOne({ _id: "config" });
    expect(config?.["retention"]).toBe(1000);
  });

  it("has no other rights than those that were tried", async () => {
    const privileges = await privilegesOf("heartbit", DATABASE, "x");
    const granted = privileges.flatMap(({ resource, actions }) =>
      actions.map((action) => `${action} ${resource.collection.slice(2)}`),
    );
    const tried = RIGHTS.map(([action, part]) => `${action} ${part}`);
    expect(granted.toSorted()).toEqual([...tried, "changeStream records"].toSorted());
  });
});
