// Builds the package, as it is published: `node scripts/build.mjs [FOLDER]`, by default into `dist`.
//
// The code goes out without its comments, and the types with theirs, since an editor shows them. The sources stay in the
// repository: the maps name their lines.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { makeRequired } from "./required.mjs";
import { dropMaps, keepPublicTypes, slimCode, slimTypes } from "./slim.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Of what the page bundles. */
const LICENCES = "LICENCES.md";
const out = resolve(root, process.argv[2] ?? "dist");

rmSync(out, { recursive: true, force: true });
run("typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", out);
run("typescript/bin/tsc", "-p", "tsconfig.types.json", "--outDir", out);
keepPublicTypes(out);
slimCode(out);
slimTypes(out);
for (const folder of ["cli", "testing/contract"]) dropMaps(join(out, folder));
buildPage();
await makeRequired(out);

/** The page becomes a module of the package: a file beside it would not be in what a bundler makes of a program. */
function buildPage() {
  const page = join(out, "dashboard/page");
  const built = join(out, "page");
  run("vite/bin/vite.js", "build", "dashboard", "--logLevel", "warn", "--outDir", built);
  cpSync(join(built, LICENCES), join(page, LICENCES));
  const files = {};
  for (const name of readdirSync(built, { recursive: true, encoding: "utf8" })) {
    if (name !== LICENCES && statSync(join(built, name)).isFile())
      files[name.replaceAll("\\", "/")] = readFileSync(join(built, name), "utf8");
  }
  writeFileSync(join(page, "files.cjs"), `exports.pageFiles = ${JSON.stringify(files, undefined, "\t")};\n`);
  writeFileSync(join(page, "files.js"), 'export { pageFiles } from "./files.cjs";\n');
  rmSync(join(page, "files.js.map"));
  rmSync(built, { recursive: true });
}

function run(tool, ...args) {
  const command = [join(root, "node_modules", tool), ...args];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
