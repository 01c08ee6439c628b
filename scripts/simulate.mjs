// Compiles the simulator and runs it: `npm run simulate -- --seed 1 --runs 1000`.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = join(root, "node_modules/.cache/heartbit-simulator");
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "package.json"), '{ "type": "module" }\n');
const tsc = join(root, "node_modules/typescript/bin/tsc");
const options = ["--noEmit", "false", "--outDir", out, "--rootDir", root, "-p", join(root, "test/simulator")];
const { status } = spawnSync(process.execPath, [tsc, ...options], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
await import(pathToFileURL(join(out, "test/simulator/main.js")).href);
