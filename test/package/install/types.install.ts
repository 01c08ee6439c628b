/** The types of the package in strict programs of others, with the types of all that it leads to checked too. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { blocksOf } from "../../docs/pages.ts";
import { pack } from "../pack.ts";
import { Consumer } from "./consumer.ts";

const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
  devDependencies: Record<string, string>;
};
const compiler = join(process.cwd(), "node_modules/typescript/bin/tsc");
const readme = blocksOf("README.md").filter(({ info }) => /^ts\b/.test(info));

/** What a block may use without saying where it comes from. */
const AMBIENT = 'declare global { const presence: import("heartbit").Presence; }\nexport {};\n';

let consumer: Consumer;

beforeAll(async () => {
  const packages = ["@types/node", "mongodb", "prom-client"].map(
    (name) => `${name}@${devDependencies[name] ?? "latest"}`,
  );
  await using tarball = await pack(inject("built"));
  consumer = await Consumer.install({ tarball, packages });
  await consumer.write({ "ambient.d.mts": AMBIENT });
  for (const { code, line } of readme)
    await consumer.write({ [`readme-${line}.mts`]: `${code}\nexport {};\n` });
});
afterAll(() => consumer[Symbol.asyncDispose]());

it.each([
  ["node16", { module: "node16", include: ["*.mts"] }],
  ["nodenext", { module: "nodenext", include: ["*.mts", "*.cts"] }],
  ["bundler", { module: "esnext", include: ["*.mts"] }],
])(
  "the README's code, and every entry point, compile with moduleResolution %s",
  async (resolution, { module, include }) => {
    const compilerOptions = {
      target: "ES2022",
      lib: ["ES2022"],
      types: ["node"],
      module,
      moduleResolution: resolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      verbatimModuleSyntax: true,
      skipLibCheck: false,
      noEmit: true,
    };
    await consumer.write({ "tsconfig.json": JSON.stringify({ compilerOptions, include }) });
    expect((await consumer.run(process.execPath, [compiler, "-p", "."])).output).toBe("");
  },
);
