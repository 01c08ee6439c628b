/** The types of the package in strict programs of others, with the types of all that it leads to checked too. */
import { join } from "node:path";
import { blocksOf } from "../../docs/pages.ts";
import { Consumer } from "./consumer.ts";
import { expectSame, pinned, type Tools } from "./tools.ts";

const readme = blocksOf("README.md").filter(({ info }) => /^ts\b/.test(info));

/** What a block may use without saying where it comes from. */
const AMBIENT = 'declare global { const presence: import("heartbit").Presence; }\nexport {};\n';

/** Each way to find types, and what is compiled so. */
const WAYS = [
  { moduleResolution: "node16", module: "node16", include: ["*.mts", "*.cts"] },
  { moduleResolution: "nodenext", module: "nodenext", include: ["*.mts", "*.cts"] },
  { moduleResolution: "bundler", module: "esnext", include: ["*.mts"] },
];

export async function types({ report, tarball }: Tools): Promise<void> {
  const packages = [...pinned("@types/node", "mongodb"), "prom-client", "old@npm:typescript@5.9"];
  await using consumer = await Consumer.install({ tarball, packages });
  await consumer.write({ "ambient.d.mts": AMBIENT });
  for (const { code, line } of readme) {
    await consumer.write({ [`readme-${line}.mts`]: `${code}\nexport {};\n` });
  }
  const compilers = {
    "TypeScript 7": join(process.cwd(), "node_modules/typescript/bin/tsc"),
    "TypeScript 5.9": "node_modules/old/bin/tsc",
  };
  const strict = { strict: true, exactOptionalPropertyTypes: true, verbatimModuleSyntax: true };
  const common = { target: "ES2022", lib: ["ES2022"], types: ["node"], skipLibCheck: false, noEmit: true };
  for (const [name, compiler] of Object.entries(compilers)) {
    for (const { moduleResolution, module, include } of WAYS) {
      const what = `${name}, moduleResolution ${moduleResolution}: the README's code and every entry point`;
      await report.try(what, async () => {
        const compilerOptions = { ...common, ...strict, module, moduleResolution };
        await consumer.write({ "tsconfig.json": JSON.stringify({ compilerOptions, include }) });
        expectSame((await consumer.run(process.execPath, [compiler, "-p", "."])).output, "");
      });
    }
  }
}
