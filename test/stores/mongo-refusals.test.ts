/** What a server refuses for a while only, after it has done it before: no matter which command, and with which code. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { type Command, type Proxy, refusal, startProxy } from "../servers/proxy.ts";
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

/**
 * A presence behind a proxy, and another one that is not, each with a key; what the first is told of. A third one behind
 * the proxy only lists.
 */
class Scene implements AsyncDisposable {
  readonly #proxy: Proxy;
  readonly #refusing: { matches: (command: Command) => boolean; codes: number[] };
  readonly #told: readonly string[];
  readonly presence: Presence;
  readonly other: Presence;
  readonly listing: Presence;

  private constructor(
    proxy: Proxy,
    refusing: { matches: (command: Command) => boolean; codes: number[] },
    presences: readonly [Presence, Presence, Presence],
    told: readonly string[],
  ) {
    this.#proxy = proxy;
    this.#refusing = refusing;
    [this.presence, this.other, this.listing] = presences;
    this.#told = told;
  }

  static async open(): Promise<Scene> {
    const refusing: { matches: (command: Command) => boolean; codes: number[] } = {
      matches: () => false,
      codes: [],
    };
    const told: string[] = [];
    let isFed = false;
    const target = newDatabase();
    const proxy = await startProxy({
      uri: target,
      onCommand: (command) => {
        // By then the client has used the answer that opened the stream, so a refusal of it counts as passing.
        isFed ||= command.isFeed && command.name === "getMore";
        const code = refusing.matches(command) ? refusing.codes.shift() : undefined;
        return code === undefined ? undefined : refusal(code);
      },
    });
    const presence = await opened(proxy.uri, { periodMs: PERIOD_MS, pollMs: PERIOD_MS / 4 });
    const other = await opened(target, { periodMs: PERIOD_MS });
    presence.watcher().watch({ all: true }, ({ key, alive }) => told.push(`${key} ${alive}`));
    const listing = await opened(proxy.uri, { periodMs: PERIOD_MS });
    await answered(() => listing.list());
    await presence.pinger("mine").start();
    await other.pinger("theirs").start();
    await until(() => isFed && told.includes("mine true") && told.includes("theirs true"));
    await answered(() => presence.kill("nobody's"));
    return new Scene(proxy, refusing, [presence, other, listing], told);
  }

  /** Refuses what matches, once with each code, and does meanwhile what needs it, some times in a period. */
  async refuse(matches: (command: Command) => boolean, act: () => Promise<unknown>): Promise<void> {
    this.#refusing.matches = matches;
    this.#refusing.codes = [...CODES];
    while (this.#refusing.codes.length > 0) {
      await act().catch(() => {});
      await passes(PERIOD_MS / 8);
    }
  }

  /** All is well: changes of others are reported, own calls succeed. */
  async isWell(): Promise<void> {
    const { presence, other } = this;
    const told = this.#told;
    await other.pinger("later").start();
    await until(() => told.includes("later true"));
    const own = presence.pinger("own");
    await own.start();
    await until(() => told.includes("own true"));
    await answered(() => presence.kill("later"));
    await until(() => told.includes("later false"));
    await own.kill();
    await until(() => told.includes("own false"));
    await until(() => presence.health.state === "healthy");
    for (const one of [other, this.listing])
      expect((await answered(() => one.list({ key: "own" }))).keys[0]?.alive).toBe(false);
    expect(told).not.toContain("mine false");
    expect(told).not.toContain("theirs false");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.presence.close(), this.other.close(), this.listing.close()]);
    await this.#proxy.stop();
  }
}

/** What the presence does anyway. */
const nothing = (): Promise<unknown> => Promise.resolve();
let count = 0;

// Most of the time they wait for the next ping or read.
describe.concurrent("a refusal that passes ends nothing", () => {
  it.each<[string, (command: Command) => boolean, (scene: Scene) => Promise<unknown>]>([
    ["the reads of pings", on("find", "pings"), nothing],
    ["the reads of records", on("find", "records"), nothing],
    ["the reads of the config", on("find", "meta"), ({ presence }) => presence.prune()],
    ["pings", on("findAndModify", "pings"), nothing],
    ["the time", on("findAndModify", "meta"), ({ listing }) => listing.list()],
    ["starts", on("update", "records"), ({ presence }) => presence.pinger(`start ${count++}`).start()],
    ["kills", on("update", "records"), ({ presence }) => presence.kill("theirs not")],
    ["the count of what is open", on("aggregate", "records"), nothing],
    ["the change stream", ({ isFeed }) => isFeed, ({ other }) => other.pinger(`start ${count++}`).start()],
    ["everything but the greeting", ({ name }) => !/^(?:hello|ismaster)$/i.test(name), nothing],
  ])("of %s", async (_, what, act) => {
    await using scene = await Scene.open();
    await scene.refuse(what, () => act(scene));
    await scene.isWell();
  });
});

describe("a user that is dropped, and created again", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ auth: true });
  });
  afterAll(() => server.stop());

  it("is logged in again by new connections, though the server has logged the others out for good", async () => {
    const uri = newDatabase(server.uri);
    let loggedOut = 0;
    let latest = 0;
    const between = await startProxy({
      uri,
      onCommand: ({ name, connection }) => {
        latest = Math.max(latest, connection);
        if (connection > loggedOut || /^(?:hello|ismaster|sasl.*)$/i.test(name)) return undefined;
        return name === "connectionStatus"
          ? { ok: 1, authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] } }
          : refusal(13);
      },
    });
    onTestFinished(() => between.stop());
    await using watching = await opened(between.uri, { periodMs: PERIOD_MS });
    await using holding = await opened(uri, { periodMs: PERIOD_MS });
    const heard: string[] = [];
    const watcher = watching.watcher();
    watcher.watch({ all: true }, ({ key, alive }) => heard.push(`${key} ${alive}`));
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
});
