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
  { resolution: "node16", module: "node16", include: ["*.mts", "*.cts"] },
  { resolution: "nodenext", module: "nodenext", include: ["*.mts", "*.cts"] },
  { resolution: "bundler", module: "esnext", include: ["*.mts"] },
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
  for (const [name, compiler] of Object.entries(compilers)) {
    for (const { resolution, module, include } of WAYS) {
      await report.try(
        `${name}, moduleResolution ${resolution}: the README's code and every entry point`,
        async () => {
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
          expectSame((await consumer.run(process.execPath, [compiler, "-p", "."])).output, "");
        },
      );
    }
  }
}
