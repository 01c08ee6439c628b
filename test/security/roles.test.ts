import { describe, expect, it } from "vitest";
import type { PresenceOptions } from "../../src/index.ts";
import { withDatabase } from "../servers/index.ts";
import { until } from "../support/wait.ts";
import { authorize, type Authorized, type Privilege } from "./authorizer.ts";
import { DATABASE, failure, open, privilegesOf, ServerWithLogins } from "./support.ts";

/**
 * A stand-in checks the actions of a role for the whole database, not for each collection; of `findAndModify` and of
 * an upsert only `update`, and `changeStream` not at all. So what is asked of it goes through an authorizer, which
 * checks what MongoDB documents; the stand-in's own checks come on top. A real mongod is asked alone.
 */
const PERIOD_MS = 2000;
/** The rights without which something is refused. */
const RIGHTS = [
  ...["find", "insert", "update"].map((action) => [action, "meta"] as const),
  ...["records", "pings"].flatMap((part) =>
    ["find", "insert", "update", "remove", "createIndex"].map((action) => [action, part] as const),
  ),
];

const logins = new ServerWithLogins();
let count = 0;

/** The way to the server of a user with the privileges, which holds the user to them. */
async function access(privileges: Privilege[]): Promise<Authorized> {
  const isMongod = ["mongod", "memory"].includes(logins.server.kind);
  return authorize(await logins.newUser(privileges, "sesame"), isMongod ? "all" : privileges);
}

const readOnly = async (name: string): Promise<Authorized> =>
  access(await privilegesOf("heartbitWatch", name));
const writer = (): string => withDatabase(logins.server.uri, DATABASE);
const newName = (): string => `ns${count++}`;

/** Those of the role of the guide, without an action on the collections whose names end so. */
async function privilegesWithout(action: string, end: string, name: string): Promise<Privilege[]> {
  return (await privilegesOf("heartbit", name)).map(({ resource, actions }) => {
    const isIt = resource.collection.endsWith(end);
    return { resource, actions: isIt ? actions.filter((one) => one !== action) : actions };
  });
}

interface Stored {
  readonly _id: string | number;
  readonly [field: string]: unknown;
}

/** What was dead long ago, in each of the collections of a namespace. */
async function addOld(name: string): Promise<void> {
  const part = (collection: string) => logins.admin.db(DATABASE).collection<Stored>(`${name}.${collection}`);
  const at = new Date(5000);
  const old = { session: 1, slot: 5, last: 0, changed: at };
  const registration = { key: "old", pinger: 1, start: 1, since: at, meta: "null", revision: 0 };
  await part("records").insertMany([
    { _id: 1, host: "h", pid: 1, opened: at, ...old },
    { _id: "1.1.1", ...registration, ...old },
  ]);
  await part("pings").insertOne({ _id: "5.0", slot: 5, 0: 2 });
  // Numbers that were given to sessions are not given again.
  await part("meta").insertOne({ _id: "sessions", seq: 1 });
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
    const privileges = await privilegesOf("heartbit", name);
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
    const more = await access([...privileges, ...(await privilegesOf("heartbitDrop", name))]);
    const dropper = await open(more.uri, { name, periodMs: PERIOD_MS });
    await dropper.drop();
    const left = await logins.admin.db(DATABASE).listCollections().toArray();
    expect(left.filter((one) => one.name.startsWith(`${name}.`))).toEqual([]);
  });

  it.each(RIGHTS)("is least: without %s on %s something is refused", async (action, part) => {
    const name = newName();
    const { uri } = await access(await privilegesWithout(action, part, name));
    await addOld(name);
    await expect(useAll(uri, { name })).rejects.toMatchObject({ code: "NOT_PERMITTED" });
  });

  it("is least: without changeStream on records it polls", async () => {
    const name = newName();
    const { uri } = await access(await privilegesWithout("changeStream", "records", name));
    const said: string[] = [];
    await useAll(uri, { name, logger: { info: (message) => said.push(message) } });
    expect(said.find((line) => line.includes("changes are polled"))).toContain("NOT_PERMITTED");
  });

  it("raises the retention without createIndex, once the namespace is there", async () => {
    const name = newName();
    const whole = await access(await privilegesOf("heartbit", name));
    await open(whole.uri, { name, periodMs: PERIOD_MS, retentionSlots: 20 });
    const { uri } = await access(await privilegesWithout("createIndex", "", name));
    await open(uri, { name, periodMs: PERIOD_MS, retentionSlots: 1000 });
    const meta = logins.admin.db(DATABASE).collection<Stored>(`${name}.meta`);
    expect(await meta.findOne({ _id: "config" })).toMatchObject({ retention: 1000 });
  });

  it("has no other rights than those that were tried", async () => {
    const privileges = await privilegesOf("heartbit", "x");
    const granted = privileges.flatMap(({ resource, actions }) =>
      actions.map((action) => `${action} ${resource.collection.slice(2)}`),
    );
    const tried = RIGHTS.map(([action, part]) => `${action} ${part}`);
    expect(granted.toSorted()).toEqual([...tried, "changeStream records"].toSorted());
  });
});

describe("with the right to read only", () => {
  it("a namespace that is not there is not made", async () => {
    const { uri } = await readOnly("absent");
    expect((await failure(open(uri, { name: "absent" }))).error).toMatchObject({ code: "NOT_PERMITTED" });
  });

  it("all that would write is refused at once", async () => {
    const options = { name: "refused", periodMs: PERIOD_MS };
    await open(writer(), options);
    const { uri, commands } = await readOnly("refused");
    const reader = await open(uri, options);
    for (const write of [() => reader.pinger("key").start(), () => reader.kill("key"), () => reader.drop()]) {
      const from = commands.length;
      expect((await failure(write())).error).toMatchObject({ code: "NOT_PERMITTED" });
      // At once: what is refused is not tried again.
      const tried = commands.slice(from).filter((one) => /^(update|delete|drop|findAndModify)/.test(one));
      expect(tried).toHaveLength(1);
    }
  });

  it.each(["auto", "poll"] as const)(
    "a watcher is told joins, updates, kills and deaths, and asks no more often than others (feed: %s)",
    async (feed) => {
      const name = `watched-${feed}`;
      const options = { name, periodMs: 600, feed };
      const steady = await open(writer(), options);
      await steady.pinger("steady").start();
      const doomed = await open(writer(), options);
      const { uri, commands } = await readOnly(name);
      const reader = await open(uri, options);
      const watcher = reader.watcher();
      const started = performance.now();
      const heard: string[] = [];
      watcher.watch({ all: true }, ({ key, cause }) => heard.push(`${key} ${cause}`));
      await watcher.sync();
      const killed = doomed.pinger("killed");
      const updated = doomed.pinger("lost");
      await killed.start();
      await updated.start();
      await until(() => heard.includes("lost joined"));
      await updated.update({ port: 1 });
      await killed.kill();
      await until(() => heard.includes("killed killed") && heard.includes("lost updated"));
      expect(heard.slice(0, 3)).toEqual(["steady initial", "killed joined", "lost joined"]);

      const from = commands.length;
      const began = performance.now();
      await doomed.close({ linger: true });
      await until(() => heard.includes("lost stopped") || heard.includes("lost expired"));
      const periods = (performance.now() - began) / options.periodMs;
      // A poll of two reads four times a period, a look of four, and now and then the config and the time.
      const asked = commands.slice(from).filter((command) => !/^(hello|getMore|killCursors)/.test(command));
      expect(asked.length / periods).toBeLessThan(25);
      expect(commands.filter((command) => /^(update|delete|drop)/.test(command))).toEqual([]);
      // It is refused a stamp by the server's clock, once, and a number: after 1 period, 3, 7, 15, ...
      const refused = commands.filter((command) => command.startsWith("findAndModify")).length;
      const passed = (performance.now() - started) / options.periodMs;
      expect(refused).toBeLessThanOrEqual(2 + Math.log2(passed + 1));

      const { keys, confirmed } = await reader.list();
      expect(confirmed).toBe(true);
      const listed = keys.map(({ key, alive }) => `${key} ${alive}`);
      expect(listed).toEqual(["killed false", "lost false", "steady true"]);
      expect(await watcher.alive("steady")).toBe(true);
      expect(watcher.state).toBe("running");
    },
  );

  it("a watcher is stale and reports no expiry while nobody pings, and does once somebody does", async () => {
    const options = { name: "silent", periodMs: 600 };
    const only = await open(writer(), options);
    await only.pinger("only").start();
    const { uri, commands } = await readOnly("silent");
    const reader = await open(uri, options);
    const heard: string[] = [];
    const watcher = reader.watcher();
    watcher.watch("only", ({ cause }) => heard.push(cause));
    await watcher.sync();
    await until(() => reader.health.state === "healthy");
    await only.close({ linger: true });
    await until(() => reader.health.state === "stale");
    const from = commands.length;
    await until(() => commands.slice(from).filter((command) => command === "find silent.pings").length >= 6);
    expect(heard).toEqual(["initial"]);
    expect(reader.health).toMatchObject({ state: "stale" });
    await (await open(writer(), options)).pinger("next").start();
    await until(() => heard.length > 1);
    expect(["stopped", "expired"]).toContain(heard[1]);
  });
});
