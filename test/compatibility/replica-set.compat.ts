/** A replica set of three whose primary steps down, is killed, and stands still. */
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { withDatabase } from "../servers/index.ts";
import type { ServerProcess } from "../servers/process.ts";
import { passes, until } from "../support/wait.ts";
import { Worker } from "../support/workers.ts";
import { type ReplicaSet, startReplicaSet, tell } from "./deployments.ts";

const PERIOD_MS = 1000;

let set: ReplicaSet;
beforeAll(async () => {
  set = await startReplicaSet("heartbit", 3);
});
afterAll(() => set.stop());

interface FailOver {
  readonly name: string;
  readonly strike: (primary: ServerProcess) => Promise<unknown>;
  readonly mend?: (struck: ServerProcess) => Promise<void>;
}

it.each<FailOver>([
  {
    name: "steps down",
    // The connection may end before the answer.
    strike: (primary) => tell(primary, { replSetStepDown: 10, force: true }).catch(() => undefined),
  },
  { name: "is killed", strike: (primary) => primary.kill9(), mend: (struck) => struck.restart() },
  {
    name: "stands still",
    strike: async (primary) => primary.pause(),
    mend: async (struck) => struck.resume(),
  },
])(
  "when the primary of three $name, nobody is told dead, and a crash afterwards is",
  async ({ name, strike, mend }) => {
    const target = withDatabase(set.uri, `fail_over_${name.replace(" ", "_")}`);
    const options = { periodMs: PERIOD_MS };
    await using presence = await Presence.open(target, options);
    const told: string[] = [];
    presence.watcher().watch({ all: true }, ({ key, alive, cause }) => {
      told.push(`${key} ${alive ? "alive" : "dead"} ${cause}`);
    });
    const workers = await Promise.all(["a", "b", "c"].map((key) => Worker.start(target, options, key)));
    onTestFinished(async () => void (await Promise.all(workers.map((worker) => worker.crash()))));
    await until(() => told.length === workers.length);
    await passes(4 * PERIOD_MS);
    const primary = await set.primary();
    await strike(primary);
    onTestFinished(() => mend?.(primary));
    await set.primary();
    await until(() => presence.health.state === "healthy");
    await passes(6 * PERIOD_MS);
    expect(told.filter((one) => one.includes(" dead "))).toEqual([]);

    await workers[1]?.crash();
    await until(() => told.includes("b dead expired"));
    expect(told.filter((one) => one.includes(" dead "))).toEqual(["b dead expired"]);

    await presence.pinger("d").start();
    await until(() => told.includes("d alive joined"));
  },
);
