/**
 * What needs several real mongods: a replica set of three that fails over, a sharded cluster. `mongod` and `mongos`
 * must be on the PATH; without them every test fails. Not a part of `npm test`:
 *
 *     npm test -- --config test/compatibility/vitest.config.ts
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.ts";

export default defineConfig({
  ...base,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...base.test,
    include: ["test/compatibility/*.compat.ts"],
    globalSetup: ["test/support/build.ts"],
    maxWorkers: 1,
    testTimeout: 180_000,
  },
});
