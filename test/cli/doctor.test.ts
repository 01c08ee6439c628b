import { MongoClient } from "mongodb";
import { describe, expect, it, onTestFinished } from "vitest";
import { examineAll, examineNamespace } from "../../src/cli/doctor/examination.ts";
import { withNamespace } from "../../src/cli/open.ts";
import type { Finding, Namespace } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { FaultyStore, MemoryStore } from "../../src/testing/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, withDatabase } from "../servers/index.ts";
import { type Env, heartbit, newStore, start } from "./heartbit.ts";
import {
  DATABASE,
  type Differences,
  NOTHING,
  privilege,
  startHealthyServer,
  UNAUTHORIZED,
} from "./healthy-server.ts";

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

/** What it finds wrong: `level check`, for each. */
const wrong = (findings: readonly Finding[]): string[] =>
  findings.filter(({ level }) => level !== "ok").map(({ level, check }) => `${level} ${check}`);

/** What it finds on a server that differs so from one on which all is well. */
async function found(differs: Differences, periodMs?: number): Promise<Finding[]> {
  return findingsIn(await startHealthyServer(differs), periodMs);
}

/** The one finding that is not ok. */
function theOne(findings: readonly Finding[]): Finding {
  const those = findings.filter(({ level }) => level !== "ok");
  expect(those).toHaveLength(1);
  return those[0]!;
}

/** What it finds in a store of any kind. */
async function foundIn(namespace: Namespace, periodMs?: number): Promise<Finding[]> {
  return examineAll(examineNamespace(namespace, { kind: "memory", name: "presence", periodMs }));
}

async function setUp(store: MemoryStore | FaultyStore, periodMs = 5000): Promise<Namespace> {
  const namespace = store.namespace("presence", { periodMs, retentionSlots: 120 });
  await namespace.configure({ version: 2, periodMs, offset: 0, retentionSlots: 120, base: 0 });
  return namespace;
}

describe("doctor finds", () => {
  it("nothing wrong where all is well, and looks at everything", async () => {
    const findings = await found({});
    expect(wrong(findings)).toEqual([]);
    expect(findings.map(({ check }) => check)).toEqual([
      "server",
      "topology",
      "namespace",
      "feed",
      "change streams",
      "indexes",
      "clock offset",
      "round trip",
      "majority",
      "permissions",
      "storage",
    ]);
  });

  it("a server without change streams", async () => {
    const server = await startServer({ standalone: true });
    onTestFinished(() => server.stop());
    const findings = await findingsIn(withDatabase(server.uri, DATABASE));
    expect(wrong(findings)).toEqual(["warning topology", "warning feed", "warning permissions"]);
    const feed = findings.find(({ check }) => check === "feed");
    expect(feed?.found).toMatch(/has no change streams\. Changes are polled/);
    expect(feed?.advice).toMatch(/replica set/);
  });

  it("a missing index, and none before the namespace is set up", async () => {
    const store = newDatabase();
    expect(wrong(await findingsIn(store))).toEqual(["warning permissions"]);
    await using _ = await Presence.open(store);
    expect(wrong(await findingsIn(store))).toEqual(["warning permissions"]);
    const client = new MongoClient(store);
    await client.db().collection("presence.records").dropIndex("key");
    await client.close();
    const findings = await findingsIn(store);
    expect(wrong(findings)).toEqual(["error indexes", "warning permissions"]);
    expect(findings.find(({ check }) => check === "indexes")).toMatchObject({
      found: expect.stringMatching(/presence\.records: key\.$/) as string,
      advice: expect.stringMatching(/createIndex/) as string,
    });
  });

  it.each([
    [["find"], "warning", "nothing", "remove"],
    [["find", "insert", "update", "remove"], "warning", "changes are polled", "changeStream"],
    [["find", "insert", "update", "changeStream"], "warning", "what is stored grows", "remove"],
    [["insert", "update", "remove", "changeStream"], "error", "may not read", "find"],
  ])("what is missing with the rights %j alone", async (actions, level, says, grant) => {
    const finding = theOne(await found({ privileges: [privilege("", ...actions)] }));
    expect(finding).toMatchObject({ check: "permissions", level });
    expect(finding.found).toContain(says);
    expect(finding.advice).toMatch(new RegExp(`Grant .*${grant} on presence\\.`));
  });

  it("a right that is missing on one collection", async () => {
    const on = ["meta", "records"].map((part) =>
      privilege(`presence.${part}`, "find", "insert", "update", "remove", "changeStream"),
    );
    const privileges = [...on, privilege("presence.pings", "find", "update", "remove")];
    expect(theOne(await found({ privileges }))).toMatchObject({
      check: "permissions",
      level: "error",
      advice: "Grant insert on presence.pings.",
    });
  });

  it("what may not be looked at, without giving the rest up", async () => {
    const answers = { listIndexes: UNAUTHORIZED, $currentOp: UNAUTHORIZED, $collStats: UNAUTHORIZED };
    const findings = await found({ answers });
    expect(wrong(findings)).toEqual(["warning change streams", "warning indexes"]);
    expect(findings.find(({ check }) => check === "indexes")?.advice).toMatch(/listIndexes/);
    expect(findings.find(({ check }) => check === "storage")?.found).toMatch(/size is not known/);
  });

  it.each([3000, -3000])("a clock that is %d ms off, with a period of 5 s", async (aheadMs) => {
    const finding = theOne(await found({ aheadMs }));
    expect(finding).toMatchObject({ check: "clock offset", level: "warning" });
    expect(finding.found).toMatch(aheadMs > 0 ? /[23](\.\d)? s behind/ : /[23](\.\d)? s ahead of/);
  });

  it("a round trip that is too slow, or slow, for the period", async () => {
    const store = new FaultyStore(new MemoryStore());
    const namespace = await setUp(store, 1000);
    store.delay(300);
    const tooSlow = theOne(await foundIn(namespace));
    expect(tooSlow).toMatchObject({ check: "round trip", level: "error" });
    expect(tooSlow.advice).toMatch(/^Choose a period of [6-9](\.\d)? s or more/);
    store.delay(100);
    expect(theOne(await foundIn(namespace))).toMatchObject({ check: "round trip", level: "warning" });
  });

  it("a namespace of another period, or of another version", async () => {
    expect(theOne(await found({}, 2000))).toMatchObject({
      check: "namespace",
      level: "error",
      found: '"presence" has a period of 5 s, not 2 s: it cannot be opened with that.',
    });
    const namespace = new MemoryStore().namespace("presence");
    await namespace.configure({ version: 7, periodMs: 5000, offset: 0, retentionSlots: 120, base: 0 });
    expect(theOne(await foundIn(namespace))).toMatchObject({ check: "namespace", level: "error" });
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
    expect(theOne(await foundIn(namespace))).toMatchObject({
      check: "storage",
      level: "warning",
      advice: expect.stringMatching(/heartbit prune/) as string,
    });
    const store = newDatabase();
    await using _ = await Presence.open(store);
    const client = new MongoClient(store);
    await client.db().collection("presence.pings").insertOne({ slot: 1 });
    await client.close();
    const storage = (await findingsIn(store)).find(({ check }) => check === "storage");
    expect(storage?.level).toBe("warning");
    expect(storage?.found).toMatch(/; it has 1 old records, which should have been pruned long ago\.$/);
  });

  it("too many change streams on the server, and a client that may open none", async () => {
    const stream = { ns: `${DATABASE}.presence.records`, cursor: { awaitData: true } };
    const other = { ns: `${DATABASE}.other`, cursor: { awaitData: true } };
    const operations = [
      ...Array.from({ length: 1001 }, () => stream),
      ...Array.from({ length: 9 }, () => other),
    ];
    expect(theOne(await found({ operations }))).toMatchObject({
      check: "change streams",
      level: "warning",
      found: expect.stringMatching(/^1001 are open/) as string,
    });
    const own = await found({ operations: [stream], isAlone: true });
    expect(own.find(({ check }) => check === "change streams")).toMatchObject({
      level: "ok",
      found: "1 of this user are open on the namespace.",
    });
    const findings = await findingsIn(`${await startHealthyServer()}&maxPoolSize=1`);
    expect(theOne(findings)).toMatchObject({
      check: "feed",
      level: "warning",
      advice: expect.stringMatching(/^Raise maxPoolSize/) as string,
    });
  });

  it("an arbiter, which acknowledges nothing", async () => {
    expect(theOne(await found({ hello: { arbiters: ["c:27017"] } }))).toMatchObject({
      check: "topology",
      level: "warning",
      found: expect.stringMatching(/^It is a replica set of 1 with data, and an arbiter, c:27017:/) as string,
    });
  });

  it.each([
    [3000, "warning", "half"],
    [4200, "error", "0.8"],
  ])("a majority that acknowledges only after %d ms, with a period of 5 s", async (lagMs, level, part) => {
    const finding = theOne(await found({ lagMs }));
    expect(finding).toMatchObject({ check: "majority", level });
    expect(finding.found).toMatch(new RegExp(`more than ${part} of the period`));
  });

  it("on a sharded cluster that it is polled, as it should be, and each stream once", async () => {
    const stream = { ns: `${DATABASE}.presence.records`, cursor: { awaitData: true } };
    const operations = ["a", "b", "c"].flatMap((shard) => [
      { ...stream, shard },
      { ...stream, shard },
    ]);
    const findings = await found({ operations, hello: { msg: "isdbgrid", setName: undefined } });
    expect(wrong(findings)).toEqual([]);
    expect(findings.find(({ check }) => check === "topology")?.found).toBe("It is a sharded cluster.");
    expect(findings.find(({ check }) => check === "change streams")?.found).toMatch(/^2 are open/);
    expect(findings.find(({ check }) => check === "feed")?.found).toMatch(/polling/);
  });

  it("nothing of the storage of a namespace that is not set up, and leaves nothing behind", async () => {
    const store = newDatabase();
    const refusing = { ok: 0, code: 40280, errmsg: "Unable to retrieve storageStats in $collStats stage" };
    const findings = await found({ answers: { find: NOTHING, $collStats: refusing } });
    expect(findings.filter(({ check }) => ["storage", "indexes", "majority"].includes(check))).toEqual([]);
    await findingsIn(store);
    const client = new MongoClient(store);
    expect(await client.db().listCollections().toArray()).toEqual([]);
    await client.close();
  });

  it("a server that is too old, and one that its makers mend no longer", async () => {
    expect(theOne(await found({ maxWireVersion: 7 }))).toMatchObject({ check: "server", level: "error" });
    expect(theOne(await found({ version: "5.0.31" }))).toMatchObject({
      check: "server",
      level: "warning",
      found: "The server answers as MongoDB 5.0.31.",
    });
  });
});

/** The exit code, and the object that is printed with --json. */
const objectOf = async (env: Env, ...more: string[]) => {
  const { code, stdout } = await heartbit(["doctor", "--json", ...more], env);
  return { code, said: JSON.parse(stdout) as { ok: boolean; name: string; findings: Finding[] } };
};

describe("the command doctor", () => {
  it("prints a line for each thing it looked at, with what to do below, and makes nothing", async () => {
    const env = await newStore();
    const before = await heartbit(["doctor"], env);
    expect(before).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok +server +There is no store/) as string,
    });
    const held = start(["ping", "a"], env);
    await held.says("stderr", /Holding/);
    const { code, stdout, stderr } = await heartbit(["doctor"], { HEARTBIT_STORE: env["HEARTBIT_STORE"]! });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ok +server +The sqlite store answers\.$/m);
    expect(stdout).toMatch(/^ok +namespace +"presence" has a period of 5 s\.$/m);
    expect(stdout).toMatch(/^ok +storage +It takes [\d.]+ KB; nothing old/m);
    expect(stderr).toMatch(/^Examining the namespace "presence" in SQLite in /);
  });

  it("gives one object with --json, and exits with 1 on an error", async () => {
    const env = await newStore("2s");
    await heartbit(["run", "a", "--", "true"], env);
    const well = await objectOf(env);
    expect(well).toMatchObject({ code: 0, said: { ok: true, name: "presence" } });
    const ill = await objectOf(env, "--period", "1s");
    expect(ill).toMatchObject({ code: 1, said: { ok: false } });
    expect(ill.said.findings).toContainEqual({
      check: "namespace",
      level: "error",
      found: '"presence" has a period of 2 s, not 1 s: it cannot be opened with that.',
      advice: expect.any(String) as string,
    });
  });

  it("says what to do where there is no server, and never a password", async () => {
    const env = { HEARTBIT_STORE: "mongodb://me:secret@127.0.0.1:1/x" };
    const { code, stdout, stderr } = await heartbit(["doctor"], env);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^error +server +.*\n +Is it running/);
    expect(stdout + stderr).not.toContain("secret");
  });
});

describe("what doctor says of its settings", () => {
  it("steers no terminal: they may come from the config file of a directory that is another's", async () => {
    const name = "a\u001b]0;title\u0007";
    for (const store of [{ HEARTBIT_STORE: `memory:${name}` }, await newStore()]) {
      const { stdout, stderr } = await heartbit(["doctor"], { ...store, HEARTBIT_NAME: name });
      for (const char of ["\u001b", "\u0007"]) expect(stdout + stderr).not.toContain(char);
      expect(stderr).toContain("a\\x1b]0;title\\x07");
    }
  });
});
