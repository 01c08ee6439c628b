/** The types of the package in strict programs of others, with the types of all that it leads to checked too. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { blocksOf } from "../../docs/pages.ts";
import { Consumer, pinned } from "./consumer.ts";

/** What a block of the README may use without saying where it comes from. */
const AMBIENT = 'declare global { const presence: import("heartbit").Presence; }\nexport {};\n';
const STRICT = { strict: true, exactOptionalPropertyTypes: true, verbatimModuleSyntax: true };
const COMMON = { target: "ES2022", lib: ["ES2022"], types: ["node"], skipLibCheck: false, noEmit: true };

const packages = [
  ...pinned("@types/node", "mongodb"),
  "prom-client",
  "old@npm:typescript@5.9",
  "oldest@npm:typescript@5.3",
];
const consumer = await Consumer.install({ packages });
await consumer.write({ "ambient.d.mts": AMBIENT });
for (const { code, line } of blocksOf("README.md").filter(({ info }) => /^ts\b/.test(info))) {
  await consumer.write({ [`readme-${line}.mts`]: `${code}\nexport {};\n` });
}

describe.each([
  ["TypeScript 7", join(process.cwd(), "node_modules/typescript/bin/tsc")],
  ["TypeScript 5.9", "node_modules/old/bin/tsc"],
  ["TypeScript 5.3", "node_modules/oldest/bin/tsc"],
])("%s", (_name, compiler) => {
  it.each([
    ["node16", "node16", ["*.mts", "*.cts"]],
    ["nodenext", "nodenext", ["*.mts", "*.cts"]],
    ["bundler", "esnext", ["*.mts"]],
  ])(
    "moduleResolution %s: the README's code and every entry point",
    async (moduleResolution, module, include) => {
      const compilerOptions = { ...COMMON, ...STRICT, module, moduleResolution };
      await consumer.write({ "tsconfig.json": JSON.stringify({ compilerOptions, include }) });
      expect((await consumer.run(process.execPath, [compiler, "-p", "."])).output).toBe("");
    },
  );
});
