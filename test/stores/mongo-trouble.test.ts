import { type Document, MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { forEachSession } from "../../src/core/bits.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Namespace, Page, StoreNotice } from "../../src/core/store.ts";
import { type MongoStore, mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startFakeServer } from "../servers/fake-server.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { answered, settlesWithin, until } from "../support/wait.ts";

const PERIOD_MS = 500;
const SCALE = { periodMs: PERIOD_MS, retentionSlots: 120 };
/** With a period whose time limits no machine reaches: where the server answers. */
const PATIENT = { periodMs: 60_000, retentionSlots: 120 };
const SLOT = 1000;

let server: TestServer;
let store: MongoStore;
let namespace: Namespace;
/** The same. */
let patient: Namespace;
beforeAll(async () => {
  server = await startServer({ durable: true });
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = await openMongo(newDatabase(server.uri));
  namespace = store.namespace("presence", SCALE);
  patient = store.namespace("presence", PATIENT);
  await patient.configure({ version: 2, periodMs: PERIOD_MS, offset: 0, retentionSlots: 120, base: 0 });
});
afterEach(async () => {
  server.resume();
  await Promise.all([namespace.close(), patient.close()]);
  await store.close();
});

/** Whose bits are set. */
async function pinged(): Promise<number[]> {
  const seqs: number[] = [];
  for (const record of await patient.pings(SLOT)) forEachSession(record, (seq) => seqs.push(seq));
  return seqs;
}

function notices(): StoreNotice["kind"][] {
  const heard: StoreNotice["kind"][] = [];
  namespace.notices?.(({ kind }) => heard.push(kind));
  return heard;
}

function feed(): { pages: Page[]; lost: unknown[]; ready: Promise<void> } {
  const pages: Page[] = [];
  const lost: unknown[] = [];
  const opened = namespace.feed?.(EVERYTHING, {
    page: (page) => pages.push(page),
    lost: (error) => lost.push(error),
  });
  if (opened === undefined) return expect.fail("there is no feed");
  return { pages, lost, ready: opened.ready };
}

const session = (seq: number): Parameters<Namespace["write"]>[0] => [
  { kind: "session", session: { seq, host: "here", pid: 1, opened: Date.now(), slot: SLOT } },
];
const toldSessions = (pages: readonly Page[]): number[] =>
  pages.flatMap(({ sessions }) => sessions.map(({ seq }) => seq));

describe("a frozen server", () => {
  it("makes every call fail in time, piles up no connections, and serves at once when it continues", async () => {
    let open = 0;
    let openMax = 0;
    store.db.client.on("connectionCreated", () => (openMax = Math.max(openMax, ++open)));
    store.db.client.on("connectionClosed", () => open--);
    server.pause();
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 30 }, () => namespace.ping(SLOT, 1));
      const fail = calls.map((call) => expect(call).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" }));
      await Promise.all(fail);
    }
    expect(openMax).toBeLessThanOrEqual(store.db.client.options.maxPoolSize);
    server.resume();
    // A new client has nothing that was given up. Once it is served, so is the first call of the store.
    const fresh = await answered(() => openMongo(newDatabase(server.uri)));
    await answered(() => fresh.namespace("presence", PATIENT).time());
    await patient.ping(SLOT, 2);
    expect(await pinged()).toContain(2);
    await fresh.close();
  });

  it("does not hold up the closing of a store for long", async () => {
    const { ready } = feed();
    await ready;
    server.pause();
    const closing = namespace.close().then(() => store.close());
    expect(await settlesWithin(2000, closing)).toBe(true);
    await closing;
  });
});

describe("a server that goes away and comes back", () => {
  it.each(["kill9", "restart"] as const)(
    "by %s: the loss and the return are noticed, calls succeed again, and the feed goes on or says that it is lost",
    async (how) => {
      const heard = notices();
      const { pages, lost, ready } = feed();
      await ready;
      await patient.write(session(1));
      await until(() => toldSessions(pages).includes(1));
      if (how === "kill9") await server.kill9();
      await server.restart();
      await answered(() => namespace.ping(SLOT, 1));
      await until(() => heard.includes("lost") && heard.lastIndexOf("found") > heard.lastIndexOf("lost"));
      // A stand-in finds only as later events come that it has lost the one from which the feed would go on.
      for (let seq = 2; lost.length === 0 && !toldSessions(pages).some((told) => told >= 2); seq++) {
        await answered(() => namespace.write(session(seq)));
        await answered(() => patient.time());
      }
      expect(await answered(() => patient.config())).toEqual({
        version: 2,
        periodMs: PERIOD_MS,
        offset: 0,
        retentionSlots: 120,
        base: 0,
      });
    },
  );
});

it("a server that claims for a while to be in no replica set is found again", async () => {
  let isMember = true;
  const fake = await startFakeServer((command, address) => ({
    ok: 1,
    ismaster: true,
    isWritablePrimary: true,
    setName: "set",
    hosts: isMember ? [address] : [],
    me: address,
    localTime: new Date(),
    minWireVersion: 0,
    maxWireVersion: 21,
    value: { now: new Date() },
    cursor: { id: 0, ns: `${String(command["$db"])}.none`, firstBatch: [] },
  }));
  const found = await openMongo(`${fake.uri}?heartbeatFrequencyMS=500`);
  const asked = found.namespace("presence", SCALE);
  const heard: StoreNotice["kind"][] = [];
  asked.notices?.(({ kind }) => heard.push(kind));
  isMember = false;
  await until(() => heard.includes("lost"));
  await expect(asked.time()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  isMember = true;
  await answered(() => asked.time());
  await until(() => heard.lastIndexOf("found") > heard.lastIndexOf("lost"));
  await asked.close();
  await found.close();
  await fake.stop();
});

describe("a call that meets", () => {
  let admin: MongoClient;
  beforeAll(() => {
    admin = new MongoClient(server.uri);
  });
  afterEach(() => admin.db("admin").command({ configureFailPoint: "failCommand", mode: "off" }));
  afterAll(() => admin.close());

  async function failNext(times: number, data: Document): Promise<void> {
    const failCommands = ["update", "findAndModify", "find", "aggregate"];
    const failPoint = { configureFailPoint: "failCommand", mode: { times }, data: { failCommands, ...data } };
    await admin.db("admin").command(failPoint);
  }

  it.each([
    ["a closed connection", { closeConnection: true }],
    ["a primary that steps down", { errorCode: 10107 }],
    ["a shutdown", { errorCode: 91 }],
    ["a member in recovery", { errorCode: 11600 }],
  ])("%s once, succeeds", async (_, data) => {
    await failNext(1, data);
    await patient.ping(SLOT, 1);
    await failNext(1, data);
    expect(await patient.nextSeq()).toBeGreaterThan(0);
    for (const act of [() => patient.mail(SLOT, [1]), () => patient.countOpen(1), () => patient.time()]) {
      await failNext(1, data);
      await act();
    }
    expect((await patient.ping(SLOT, 1)).hasMail).toBe(true);
  });

  it("a primary that steps down again and again is STORE_UNAVAILABLE, with the true cause", async () => {
    await failNext(100, { errorCode: 10107 });
    const error: unknown = await patient.ping(SLOT, 1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(HeartbitError);
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
  });

  it("a majority that does not acknowledge is STORE_UNAVAILABLE, and the repetition does no harm", async () => {
    await failNext(1, { writeConcernError: { code: 64, errmsg: "waiting for replication timed out" } });
    await expect(patient.ping(SLOT, 1)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await patient.ping(SLOT, 1);
    expect(await pinged()).toEqual([1]);
  });

  it("a refusal is NOT_PERMITTED", async () => {
    await patient.time();
    await failNext(1, { errorCode: 13 });
    await expect(patient.ping(SLOT, 1)).rejects.toMatchObject({
      code: "NOT_PERMITTED",
      retryable: false,
    });
  });
});

it("100 presences on one client listen to it as one, and leave it as it was", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", onWarning);
  const client = new MongoClient(newDatabase(server.uri));
  await client.connect();
  const listeners = (): number =>
    client.eventNames().reduce((count, event) => count + client.listenerCount(event as "open"), 0);
  const before = listeners();
  const namespaces = Array.from({ length: 100 }, (_, index) =>
    mongoStore(client.db()).namespace(`n${index}`, SCALE),
  );
  let heard = 0;
  for (const one of namespaces) one.notices?.(() => heard++);
  expect(listeners()).toBe(before + 2);
  await Promise.all(namespaces.map((one) => one.close()));
  expect(listeners()).toBe(before);
  await client.close();
  process.off("warning", onWarning);
  expect(warnings).toEqual([]);
  expect(heard).toBe(0);
});
