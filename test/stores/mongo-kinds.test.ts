/** What kind of server it is, looked at again whenever it was lost and found. */
import { expect, it, onTestFinished } from "vitest";
import { newDatabase } from "../servers/database.ts";
import { type Command, type Deployment, startProxy } from "../servers/proxy.ts";
import { needsFeed } from "../support/needs.ts";
import { opened, until } from "../support/wait.ts";

needsFeed();

const PERIOD_MS = 400;

/** A presence on a server that seems to be of this kind, and what it sends. */
async function open(as: Deployment) {
  const commands: Command[] = [];
  const proxy = await startProxy({
    uri: newDatabase(),
    as,
    onCommand: (command) => void commands.push(command),
  });
  onTestFinished(() => proxy.stop());
  const presence = await opened(proxy.uri, {
    periodMs: PERIOD_MS,
    pollMs: 100,
  });
  onTestFinished(() => presence.close());
  const heard: string[] = [];
  presence.watcher().watch({ all: true }, ({ key, alive }) => heard.push(`${key} ${alive}`));
  await presence.pinger("key").start();
  await until(() => heard.includes("key true"));
  // The config is read by a stronger concern.
  const ofReads = (): Set<unknown> => {
    const reads = commands.filter(({ name, collection }) => name === "find" && !collection.endsWith(".meta"));
    return new Set(reads.map(({ body }) => body["readConcern"]?.level));
  };
  const ofPings = (): unknown =>
    commands.findLast(({ name, collection }) => name === "findAndModify" && collection.endsWith(".pings"))
      ?.body["writeConcern"];
  return { proxy, presence, commands, heard, ofReads, ofPings };
}

it("a standalone server that becomes a replica set is followed by a change stream, and read by majority", async () => {
  const { proxy, presence, commands, heard, ofReads, ofPings } = await open("standalone");
  expect([...ofReads()]).toEqual(["local"]);
  expect(ofPings()).toMatchObject({ j: true });
  expect(commands.some(({ isFeed }) => isFeed)).toBe(false);
  proxy.as = "replica set";
  proxy.cut();
  await until(() => commands.some(({ isFeed }) => isFeed));
  commands.length = 0;
  await until(() => ofReads().size > 0 && ofPings() !== undefined);
  expect([...ofReads()]).toEqual(["majority"]);
  expect(ofPings()).toMatchObject({ w: "majority" });
  await until(() => presence.health.state === "healthy");
  expect(heard).toEqual(["key true"]);
});

it("a sharded cluster is polled, and has no change stream", async () => {
  const { commands, heard, ofReads } = await open("sharded cluster");
  expect([...ofReads()]).toEqual(["majority"]);
  commands.length = 0;
  await until(() => commands.filter(({ name }) => name === "find").length >= 20);
  expect(commands.some(({ isFeed }) => isFeed)).toBe(false);
  expect(heard).toEqual(["key true"]);
});
