/** What esbuild and webpack make of a program: one file with the page in it. What Vite makes: test/package/bundlers.test.ts. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { newDatabase } from "../../servers/database.ts";
import { Consumer, STORES } from "./consumer.ts";

/** Packages that a program installs beside its bundle: the stores', which are loaded where they are used. */
const EXTERNAL = ["mongodb", "@photostructure/sqlite"];

const webpackConfig = (extension: "mjs" | "cjs"): string => {
  const isModule = extension === "mjs";
  const kind = isModule ? "import" : "commonjs";
  return `
export default {
  mode: "production",
  target: "node20",
  entry: "./dashboard.mjs",
  output: {
    filename: "webpack.${extension}",
    path: import.meta.dirname ?? new URL(".", import.meta.url).pathname,
    ${isModule ? 'module: true, library: { type: "module" }, chunkFormat: "module"' : ""}
  },
  // Otherwise each store becomes a file of its own.
  module: { parser: { javascript: { dynamicImportMode: "eager" } } },
  experiments: { outputModule: ${isModule} },
  externals: Object.fromEntries(${JSON.stringify(EXTERNAL)}.map((name) => [name, "${kind} " + name])),
};
`;
};

/** As esbuild's own documentation advises for packages that require Node's modules. */
const BANNER =
  "--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const esbuild = (format: string, file: string): string[] => [
  ...`esbuild dashboard.mjs --bundle --platform=node --format=${format} --outfile=${file}`.split(" "),
  ...EXTERNAL.map((name) => `--external:${name}`),
  ...(format === "esm" ? [BANNER] : []),
];

const tools = ["esbuild@0.28", "webpack@5", "webpack-cli@6"];
const consumer = await Consumer.install({ packages: [...tools, ...STORES] });
await consumer.write({ "esm.config.mjs": webpackConfig("mjs"), "cjs.config.mjs": webpackConfig("cjs") });

it.each([
  ["esbuild.mjs", esbuild("esm", "esbuild.mjs")],
  ["esbuild.cjs", esbuild("cjs", "esbuild.cjs")],
  ["webpack.mjs", ["webpack", "--config", "esm.config.mjs"]],
  ["webpack.cjs", ["webpack", "--config", "cjs.config.mjs"]],
])("%s: a program in one file serves the page and its routes, on each store", async (file, command) => {
  await consumer.must("npx", command);
  // Not beside the package, and from where the packages that are not bundled are found.
  const elsewhere = join(consumer.folder, `out-${file}`);
  await mkdir(elsewhere);
  await copyFile(join(consumer.folder, file), join(elsewhere, file));
  for (const target of ["memory:bundled", `sqlite:${join(elsewhere, "store")}`, newDatabase()]) {
    const { stdout } = await consumer.must(process.execPath, [join(elsewhere, file), target]);
    expect(stdout).toBe("4 files: 200 200 200 200; page 200, page/ 200, keys 200\n");
  }
});
