/** What a server refuses for a while only, after it has done it before: no matter which command, and with which code. */
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { type Command, type Proxy, refusal, startProxy } from "../servers/proxy.ts";
import { until } from "../support/wait.ts";

const PERIOD_MS = 250;
/**
 * UserNotFound, Unauthorized, AuthenticationFailed, CommandNotFound, CommandNotSupported, ReadConcernMajorityNotEnabled,
 * APIStrictError, AtlasError, ReauthenticationRequired, an unknown stage, and a change stream on no replica set.
 */
const CODES = [11, 13, 18, 59, 115, 148, 323, 8000, 391, 40324, 40573];

let matches: (command: Command) => boolean;
let codes: number[];
let proxy: Proxy;
let presence: Presence;
let other: Presence;
let told: string[];
beforeEach(async () => {
  codes = [];
  told = [];
  const target = newDatabase();
  proxy = await startProxy({
    uri: target,
    onCommand: (command) => {
      const code = matches(command) ? codes.shift() : undefined;
      return code === undefined ? undefined : refusal(code);
    },
  });
  matches = () => false;
  presence = await Presence.open(proxy.uri, { periodMs: PERIOD_MS, pollMs: PERIOD_MS / 4 });
  other = await Presence.open(target, { periodMs: PERIOD_MS });
  presence.watcher().watch({ all: true }, ({ key, alive }) => told.push(`${key} ${alive}`));
  await presence.pinger("mine").start();
  await other.pinger("theirs").start();
  await until(() => told.includes("mine true") && told.includes("theirs true"));
  await presence.kill("nobody's");
});
afterEach(async () => {
  await Promise.all([presence.close(), other.close()]);
  await proxy.stop();
});

const on = (name: string, collection: string) => (command: Command) =>
  command.name === name && command.collection === `presence.${collection}` && !command.isFeed;

/** Refuses what matches, once with each code, and does meanwhile what needs it. */
async function refuse(what: (command: Command) => boolean, act: () => Promise<unknown>): Promise<void> {
  matches = what;
  codes = [...CODES];
  while (codes.length > 0) {
    await act().catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const wait = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 5));

/** All is well: changes of others are reported, own calls succeed. */
async function isWell(): Promise<void> {
  const pinger = other.pinger("later");
  await pinger.start();
  await until(() => told.includes("later true"));
  const own = presence.pinger("own");
  await own.start();
  await until(() => told.includes("own true"));
  await presence.kill("later");
  await until(() => told.includes("later false"));
  await own.kill();
  await until(() => told.includes("own false"));
  await until(() => presence.health.state === "healthy");
  expect((await other.list({ key: "own" })).keys[0]?.alive).toBe(false);
  expect(told).not.toContain("mine false");
  expect(told).not.toContain("theirs false");
}

describe("a refusal that passes ends nothing", () => {
  let count = 0;
  it.each<[string, (command: Command) => boolean, () => Promise<unknown>]>([
    ["the reads of pings", on("find", "pings"), wait],
    ["the reads of records", on("find", "records"), wait],
    ["the reads of the config", on("find", "meta"), () => presence.list()],
    ["pings", on("findAndModify", "pings"), wait],
    ["the time", on("findAndModify", "meta"), () => presence.list()],
    ["starts", on("update", "records"), () => presence.pinger(`start ${count++}`).start()],
    ["kills", on("update", "records"), () => presence.kill("theirs not")],
    ["the count of what is open", on("aggregate", "records"), wait],
    ["the change stream", ({ isFeed }) => isFeed, wait],
    ["everything but the greeting", ({ name }) => !/^(?:hello|ismaster)$/i.test(name), wait],
  ])("of %s", async (_, what, act) => {
    await refuse(what, act);
    await isWell();
  });
});
