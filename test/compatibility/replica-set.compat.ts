/** A replica set of three whose primary steps down, is killed, and is stands still. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { storeContract } from "../../src/testing/index.ts";
import { withDatabase } from "../servers/index.ts";
import { passes, until } from "../support/wait.ts";
import { Worker } from "../support/workers.ts";
import { type ReplicaSet, startReplicaSet, tell } from "./deployments.ts";

const PERIOD_MS = 1000;

let set: ReplicaSet;
beforeAll(async () => {
  set = await startReplicaSet("heartbit", 3);
});
afterAll(() => set.stop());

describe("MongoStore on a replica set of three keeps the contract", () => {
  storeContract(() => openMongo(withDatabase(set.uri, "contract")), {
    describe,
    it,
  });
});

const failOvers = [
  {
    name: "steps down",
    strike: async () => {
      const primary = await set.primary();
      // The connection may end before the answer.
      await tell(primary, { replSetStepDown: 10, force: true }).catch(() => undefined);
      return async (): Promise<void> => {};
    },
  },
  {
    name: "is killed",
    strike: async () => {
      const primary = await set.primary();
      await primary.kill9();
      return (): Promise<void> => primary.restart();
    },
  },
  {
    name: "stands still",
    strike: async () => {
      const primary = await set.primary();
      primary.pause();
      return async (): Promise<void> => primary.resume();
    },
  },
];

describe("when the primary of three", () => {
  it.each(failOvers)("$name, nobody is told dead, and a crash afterwards is", async ({ name, strike }) => {
    const target = withDatabase(set.uri, `fail_over_${name.replace(" ", "_")}`);
    const options = { periodMs: PERIOD_MS };
    await using presence = await Presence.open(target, options);
    const told: string[] = [];
    presence.watcher().watch({ all: true }, ({ key, alive, cause }) => {
      told.push(`${key} ${alive ? "alive" : "dead"} ${cause}`);
    });
    const workers = await Promise.all(["a", "b", "c"].map((key) => Worker.start(target, options, key)));
    let mend: (() => Promise<void>) | undefined;
    try {
      await until(() => told.length === workers.length);
      await passes(4 * PERIOD_MS);
      mend = await strike();
      await set.primary();
      await until(() => presence.health.state === "healthy");
      await passes(6 * PERIOD_MS);
      expect(told.filter((one) => one.includes(" dead "))).toEqual([]);

      await workers[1]?.crash();
      await until(() => told.includes("b dead expired"));
      expect(told.filter((one) => one.includes(" dead "))).toEqual(["b dead expired"]);

      await presence.pinger("d").start();
      await until(() => told.includes("d alive joined"));
    } finally {
      await mend?.();
      await Promise.all(workers.map((worker) => worker.crash()));
    }
  });
});
