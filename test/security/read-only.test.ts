import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startServer, type TestServer, withDatabase } from "../servers/index.ts";
import { addressOf } from "../servers/uri.ts";
import { until } from "../support/wait.ts";
import { startAuthorizer } from "./authorizer.ts";
import { failure, newUser, open, privilegesOf } from "./support.ts";

const DATABASE = "app";
const PERIOD_MS = 600;

let server: TestServer;
let admin: MongoClient;
beforeAll(async () => {
  server = await startServer({ auth: true });
  admin = await new MongoClient(server.uri).connect();
});
afterAll(async () => {
  await admin.close();
  await server.stop();
});

/** The way to the server of a user with the read-only role, checked as MongoDB documents it; and what went over it. */
async function readOnly(name: string): Promise<{ uri: string; commands: string[] }> {
  const privileges = await privilegesOf("heartbitWatch", DATABASE, name);
  const user = await newUser(admin, DATABASE, { privileges });
  const authorizer = await startAuthorizer(addressOf(server.uri).port, privileges);
  onTestFinished(() => authorizer.stop());
  const { port, commands } = authorizer;
  const options = `authSource=${DATABASE}&directConnection=true`;
  return { uri: `mongodb://${user}:sesame@127.0.0.1:${port}/${DATABASE}?${options}`, commands };
}

const writer = (): string => withDatabase(server.uri, DATABASE);

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
      const tried = commands
        .slice(from)
        .filter((command) => /^(update|delete|drop|findAndModify)/.test(command));
      expect(tried).toHaveLength(1);
    }
  });

  it.each(["auto", "poll"] as const)(
    "a watcher is told joins, updates, kills and deaths, and asks no more often than others (feed: %s)",
    async (feed) => {
      const name = `watched-${feed}`;
      const options = { name, periodMs: PERIOD_MS, feed };
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
      const periods = (performance.now() - began) / PERIOD_MS;
      // A poll of two reads four times a period, a look of four, and now and then the config and the time.
      const asked = commands.slice(from).filter((command) => !/^(hello|getMore|killCursors)/.test(command));
      expect(asked.length / periods).toBeLessThan(25);
      expect(commands.filter((command) => /^(update|delete|drop)/.test(command))).toEqual([]);
      // It is refused a stamp by the server's clock, once, and a number: after 1 period, 3, 7, 15, ...
      const refused = commands.filter((command) => command.startsWith("findAndModify")).length;
      expect(refused).toBeLessThanOrEqual(2 + Math.log2((performance.now() - started) / PERIOD_MS + 1));

      const { keys, confirmed } = await reader.list();
      expect(confirmed).toBe(true);
      expect(keys.map(({ key, alive }) => `${key} ${alive}`)).toEqual([
        "killed false",
        "lost false",
        "steady true",
      ]);
      expect(await watcher.alive("steady")).toBe(true);
      expect(watcher.state).toBe("running");
    },
  );

  it("a watcher is stale and reports no expiry while nobody pings, and does once somebody does", async () => {
    const options = { name: "silent", periodMs: PERIOD_MS };
    const only = await open(writer(), options);
    await only.pinger("only").start();
    const { uri, commands } = await readOnly("silent");
    const reader = await open(uri, options);
    const watcher = reader.watcher();
    const heard: string[] = [];
    watcher.watch("only", ({ cause }) => heard.push(cause));
    await watcher.sync();
    await until(() => reader.health.state === "healthy");
    await only.close({ linger: true });
    await until(() => reader.health.state === "stale");
    const from = commands.length;
    const sessions = heard.length;
    await until(() => commands.slice(from).filter((command) => command === "find silent.pings").length >= 6);
    expect(heard).toHaveLength(sessions);
    expect(reader.health).toMatchObject({ state: "stale" });
    const next = await open(writer(), options);
    await next.pinger("next").start();
    await until(() => heard.length > 1);
    expect(["stopped", "expired"]).toContain(heard[1]);
  });
});
