/** Many presences on one client with few connections. */
import { MongoClient } from "mongodb";
import { expect, it, onTestFinished } from "vitest";
import { newDatabase } from "../servers/database.ts";
import { needsFeed } from "../support/needs.ts";
import { opened, until } from "../support/wait.ts";

needsFeed();

it("25 presences that watch on one client with 5 connections are all told, by a feed or by polling", async () => {
  const target = newDatabase();
  const client = new MongoClient(target, { maxPoolSize: 5 });
  onTestFinished(() => client.close());
  const options = { periodMs: 4000 };
  const said: string[] = [];
  const logger = { info: (message: string) => said.push(message) };
  const told = Array.from({ length: 25 }, () => new Set<string>());
  for (const heard of told) {
    const presence = await opened(client.db(), { ...options, logger });
    onTestFinished(() => presence.close());
    presence.watcher().watch({ prefix: "key/" }, ({ key, alive }) => heard.add(`${key} ${alive}`));
  }
  const isTold = (what: string): Promise<void> => until(() => told.every((heard) => heard.has(what)));
  await using holding = await opened(target, options);
  const pinger = holding.pinger("key/1");
  await pinger.start();
  await isTold("key/1 true");
  await pinger.kill();
  await isTold("key/1 false");
  // Streams may hold half of the connections.
  expect(said.filter((line) => line.includes("maxPoolSize is 5")).length).toBeGreaterThanOrEqual(23);
});
