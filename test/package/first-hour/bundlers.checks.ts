/** What bundlers make of a program: one file that has the page in it, and finds it wherever the file is. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Consumer } from "./consumer.ts";
import { expectSame, pinned, type Tools, versionsIn } from "./tools.ts";

/** Packages that a program installs beside its bundle: the stores', which are loaded where they are used. */
const EXTERNAL = ["mongodb", "@photostructure/sqlite"];

const webpackConfig = (format: string): string => `
export default {
  mode: "production",
  target: "node20",
  entry: "./dashboard.mjs",
  output: {
    filename: "webpack.${format === "esm" ? "mjs" : "cjs"}",
    path: import.meta.dirname ?? new URL(".", import.meta.url).pathname,
    ${format === "esm" ? 'module: true, library: { type: "module" }, chunkFormat: "module"' : ""}
  },
  // Otherwise each store becomes a file of its own.
  module: { parser: { javascript: { dynamicImportMode: "eager" } } },
  experiments: { outputModule: ${format === "esm"} },
  externals: Object.fromEntries(${JSON.stringify(EXTERNAL)}.map((name) => [name, "${format === "esm" ? "import" : "commonjs"} " + name])),
};
`;

const viteConfig = `
export default {
  build: { ssr: "dashboard.mjs", outDir: ".", emptyOutDir: false, rolldownOptions: { output: { entryFileNames: "vite.mjs", codeSplitting: false } } },
  ssr: { noExternal: true, external: ${JSON.stringify(EXTERNAL)} },
};
`;

/** As esbuild's own documentation advises for packages that require Node's modules. */
const BANNER =
  "--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const esbuild = (format: string, file: string): string[] => [
  ...`esbuild dashboard.mjs --bundle --platform=node --format=${format} --outfile=${file}`.split(" "),
  ...EXTERNAL.map((name) => `--external:${name}`),
  ...(format === "esm" ? [BANNER] : []),
];

export async function bundlers({ report, tarball, newDatabase }: Tools): Promise<void> {
  const tools = ["esbuild@0.28", "webpack@5", "webpack-cli@6"];
  await using consumer = await Consumer.install({
    tarball,
    packages: [...tools, ...pinned("mongodb", "vite", "@photostructure/sqlite")],
  });
  await consumer.write({
    "webpack-esm.config.mjs": webpackConfig("esm"),
    "webpack-cjs.config.mjs": webpackConfig("cjs"),
    "vite.config.mjs": viteConfig,
  });
  const ways: [name: string, version: string, file: string, command: string[]][] = [
    ["esbuild, ESM", "esbuild", "esbuild.mjs", esbuild("esm", "esbuild.mjs")],
    ["esbuild, CommonJS", "esbuild", "esbuild.cjs", esbuild("cjs", "esbuild.cjs")],
    ["webpack, ESM", "webpack", "webpack.mjs", ["webpack", "--config", "webpack-esm.config.mjs"]],
    ["webpack, CommonJS", "webpack", "webpack.cjs", ["webpack", "--config", "webpack-cjs.config.mjs"]],
    ["Vite, SSR", "vite", "vite.mjs", ["vite", "build", "--logLevel", "error"]],
  ];
  for (const [name, version, file, command] of ways) {
    const what = `${name}: a program in one file serves the page and its routes, on each store`;
    await report.try(what, async () => {
      await consumer.must("npx", command);
      // Not beside the package, and from where the packages that are not bundled are found.
      const elsewhere = join(consumer.folder, `out-${file}`);
      await mkdir(elsewhere);
      await copyFile(join(consumer.folder, file), join(elsewhere, file));
      for (const target of ["memory:bundled", `sqlite:${join(elsewhere, "store")}`, newDatabase()]) {
        expectSame(await consumer.must(process.execPath, [join(elsewhere, file), target]), PAGE, target);
      }
      return versionsIn(consumer, version);
    });
  }
}

/** What `programs/dashboard.mjs` prints. */
const PAGE = "4 files: 200 200 200 200; page 200, page/ 200, keys 200\n";
