/**
 * The suite that every store must pass: the doc comments of the port (`core/store.ts`) as tests. Authors of stores run
 * it with the test runner of their choice:
 *
 *     import { describe, it } from "vitest"; // or "node:test", or what jest and mocha provide
 *     storeContract(() => new MyStore(url), { describe, it });
 */
import { HeartbitError } from "../core/errors.ts";
import { configTests } from "./contract/config.ts";
import { feedTests } from "./contract/feed.ts";
import { keyTests } from "./contract/keys.ts";
import { lifeTests } from "./contract/life.ts";
import type { MakeStore } from "./contract/make-store.ts";
import { pingTests } from "./contract/pings.ts";
import { pruneTests } from "./contract/prune.ts";
import { readTests } from "./contract/read.ts";
import { inWorld, type Suite } from "./contract/world.ts";
import { writeTests } from "./contract/write.ts";

/** What the suite needs from a test runner: vitest, node:test, jest and mocha all have it. */
export interface TestApi {
  /** Names a group of tests. */
  readonly describe: (name: string, body: () => void) => unknown;
  /** Declares a test. Either `it` or `test` is enough. */
  readonly it?: (name: string, body: () => Promise<void>) => unknown;
  /** Like `it`. */
  readonly test?: (name: string, body: () => Promise<void>) => unknown;
}

/**
 * Declares the suite with the runner. Each test calls `makeStore`, works in a namespace of its own with a random name
 * (so stores on one shared server may be tested in parallel), drops it at the end and closes the store.
 *
 * The store's clock must run by itself: with a `ManualClock` that nobody advances, tests wait for ever. Tests of the
 * feed wait for the change itself, bounded by the runner's time-out. A store without a feed, or whose feed's `ready`
 * rejects with `UNSUPPORTED_SERVER`, passes them.
 *
 * Throws `INVALID_OPTION` if `testApi` has neither `it` nor `test`.
 */
export function storeContract(makeStore: MakeStore, testApi: TestApi): void {
  const declare = testApi.it ?? testApi.test;
  if (declare === undefined)
    throw new HeartbitError(
      "INVALID_OPTION",
      "storeContract needs `it` or `test` of a test runner in testApi.",
    );
  const suites: Record<string, Suite> = {
    "config and sequence numbers": configTests,
    "writes and the laws of merging": writeTests,
    "exact keys": keyTests,
    pings: pingTests,
    reads: readTests,
    pruning: pruneTests,
    feed: feedTests,
    "namespaces and closing": lifeTests,
  };
  for (const [name, suite] of Object.entries(suites)) {
    testApi.describe(name, () =>
      suite((sentence, body) => declare(sentence, () => inWorld(makeStore, body))),
    );
  }
}
