// What a newcomer does in the first hour, in empty folders from the packed tarball: `node scripts/first-hour.mjs`.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compile } from "./compile.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
const built = join(root, "node_modules/.cache", `heartbit-first-hour-${process.pid}`);
execFileSync(process.execPath, ["scripts/build.mjs", built], { stdio: "inherit" });
process.env.HEARTBIT_BUILT = built;
process.on("exit", () => rmSync(built, { recursive: true, force: true }));
await import(pathToFileURL(join(compile("test/package/first-hour", "first-hour"), "main.js")).href);
