// Builds the benchmarks and runs them: `npm run bench -- --help`.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Runs a program; ends this one with its status where that is not 0. */
function must(command, args, options = {}) {
  const { status } = spawnSync(command, args, { stdio: "inherit", ...options });
  if (status !== 0) process.exit(status ?? 1);
}

// The clients of the other servers, of which heartbit itself knows nothing.
if (!existsSync(`${here}node_modules`))
  must("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: here });
must(process.execPath, [`${here}../node_modules/typescript/bin/tsc`, "-p", here]);
const flags = ["--enable-source-maps", "--expose-gc", "--max-old-space-size=8192"];
must(process.execPath, [...flags, `${here}dist/bench/main.js`, ...process.argv.slice(2)]);
