/** A cluster of two shards, and a namespace on the one that was chosen for its database. */
import { MongoClient } from "mongodb";
import { expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { withDatabase } from "../servers/index.ts";
import { until } from "../support/wait.ts";
import { startCluster } from "./deployments.ts";

it("on the shard that was chosen, joins, updates, kills and ends are reported, and it is pruned and dropped", async () => {
  const cluster = await startCluster();
  onTestFinished(() => cluster.stop());
  const client = await new MongoClient(cluster.uri).connect();
  onTestFinished(() => client.close());
  const admin = client.db("admin");
  const { shards } = (await admin.command({ listShards: 1 })) as unknown as { shards: { _id: string }[] };
  await admin.command({ enableSharding: "app", primaryShard: shards.at(-1)?.["_id"] });
  const options = { name: "workers", periodMs: 1000 };
  const target = withDatabase(cluster.uri, "app");
  await using watching = await Presence.open(target, options);
  const holding = await Presence.open(target, options);
  const told: string[] = [];
  watching.watcher().watch({ prefix: "key/" }, ({ key, cause }) => told.push(`${key} ${cause}`));

  const pingers = Array.from({ length: 50 }, (_, index) => holding.pinger(`key/${index}`));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  await until(() => told.filter((one) => one.endsWith(" joined")).length === pingers.length);
  await pingers[0]?.update({ state: "busy" });
  await until(() => told.includes("key/0 updated"));
  expect(await watching.kill("key/1")).toBe(1);
  await until(() => told.includes("key/1 killed"));
  await pingers[2]?.stop();
  await until(() => told.includes("key/2 stopped"));
  await holding.close();
  await until(() => told.includes("key/49 killed"));
  expect((await watching.list({ prefix: "key/" })).keys.filter(({ alive }) => alive)).toEqual([]);
  await watching.prune();
  await watching.drop();
});
