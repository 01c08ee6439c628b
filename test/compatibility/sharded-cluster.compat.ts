/** A cluster of two shards: a namespace on the primary shard of its database, and one on a shard of one's choice. */
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { storeContract } from "../../src/testing/index.ts";
import { withDatabase } from "../servers/index.ts";
import { until } from "../support/wait.ts";
import { startCluster } from "./deployments.ts";

const PERIOD_MS = 1000;

let cluster: Awaited<ReturnType<typeof startCluster>>;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.stop());

describe("MongoStore behind mongos keeps the contract", () => {
  storeContract(() => openMongo(withDatabase(cluster.uri, "contract")), {
    describe,
    it,
  });
});

describe("a namespace on the shard that was chosen for its database", () => {
  it("tells joins, updates, kills and crashes, and is pruned and dropped", async () => {
    const client = await new MongoClient(cluster.uri).connect();
    try {
      const admin = client.db("admin");
      const { shards } = (await admin.command({ listShards: 1 })) as unknown as { shards: { _id: string }[] };
      await admin.command({ enableSharding: "app", primaryShard: shards.at(-1)?.["_id"] });
      const options = { name: "workers", periodMs: PERIOD_MS };
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
    } finally {
      await client.close();
    }
  });
});
