import { defineConfig } from "vitest/config";

/** `HEARTBIT_DRIVER=6` runs the tests, and with them the library, on version 6 of the MongoDB driver. */
const driver = process.env["HEARTBIT_DRIVER"] === "6" ? [{ find: /^mongodb$/, replacement: "mongodb6" }] : [];

export default defineConfig({
  resolve: { alias: driver },
  test: {
    include: ["test/**/*.test.ts"],
    // Most of the time is spent waiting for real processes and servers, not computing.
    maxWorkers: 3,
    // What concurrent tests of a file wait for is mostly time, too.
    maxConcurrency: 8,
    globalSetup: ["test/servers/setup.ts", "test/support/build.ts", "test/support/passed-over.ts"],
    // Only for what hangs: no test is judged by these, so a busy machine cannot reach them with one that goes on.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
