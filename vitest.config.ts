import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** `HEARTBIT_DRIVER=6` runs the tests, and with them the library, on version 6 of the MongoDB driver. */
const driver = process.env["HEARTBIT_DRIVER"] === "6" ? [{ find: /^mongodb$/, replacement: "mongodb6" }] : [];

/** The files that take longest, longest first. They begin first, so that no worker ends long after the others. */
const LONGEST = [
  "stores/mongo-standalone",
  "cli/commands",
  "stores/mongo",
  "cli/run",
  "dashboard/page",
  "simulator",
  "reference",
  "dashboard/serve",
  "cli/json",
  "stores/mongo-trouble",
  "processes",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- the sequencer's, of the files
    const sequence = await super.sort(files);
    return sequence.toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const index = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return index === -1 ? LONGEST.length : index;
}

export default defineConfig({
  resolve: { alias: driver },
  test: {
    include: ["test/**/*.test.ts"],
    // Most of the time is spent waiting for real processes and servers, not computing.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // What concurrent tests of a file wait for is mostly time, too.
    maxConcurrency: 8,
    globalSetup: ["test/servers/setup.ts", "test/support/build.ts", "test/support/passed-over.ts"],
    // Only for what hangs: no test is judged by these, so a busy machine cannot reach them with one that goes on.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
