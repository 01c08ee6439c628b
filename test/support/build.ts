/** Builds the package once a run, for the tests that start it as real processes. Never into `dist`, which may be in use. */
import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** The folder with the built package: `index.js`, `testing/index.js`, `cli/main.js`. */
    built: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = project.config.root;
  // Within node_modules, so that the package's dependencies are found from there.
  const built = join(root, "node_modules", ".cache", `heartbit-${process.pid}`);
  await promisify(execFile)(process.execPath, [join(root, "scripts/build.mjs"), built], { cwd: root }).catch(
    ({ stdout = "", stderr = "" }: { stdout?: string; stderr?: string }) => {
      throw new Error(`The package could not be built:\n${stdout}${stderr}`);
    },
  );
  project.provide("built", built);
  return () => rm(built, { recursive: true, force: true });
}
