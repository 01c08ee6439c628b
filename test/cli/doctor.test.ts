import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Db, type Document, MongoClient } from "mongodb";
import { describe, expect, it, onTestFinished } from "vitest";
import { examineAll, examineNamespace } from "../../src/cli/doctor/examination.ts";
import { withNamespace } from "../../src/cli/open.ts";
import type { Finding, Namespace } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { FaultyStore, MemoryStore } from "../../src/testing/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, withDatabase } from "../servers/index.ts";
import { heartbit, holding, newDirectory, newStore } from "./heartbit.ts";
import * as server from "./healthy-server.ts";

const { signal } = new AbortController();

/** What doctor finds in a MongoDB store. */
function findingsIn(store: string, periodMs?: number): Promise<Finding[]> {
  const settings = { store, name: "presence", periodMs };
  return examineAll(
    withNamespace(settings, signal, (namespace, { kind }) =>
      examineNamespace(namespace, { ...settings, kind }),
    ),
  );
}

/** What it finds on a server that differs so from one on which all is well. */
async function found(differs: server.Differences, periodMs?: number): Promise<Finding[]> {
  return findingsIn(await server.startHealthyServer(differs), periodMs);
}

/** What it finds in a store of any kind. */
async function foundIn(namespace: Namespace): Promise<Finding[]> {
  return examineAll(examineNamespace(namespace, { kind: "memory", name: "presence", periodMs: undefined }));
}

/** What it finds when it looks at this, in a line. */
const of = (check: string, findings: readonly Finding[]): string | undefined =>
  findings.filter((finding) => finding.check === check).map(toLine)[0];
const toLine = ({ level, check, found: what, advice = "" }: Finding): string =>
  `${level} ${check}: ${what} ${advice}`;

/** What it finds wrong: `level check`, for each. */
const wrong = (findings: readonly Finding[]): string[] =>
  findings.filter(({ level }) => level !== "ok").map(({ level, check }) => `${level} ${check}`);

/** The one finding that is not ok. */
function theOne(findings: readonly Finding[]): string {
  expect(wrong(findings)).toHaveLength(1);
  return findings.filter(({ level }) => level !== "ok").map(toLine)[0] ?? "";
}

/** Does something to a MongoDB server past heartbit. */
async function inMongo<T>(store: string, act: (db: Db) => Promise<T>): Promise<T> {
  const client = new MongoClient(store);
  try {
    return await act(client.db());
  } finally {
    await client.close();
  }
}

async function setUp(store: MemoryStore | FaultyStore, periodMs = 5000, version = 2): Promise<Namespace> {
  const namespace = store.namespace("presence", { periodMs, retentionSlots: 120 });
  await namespace.configure({ version, periodMs, offset: 0, retentionSlots: 120, base: 0 });
  return namespace;
}

const only = (...actions: string[]): server.Differences => ({
  privileges: [server.privilege("", ...actions)],
});
const MOST = ["find", "update", "remove", "changeStream"];
const lessOnPings = [
  ...["meta", "records"].map((part) => server.privilege(`presence.${part}`, "insert", ...MOST)),
  server.privilege("presence.pings", ...MOST),
];

/** An operation of the server: a change stream on the namespace. */
const STREAM = { ns: `${server.DATABASE}.presence.records`, cursor: { awaitData: true } };
const OTHER = { ...STREAM, ns: `${server.DATABASE}.other` };
const tooManyStreams = server.rows([...Array.from({ length: 1001 }, () => STREAM), OTHER]);

/** A module after which a process finds neither the SQLite of its Node nor the package. */
const HIDES_SQLITE = `
  const Module = require("node:module");
  const load = Module._load;
  Module._load = (name, ...more) => {
    if (!/sqlite$/.test(name)) return load(name, ...more);
    throw Object.assign(new Error("Cannot find module '" + name + "'"), { code: "MODULE_NOT_FOUND" });
  };
`;

/** To a user who may not see the operations of others. */
const ownStreams = ({ pipeline }: Document): Document =>
  pipeline[0].$currentOp.allUsers === true ? server.UNAUTHORIZED : server.rows([STREAM]);

describe("doctor finds", () => {
  it("nothing wrong where all is well, and looks at everything", async () => {
    const findings = await found({});
    expect(wrong(findings)).toEqual([]);
    expect(findings.map(({ check }) => check).join()).toBe(
      "server,topology,namespace,feed,change streams,indexes,clock offset,round trip,majority,permissions,storage",
    );
  });

  it("nothing that the guide does not explain", async () => {
    const { HEARTBIT_STORE = "" } = await newStore();
    const presence = await Presence.open(HEARTBIT_STORE);
    onTestFinished(() => presence.close());
    const findings = [...(await found({})), ...(await findingsIn(HEARTBIT_STORE))];
    const guide = await readFile("docs/command.md", "utf8");
    for (const { check } of findings) expect(guide).toContain(`\n| ${check} | `);
  });

  // With a period of 5 s.
  it.each([
    ["a clock that is ahead", { aheadMs: 3000 }, /^warning clock offset: .*[23](\.\d)? s behind/],
    ["a clock that is behind", { aheadMs: -3000 }, /^warning clock offset: .*[23](\.\d)? s ahead of/],
    ["a slow majority", { lagMs: 3000 }, /^warning majority: .*more than half of the period/],
    ["a majority that is too slow", { lagMs: 4200 }, /^error majority: .*more than 0\.8 of the period/],
    [
      "an arbiter, which acknowledges nothing",
      { hello: { arbiters: ["c:27017"] } },
      /^warning topology: It is a replica set of 1 with data, and an arbiter, c:27017:/,
    ],
    ["a server that is too old", { hello: { maxWireVersion: 7 } }, /^error server: /],
    [
      "a server that is no longer maintained",
      { answers: { buildInfo: { ok: 1, version: "5.0.31" } } },
      /^warning server: The server answers as MongoDB 5\.0\.31\. /,
    ],
    [
      "too many change streams",
      { answers: { $currentOp: tooManyStreams } },
      /^warning change streams: 1001 are open/,
    ],
    [
      "a user who may only read",
      only("find"),
      /^warning permissions: .*nothing.* Grant .*remove on presence\./,
    ],
    [
      "a user without change streams",
      only("find", "insert", "update", "remove"),
      /^warning permissions: .*changes are polled.* Grant changeStream on presence\./,
    ],
    [
      "a user who may not prune",
      only("find", "insert", "update", "changeStream"),
      /^warning permissions: .*what is stored grows.* Grant remove on presence\./,
    ],
    [
      "a user who may not read",
      only("insert", "update", "remove", "changeStream"),
      /^error permissions: .*may not read.* Grant find on presence\./,
    ],
    [
      "a right that is missing on one collection",
      { privileges: lessOnPings },
      /^error permissions: .* Grant insert on presence\.pings\.$/,
    ],
  ])("%s", async (_what, differs: server.Differences, line) => {
    expect(theOne(await found(differs))).toMatch(line);
  });

  it("a server without change streams", async () => {
    const standalone = await startServer({ standalone: true });
    onTestFinished(() => standalone.stop());
    const findings = await findingsIn(withDatabase(standalone.uri, server.DATABASE));
    expect(wrong(findings)).toEqual(["warning topology", "warning feed", "warning permissions"]);
    expect(of("feed", findings)).toMatch(/has no change streams\. Changes are polled.*replica set/);
  });

  it("a missing index, and none before the namespace is set up", async () => {
    const store = newDatabase();
    expect(wrong(await findingsIn(store))).toEqual(["warning permissions"]);
    await using _ = await Presence.open(store);
    expect(wrong(await findingsIn(store))).toEqual(["warning permissions"]);
    await inMongo(store, (db) => db.collection("presence.records").dropIndex("key"));
    const findings = await findingsIn(store);
    expect(wrong(findings)).toEqual(["error indexes", "warning permissions"]);
    expect(of("indexes", findings)).toMatch(/presence\.records: key\. .*createIndex/);
  });

  it("what may not be looked at, without giving the rest up", async () => {
    const no = server.UNAUTHORIZED;
    const findings = await found({ answers: { listIndexes: no, $currentOp: no, $collStats: no } });
    expect(wrong(findings)).toEqual(["warning change streams", "warning indexes"]);
    expect(of("indexes", findings)).toMatch(/listIndexes/);
    expect(of("storage", findings)).toMatch(/size is not known/);
  });

  it("a round trip that is too slow, or slow, for the period", async () => {
    const store = new FaultyStore(new MemoryStore());
    const namespace = await setUp(store, 1000);
    store.delay(300);
    const tooSlow = /^error round trip: .* Choose a period of [6-9](\.\d)? s or more/;
    expect(theOne(await foundIn(namespace))).toMatch(tooSlow);
    store.delay(100);
    expect(theOne(await foundIn(namespace))).toMatch(/^warning round trip: /);
  });

  it("a namespace of another period, or of another version", async () => {
    const other = '"presence" has a period of 5 s, not 2 s: it cannot be opened with that.';
    expect(theOne(await found({}, 2000))).toContain(`error namespace: ${other}`);
    expect(theOne(await foundIn(await setUp(new MemoryStore(), 5000, 7)))).toMatch(/^error namespace: /);
  });

  it("a store that goes away while it is looked at, and then nothing else", async () => {
    const store = new FaultyStore(new MemoryStore());
    const namespace = await setUp(store);
    let isAway = false;
    store.intercept((operation) => {
      isAway ||= operation === "feed";
      return isAway ? "fail" : "pass";
    });
    expect(await foundIn(namespace)).toEqual([expect.objectContaining({ check: "server", level: "error" })]);
  });

  it("storage that is not pruned", async () => {
    const namespace = await setUp(new MemoryStore());
    await namespace.ping(1, 1);
    expect(theOne(await foundIn(namespace))).toMatch(/^warning storage: .* Run `heartbit prune`/);
    const store = newDatabase();
    await using _ = await Presence.open(store);
    await inMongo(store, (db) => db.collection("presence.pings").insertOne({ slot: 1 }));
    const old = /^warning storage: .*; it has 1 old records, which should have been pruned long ago\. /;
    expect(of("storage", await findingsIn(store))).toMatch(old);
  });

  it("the change streams of one user, where it may not see those of others", async () => {
    const own = "ok change streams: 1 of this user are open on the namespace. ";
    expect(of("change streams", await found({ answers: { $currentOp: ownStreams } }))).toBe(own);
  });

  it("a client that may open no change stream", async () => {
    const findings = await findingsIn(`${await server.startHealthyServer()}&maxPoolSize=1`);
    expect(theOne(findings)).toMatch(/^warning feed: .* Raise maxPoolSize/);
  });

  it("on a sharded cluster that it is polled, as it should be, and each stream once", async () => {
    const operations = ["a", "b", "c"].flatMap((shard) => [
      { ...STREAM, shard },
      { ...STREAM, shard },
    ]);
    const hello = { msg: "isdbgrid", setName: undefined };
    const findings = await found({ answers: { $currentOp: server.rows(operations) }, hello });
    expect(wrong(findings)).toEqual([]);
    expect(of("topology", findings)).toBe("ok topology: It is a sharded cluster. ");
    expect(of("change streams", findings)).toMatch(/: 2 are open/);
    expect(of("feed", findings)).toMatch(/polling/);
  });

  it("nothing of the storage of a namespace that is not set up, and leaves nothing behind", async () => {
    const store = newDatabase();
    const refusing = { ok: 0, code: 40280, errmsg: "Unable to retrieve storageStats in $collStats stage" };
    const findings = await found({ answers: { find: server.rows([]), $collStats: refusing } });
    expect(findings.filter(({ check }) => ["storage", "indexes", "majority"].includes(check))).toEqual([]);
    await findingsIn(store);
    expect(await inMongo(store, (db) => db.listCollections().toArray())).toEqual([]);
  });
});

describe("the command doctor", () => {
  it("prints a line for each thing it looked at, with what to do below, and makes nothing", async () => {
    const env = await newStore();
    const before = await heartbit(["doctor"], env);
    expect(before.stdout).toMatch(
      /^ok +server +There is no store.*\n +If a program uses it already, that has another/,
    );
    await holding("a", env);
    const { code, stdout, stderr } = await heartbit(["doctor"], { HEARTBIT_STORE: env["HEARTBIT_STORE"]! });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ok +server +The sqlite store answers\.$/m);
    expect(stdout).toMatch(/^ok +namespace +"presence" has a period of 5 s\.$/m);
    expect(stdout).toMatch(/^ok +storage +It takes [\d.]+ KB; nothing old/m);
    expect(stderr).toMatch(/^Examining the namespace "presence" \(SQLite in /);
  });

  it("says what to install where there is no SQLite, also before there is a store", async () => {
    const env = await newStore();
    const hide = join(await newDirectory(), "hide.cjs");
    await writeFile(hide, HIDES_SQLITE);
    const { code, stdout, stderr } = await heartbit(["doctor"], {
      ...env,
      NODE_OPTIONS: `--require ${hide}`,
    });
    expect(stdout).toMatch(
      /^error {4}server {2}.*npm install @photostructure\/sqlite@1.*\n +For MongoDB, set --store.*\n$/,
    );
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^Examining .*\n$/)]);
  });

  it("says what to do where there is no server, and never a password", async () => {
    const env = { HEARTBIT_STORE: "mongodb://me:secret@127.0.0.1:1/x" };
    const { code, stdout, stderr } = await heartbit(["doctor"], env);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^error +server +.*\n +Is it running/);
    expect(stdout + stderr).not.toContain("secret");
  });

  it("steers no terminal with its settings, which may come from a config file of another's directory", async () => {
    const name = "a\u001b]0;title\u0007";
    const named = { ...(await newStore()), HEARTBIT_NAME: name };
    for (const [env, shown] of [
      [{ HEARTBIT_STORE: `memory:${name}` }, "a\\x1b]0;title\\x07"],
      [named, "a\\u001b]0;title\\u0007"],
    ] as const) {
      const { stdout, stderr } = await heartbit(["doctor"], env);
      for (const char of ["\u001b", "\u0007"]) expect(stdout + stderr).not.toContain(char);
      expect(stderr).toContain(shown);
    }
  });
});
