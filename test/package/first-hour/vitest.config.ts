/**
 * A newcomer's first hour: whatever one may do first with the package, done in empty folders from the packed tarball.
 * It needs a registry, and is not a part of `npm test`:
 *
 *     npm run first-hour [-- types testing]     only the files with these in their names
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import base from "../../../vitest.config.ts";

export default defineConfig({
  ...base,
  root: fileURLToPath(new URL("../../..", import.meta.url)),
  test: {
    ...base.test,
    include: ["test/package/first-hour/*.checks.ts"],
    globalSetup: [
      "test/servers/setup.ts",
      "test/support/build.ts",
      "test/package/first-hour/setup.ts",
      "test/support/passed-over.ts",
    ],
    reporters: ["verbose"],
    maxWorkers: 2,
    testTimeout: 1_800_000, // a registry and a busy machine may be slow
  },
});
