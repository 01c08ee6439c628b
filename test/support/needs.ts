/** What some tests need of the machine, and how a run says at its end that they were passed over. */
import { execFileSync } from "node:child_process";
import { beforeEach, inject } from "vitest";

/** Passes over the tests of the block that calls it where they lack something: `reason` is what, and what to do. */
export function needs(isThere: boolean, reason: string): void {
  beforeEach(({ skip }) => skip(!isThere, reason));
}

/** Whether the program is on the PATH. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync("which", [program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Passes over the tests of the block that calls it where the server has no change streams that heartbit uses. */
export function needsFeed(): void {
  const topology = inject("topology");
  needs(
    topology === "replica set",
    `the server is a ${topology}, which is polled: a change stream needs a replica set`,
  );
}
