// Builds the package, as it is published: `node scripts/build.mjs [FOLDER]`, by default into `dist`.
//
// The code goes out without its comments, and the types with theirs, since an editor shows them. The sources stay in the
// repository: the maps name their lines.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { dropMaps, keepPublicTypes, slimCode, slimTypes } from "./slim.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = resolve(root, process.argv[2] ?? "dist");

rmSync(out, { recursive: true, force: true });
run("typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", out);
run("typescript/bin/tsc", "-p", "tsconfig.types.json", "--outDir", out);
keepPublicTypes(out);
slimCode(out);
slimTypes(out);
for (const folder of ["cli", "testing/contract"]) dropMaps(join(out, folder));
run("vite/bin/vite.js", "build", "dashboard", "--logLevel", "warn", "--outDir", join(out, "dashboard/page"));

function run(tool, ...args) {
  const command = [join(root, "node_modules", tool), ...args];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
