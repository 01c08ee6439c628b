import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";

it.each([
  ["index.js", false],
  ["testing/index.js", false],
  ["dashboard/index.js", false],
  ["metrics/index.js", true],
])("a program that imports %s loads prom-client: %s", async (file, isLoaded) => {
  const url = pathToFileURL(join(inject("built"), file)).href;
  const script = `import { Module } from "node:module"; await import("${url}"); console.log(...Object.keys(Module._cache));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  expect(stdout.includes("prom-client")).toBe(isLoaded);
});
