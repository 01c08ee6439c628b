// Compiles what the scripts run: programs of the tests, with the library, into a folder of node_modules, from where
// their dependencies are found.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Compiles a folder that has a tsconfig.json, and all that it imports. Gives where the compiled folder is. */
export function compile(folder, name) {
  const out = outFor(name);
  run(["--noEmit", "false", "--outDir", out, "--rootDir", root, "-p", join(root, folder)]);
  cpSync(join(root, "test/servers/guard.mjs"), join(out, "test/servers/guard.mjs"));
  return join(out, folder);
}

/** Builds the package, as it is published. Gives where. */
export function buildPackage(name) {
  const out = outFor(name);
  run(["-p", join(root, "tsconfig.build.json"), "--outDir", out]);
  return out;
}

function outFor(name) {
  const out = join(root, "node_modules/.cache", `heartbit-${name}`);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "package.json"), '{ "type": "module" }\n');
  return out;
}

function run(options) {
  const { status } = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), ...options],
    {
      stdio: "inherit",
    },
  );
  if (status !== 0) process.exit(status ?? 1);
}
