import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";

/** How many modules of prom-client a program has loaded that imports this file of the package. */
async function loadedBy(...file: string[]): Promise<number> {
  const url = pathToFileURL(join(inject("built"), ...file)).href;
  const script = `import { Module } from "node:module"; await import(${JSON.stringify(url)}); console.log(Object.keys(Module._cache).filter((name) => name.includes("prom-client")).length);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  return Number(stdout);
}

it.each(["index.js", "testing/index.js", "dashboard/index.js"])(
  "%s does not load prom-client",
  async (file) => {
    expect(await loadedBy(file)).toBe(0);
  },
);

it("heartbit/metrics does", async () => {
  expect(await loadedBy("metrics", "index.js")).toBeGreaterThan(0);
});
