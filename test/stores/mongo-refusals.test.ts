/** What a server refuses for a while only, after it has done it before: no matter which command, and with which code. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { Presence, Watcher } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer } from "../servers/index.ts";
import { type Command, refusal, startProxy } from "../servers/proxy.ts";
import { needsFeed } from "../support/needs.ts";
import { answered, opened, passes, until } from "../support/wait.ts";

needsFeed();

const PERIOD_MS = 400;
/**
 * Unauthorized, AuthenticationFailed, CommandNotFound, CommandNotSupported, ReadConcernMajorityNotEnabled, APIStrictError,
 * AtlasError.
 */
const CODES = [13, 18, 59, 115, 148, 323, 8000];

const on = (name: string, collection: string) => (command: Command) =>
  command.name === name && command.collection === `presence.${collection}` && !command.isFeed;
const isGreeting = ({ name }: Command): boolean => /^(?:hello|ismaster)$/i.test(name);

/** Notes what the watcher is told of all keys: "key true". */
function hear(watcher: Watcher): string[] {
  const heard: string[] = [];
  watcher.watch({ all: true }, ({ key, alive }) => heard.push(`${key} ${alive}`));
  return heard;
}

interface Presences {
  /** Behind the proxy. */
  readonly presence: Presence;
  /** On the server itself. */
  readonly other: Presence;
  /** Behind the proxy too, without a session. */
  readonly listing: Presence;
}

/** What the presences do anyway. */
const nothing = (): Promise<unknown> => Promise.resolve();
let count = 0;

describe("a refusal that passes ends nothing", () => {
  it.each<[string, (command: Command) => boolean, (presences: Presences) => Promise<unknown>]>([
    ["the reads of pings", on("find", "pings"), nothing],
    ["the reads of records", on("find", "records"), nothing],
    ["the reads of the config", on("find", "meta"), ({ presence }) => presence.prune()],
    ["pings", on("findAndModify", "pings"), nothing],
    ["the time", on("findAndModify", "meta"), ({ listing }) => listing.list()],
    ["starts", on("update", "records"), ({ presence }) => presence.pinger(`start ${count++}`).start()],
    ["kills", on("update", "records"), ({ presence }) => presence.kill("theirs not")],
    ["the count of what is open", on("aggregate", "records"), nothing],
    ["the change stream", ({ isFeed }) => isFeed, ({ other }) => other.pinger(`start ${count++}`).start()],
    ["everything but the greeting", (command) => !isGreeting(command), nothing],
  ])("of %s", async (_, matches, act) => {
    const codes: number[] = [];
    let isFed = false;
    const uri = newDatabase();
    const proxy = await startProxy({
      uri,
      onCommand: (command) => {
        // By then the client has used the answer that opened the stream, so a refusal of it counts as passing.
        isFed ||= command.isFeed && command.name === "getMore";
        const code = matches(command) ? codes.shift() : undefined;
        return code === undefined ? undefined : refusal(code);
      },
    });
    try {
      await using presence = await opened(proxy.uri, { periodMs: PERIOD_MS, pollMs: PERIOD_MS / 4 });
      await using other = await opened(uri, { periodMs: PERIOD_MS });
      await using listing = await opened(proxy.uri, { periodMs: PERIOD_MS });
      const heard = hear(presence.watcher());
      await answered(() => listing.list());
      await presence.pinger("mine").start();
      await other.pinger("theirs").start();
      await until(() => isFed && heard.includes("mine true") && heard.includes("theirs true"));
      await answered(() => presence.kill("nobody's"));

      codes.push(...CODES);
      while (codes.length > 0) {
        await act({ presence, other, listing }).catch(() => {});
        await passes(PERIOD_MS / 8); // some times in a period
      }

      // All is well: changes of others are reported, own calls succeed.
      const later = other.pinger("later");
      // Else it takes the key up again, and both may be found by one read: that is an update.
      later.on("killed", () => void later.kill());
      await later.start();
      await until(() => heard.includes("later true"));
      const own = presence.pinger("own");
      await own.start();
      await until(() => heard.includes("own true"));
      await answered(() => presence.kill("later"));
      await until(() => heard.includes("later false"));
      await own.kill();
      await until(() => heard.includes("own false"));
      await until(() => presence.health.state === "healthy");
      for (const one of [other, listing])
        // Not there at all, if it has been pruned meanwhile.
        expect((await answered(() => one.list({ key: "own" }))).keys.filter(({ alive }) => alive)).toEqual(
          [],
        );
      expect(heard).not.toContain("mine false");
      expect(heard).not.toContain("theirs false");
    } finally {
      await proxy.stop();
    }
  });
});

it("a user that is dropped, and created again, is logged in again by new connections, though the server has logged the others out for good", async () => {
  const server = await startServer({ auth: true });
  onTestFinished(() => server.stop());
  const uri = newDatabase(server.uri);
  let loggedOut = 0;
  let latest = 0;
  const between = await startProxy({
    uri,
    onCommand: (command) => {
      latest = Math.max(latest, command.connection);
      if (command.connection > loggedOut || isGreeting(command) || command.name.startsWith("sasl"))
        return undefined;
      return command.name === "connectionStatus"
        ? { ok: 1, authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] } }
        : refusal(13);
    },
  });
  onTestFinished(() => between.stop());
  await using watching = await opened(between.uri, { periodMs: PERIOD_MS });
  await using holding = await opened(uri, { periodMs: PERIOD_MS });
  const watcher = watching.watcher();
  const heard = hear(watcher);
  await watching.pinger("mine").start();
  await until(() => heard.includes("mine true"));
  loggedOut = latest;
  await holding.pinger("theirs").start();
  await until(() => heard.includes("theirs true"));
  await watching.pinger("own").start();
  await until(() => watching.health.state === "healthy");
  expect(watcher.state).toBe("running");
  expect(heard.filter((line) => line.includes("false"))).toEqual([]);
});
