import { type Document, Long, MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Namespace, StoreNotice } from "../../src/core/store.ts";
import { type MongoStore, mongoStore, openMongo } from "../../src/stores/mongo/index.ts";
import { aSession, CONFIG, everything, put } from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";
import type { FakeServer } from "../servers/fake-server.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { answered, passes, settlesWithin, until } from "../support/wait.ts";
import { failure, fakeServer, Heard, pinged } from "./support.ts";

const SLOT = 1000;

let server: TestServer;
let store: MongoStore;
/** With time limits that are soon reached. */
let namespace: Namespace;
/** The same, with time limits that no machine reaches: where the server answers. */
let patient: Namespace;
beforeAll(async () => {
  server = await startServer({ durable: true });
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = await openMongo(newDatabase(server.uri));
  namespace = store.namespace("presence", { ...CONFIG, periodMs: 500 });
  patient = store.namespace("presence", CONFIG);
  await patient.configure(CONFIG);
});
afterEach(async () => {
  server.resume();
  await Promise.all([namespace.close(), patient.close()]);
  await store.close();
});

/** `lost` resolves when the namespace has noticed that the server was lost, `found` when it is found again after that. */
function noticesOf(of: Namespace) {
  const heard: StoreNotice["kind"][] = [];
  of.notices?.(({ kind }) => heard.push(kind));
  return {
    lost: () => until(() => heard.includes("lost")),
    found: () =>
      until(() => heard.includes("lost") && heard.lastIndexOf("found") > heard.lastIndexOf("lost")),
  };
}

describe("a frozen server", () => {
  it("makes every call fail in time, piles up no connections, and serves at once when it continues", async () => {
    let open = 0;
    let openMax = 0;
    store.db.client.on("connectionCreated", () => (openMax = Math.max(openMax, ++open)));
    store.db.client.on("connectionClosed", () => open--);
    server.pause();
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 30 }, () => failure(namespace.ping(SLOT, 1)));
      for (const { code } of await Promise.all(calls)) expect(code).toBe("STORE_UNAVAILABLE");
    }
    expect(openMax).toBeLessThanOrEqual(store.db.client.options.maxPoolSize);
    server.resume();
    // A new client has nothing that was given up. Once it is served, so is the first call of the store.
    const fresh = await answered(() => openMongo(newDatabase(server.uri)));
    await answered(() => fresh.namespace("presence", CONFIG).time());
    await patient.ping(SLOT, 2);
    expect(await pinged(patient)).toContain(2);
    await fresh.close();
  });

  it("does not hold up the closing of a store for long", async () => {
    await new Heard(namespace, everything()).feed.ready;
    server.pause();
    expect(
      await settlesWithin(
        2000,
        namespace.close().then(() => store.close()),
      ),
    ).toBe(true);
  });
});

it.each(["kill9", "restart"] as const)(
  "a server that goes away by %s, and comes back: that is noticed, calls succeed, and the feed goes on or is lost",
  async (how) => {
    const { found } = noticesOf(namespace);
    const heard = new Heard(namespace, everything());
    await heard.feed.ready;
    await patient.write([put.session(aSession(1, SLOT))]);
    await until(() => heard.sessions.includes(1));
    if (how === "kill9") await server.kill9();
    await server.restart();
    await answered(() => namespace.ping(SLOT, 1));
    await found();
    // A stand-in finds only as later events come that it has lost the one from which the feed would go on.
    for (let seq = 2; heard.lost.length === 0 && !heard.sessions.some((told) => told >= 2); seq++) {
      await answered(() => namespace.write([put.session(aSession(seq, SLOT))]));
      await answered(() => patient.time());
    }
    expect(await answered(() => patient.config())).toEqual(CONFIG);
  },
);

it("a server that claims for a while to be in no replica set is found again", async () => {
  let isMember = true;
  const fake = await fakeServer((_, command, address) => ({
    setName: "set",
    hosts: isMember ? [address] : [],
    me: address,
    value: { now: new Date() },
    cursor: { id: 0, ns: `${String(command["$db"])}.none`, firstBatch: [] },
  }));
  const found = await openMongo(`${fake.uri}?heartbeatFrequencyMS=500`);
  onTestFinished(() => found.close());
  const asked = found.namespace("presence", { ...CONFIG, periodMs: 500 });
  const notices = noticesOf(asked);
  isMember = false;
  await notices.lost();
  expect((await failure(asked.time())).code).toBe("STORE_UNAVAILABLE");
  isMember = true;
  await answered(() => asked.time());
  await notices.found();
  await asked.close();
});

describe("a call that meets", () => {
  let admin: MongoClient;
  beforeAll(() => {
    admin = new MongoClient(server.uri);
  });
  const setFailPoint = (mode: unknown, data: Document = {}): Promise<Document> =>
    admin.db("admin").command({ configureFailPoint: "failCommand", mode, data });
  afterEach(() => setFailPoint("off"));
  afterAll(() => admin.close());

  const failNext = (times: number, data: Document): Promise<Document> =>
    setFailPoint({ times }, { failCommands: ["update", "findAndModify", "find", "aggregate"], ...data });

  it.each([
    ["a closed connection", { closeConnection: true }],
    ["a primary that steps down", { errorCode: 10107 }],
    ["a shutdown", { errorCode: 91 }],
    ["a member in recovery", { errorCode: 11600 }],
  ])("%s once, succeeds", async (_, data) => {
    for (const act of [
      () => patient.ping(SLOT, 1),
      () => patient.nextSeq(),
      () => patient.mail(SLOT, [1]),
      () => patient.countOpen(1),
      () => patient.time(),
    ]) {
      await failNext(1, data);
      await act();
    }
    expect((await patient.ping(SLOT, 1)).hasMail).toBe(true);
  });

  const unacknowledged = { code: 64, errmsg: "waiting for replication timed out" };
  it.each([
    ["a primary that steps down again and again", "STORE_UNAVAILABLE", true, 100, { errorCode: 10107 }],
    [
      "a majority that does not acknowledge",
      "STORE_UNAVAILABLE",
      true,
      1,
      { writeConcernError: unacknowledged },
    ],
    ["a refusal", "NOT_PERMITTED", false, 1, { errorCode: 13 }],
  ])("%s is %s, and the repetition does no harm", async (_, code, retryable, times, data) => {
    await patient.time();
    await failNext(times, data);
    expect(await failure(patient.ping(SLOT, 1))).toMatchObject({ code, retryable });
    await setFailPoint("off");
    await patient.ping(SLOT, 1);
    expect(await pinged(patient)).toEqual([1]);
  });
});

it("100 presences on one client listen to it as one, and leave it as it was", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", onWarning);
  onTestFinished(() => void process.off("warning", onWarning));
  const client = await new MongoClient(newDatabase(server.uri)).connect();
  const listeners = (): number =>
    client.eventNames().reduce((count, event) => count + client.listenerCount(event as "open"), 0);
  const before = listeners();
  const namespaces = Array.from({ length: 100 }, (_, index) =>
    mongoStore(client.db()).namespace(`n${index}`, CONFIG),
  );
  let heard = 0;
  for (const one of namespaces) one.notices?.(() => heard++);
  expect(listeners()).toBe(before + 4);
  await Promise.all(namespaces.map((one) => one.close()));
  expect(listeners()).toBe(before);
  await client.close();
  expect([warnings, heard]).toEqual([[], 0]);
});

it("a primary that refuses connections is found to be gone at once, and not at the driver's next look", async () => {
  let primary = "";
  const member = (): Promise<FakeServer> =>
    fakeServer((name, _, me) => {
      if (name === "findAndModify") return { value: { now: new Date(), seq: 7 } };
      const isPrimary = me === primary;
      const role = { ismaster: isPrimary, isWritablePrimary: isPrimary, secondary: !isPrimary };
      return { setName: "rs", setVersion: 1, hosts, me, primary, ...role };
    });
  const hosts: string[] = [];
  const [first, second] = [await member(), await member()];
  for (const { uri } of [first, second]) hosts.push(new URL(uri).host);
  primary = hosts[0] ?? "";
  const uri = `mongodb://${hosts.join(",")}/app?replicaSet=rs&heartbeatFrequencyMS=600000`;
  const set = await openMongo(uri);
  onTestFinished(() => set.close());
  const holder = set.namespace("presence", CONFIG);
  await holder.ping(SLOT, 1);
  primary = hosts[1] ?? "";
  await first.stop();
  await passes(300); // its idle connections are gone by then, so the next one is refused
  await until(() =>
    holder.ping(SLOT + 1, 1).then(
      () => true,
      () => false,
    ),
  );
});

it.each(["find", "findAndModify"])(
  "a server that is started again during %s is found again, though the driver's own connection ends with the others",
  async (during) => {
    let isCut = false;
    const fake = await fakeServer((name, command) => {
      if (name === during && !isCut) {
        isCut = true;
        fake.cut();
      }
      const cursor = { id: Long.ZERO, ns: `${String(command["$db"])}.none`, firstBatch: [] };
      return { cursor, value: { now: new Date(), seq: 7 } };
    });
    const found = await openMongo(fake.uri);
    onTestFinished(() => found.close());
    const asked = found.namespace("presence", CONFIG);
    const lost: unknown[] = [];
    asked.notices?.((notice) => {
      if (notice.kind === "lost") lost.push(asked.time()); // as a presence, which calls at once
    });
    await passes(600); // the driver asks whom it has asked less than 500 ms ago only later
    await (during === "find" ? asked.config() : asked.nextSeq());
    await Promise.all(lost);
    expect([isCut, lost.length]).toEqual([true, 1]);
    await asked.close();
  },
);
