/** What kind of server it is, looked at again whenever it was lost and found. */
import { expect, it, onTestFinished } from "vitest";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { CONFIG } from "../../src/testing/contract/world.ts";
import { type Command, type Deployment, refusal } from "../servers/proxy.ts";
import { needsFeed } from "../support/needs.ts";
import { opened, until } from "../support/wait.ts";
import { newClient, newProxy, SLOT } from "./support.ts";

needsFeed();

/** A presence on a server that seems to be of this kind, and what it sends. */
async function open(as: Deployment) {
  const commands: Command[] = [];
  const proxy = await newProxy({ as, onCommand: (command) => void commands.push(command) });
  const presence = await opened(proxy.uri, { periodMs: 400, pollMs: 100 });
  onTestFinished(() => presence.close());
  const heard: string[] = [];
  presence.watcher().watch({ all: true }, ({ key, alive }) => heard.push(`${key} ${alive}`));
  await presence.pinger("key").start();
  await until(() => heard.includes("key true"));
  const sent = (wanted: string): Command[] => commands.filter(({ name }) => name === wanted);
  // The config is read by a stronger concern.
  const ofReads = (): unknown[] => {
    const reads = sent("find").filter(({ collection }) => !collection.endsWith(".meta"));
    return [...new Set(reads.map(({ body }) => body["readConcern"]?.level))];
  };
  const ofPings = (): unknown =>
    sent("findAndModify").findLast(({ collection }) => collection.endsWith(".pings"))?.body["writeConcern"];
  const hasFeed = (): boolean => commands.some(({ isFeed }) => isFeed);
  return { proxy, presence, commands, heard, sent, ofReads, ofPings, hasFeed };
}

it("a standalone server that becomes a replica set is followed by a change stream, and read by majority", async () => {
  const { proxy, presence, commands, heard, ofReads, ofPings, hasFeed } = await open("standalone");
  expect(ofReads()).toEqual(["local"]);
  expect(ofPings()).toMatchObject({ j: true }); // a majority of one would acknowledge from memory
  expect(hasFeed()).toBe(false);
  proxy.as = "replica set";
  proxy.cut();
  await until(hasFeed);
  commands.length = 0;
  await until(() => ofReads().length > 0 && ofPings() !== undefined);
  expect(ofReads()).toEqual(["majority"]);
  expect(ofPings()).toMatchObject({ w: "majority" });
  await until(() => presence.health.state === "healthy");
  expect(heard).toEqual(["key true"]);
});

it("a standalone server that keeps no journal refuses to wait for it, and is written without", async () => {
  let refused = 0;
  const proxy = await newProxy({
    as: "standalone",
    onCommand: ({ body }) => (body["writeConcern"]?.j === true && ++refused ? refusal(2) : undefined),
  });
  const namespace = mongoStore(newClient({}, proxy.uri).db()).namespace("presence", CONFIG);
  await namespace.configure(CONFIG);
  expect(await namespace.ping(SLOT, 1)).toMatchObject({ hasMail: false });
  expect(refused).toBe(1);
});

it("a sharded cluster is polled, and has no change stream", async () => {
  const { commands, heard, sent, ofReads, hasFeed } = await open("sharded cluster");
  expect(ofReads()).toEqual(["majority"]);
  commands.length = 0;
  await until(() => sent("find").length >= 20);
  expect(hasFeed()).toBe(false);
  expect(heard).toEqual(["key true"]);
});
