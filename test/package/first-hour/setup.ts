/** Packs the built package, once a run. */
import type { TestProject } from "vitest/node";
import { pack } from "../pack.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The path of the packed package. */
    tarball: string;
  }
}

export default async function setup(project: TestProject): Promise<() => PromiseLike<void>> {
  const tarball = await pack(project.getProvidedContext().built);
  project.provide("tarball", tarball.path);
  return () => tarball[Symbol.asyncDispose]();
}
