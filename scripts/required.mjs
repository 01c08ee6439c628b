// Makes the copy of the library for programs that `require` it and cannot load ES modules: Jest, and bundlers. Node
// itself takes the ES modules for `require`, too, by the condition `module-sync`.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";

/** Each entry point, with its classes and functions as TypeScript declares them. All else that it exports are types. */
const ENTRIES = {
  index: { from: "index", values: { HeartbitError: "", Presence: "<Meta = unknown>" } },
  dashboard: { from: "dashboard/index", values: { dashboard: undefined, toNodeListener: undefined } },
  metrics: { from: "metrics/index", values: { registerMetrics: undefined } },
  testing: {
    from: "testing/index",
    values: { FaultyStore: "", ManualClock: "", MemoryStore: "", storeContract: undefined },
  },
};

/** Into `cjs` of what was built: small, since what is read is the source of the modules. */
export async function makeRequired(out) {
  const cjs = join(out, "cjs");
  mkdirSync(cjs, { recursive: true });
  for (const [name, { from, values }] of Object.entries(ENTRIES)) {
    writeFileSync(join(cjs, `${name}.d.cts`), typesOf(`../${from}.js`, values));
  }
  await build({
    root: out,
    configFile: false,
    logLevel: "warn",
    publicDir: false,
    plugins: [pageStaysWhereItIs, filesHaveNames],
    build: {
      ssr: true,
      outDir: cjs,
      emptyOutDir: false,
      minify: true,
      target: "node20",
      rolldownOptions: {
        // Otherwise an entry point would also have what its own parts need of it.
        preserveEntrySignatures: "strict",
        input: Object.fromEntries(
          Object.entries(ENTRIES).map(([name, { from }]) => [name, join(out, `${from}.js`)]),
        ),
        output: {
          format: "cjs",
          entryFileNames: "[name].cjs",
          chunkFileNames: "[name].cjs",
          exports: "named",
        },
      },
    },
  });
}

/** The types are those of the modules, so a presence is one, however it was loaded. */
function typesOf(from, values) {
  const mode = 'with { "resolution-mode": "import" }';
  const lines = Object.entries(values).map(([name, generics]) => {
    const value = `export declare const ${name}: typeof esm.${name};`;
    if (generics === undefined) return value;
    const names = generics.replace(/ = \w+/g, "");
    return `${value}\nexport type ${name}${generics} = esm.${name}${names};`;
  });
  return [
    `import type * as esm from "${from}" ${mode};`,
    `export type * from "${from}" ${mode};`,
    ...lines,
    "",
  ].join("\n");
}

/** The page is the greater part of the package: both copies have the same one. */
const pageStaysWhereItIs = {
  name: "page",
  enforce: "pre",
  resolveId: (id) =>
    id.endsWith("page/files.js") ? { id: "../dashboard/page/files.cjs", external: "relative" } : undefined,
};

/** Packages of stores are looked up from this file. */
const filesHaveNames = {
  name: "names",
  transform: (code, id) =>
    id.endsWith("stores/sqlite/driver.js")
      ? { code: code.replace("import.meta", "{ url: __filename }"), map: null }
      : undefined,
};
