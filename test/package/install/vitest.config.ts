/**
 * The package as its users have it: packed, installed in an empty folder, and run by each Node. Not a part of `npm test`,
 * because it fetches packages from the registry:
 *
 *     npm test -- --config test/package/install/vitest.config.ts
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import base from "../../../vitest.config.ts";

export default defineConfig({
  ...base,
  root: fileURLToPath(new URL("../../..", import.meta.url)),
  test: {
    ...base.test,
    include: ["test/package/install/*.install.ts"],
    maxWorkers: 1,
    hookTimeout: 300_000,
  },
});
