// Compiles the simulator and runs it: `npm run simulate -- --seed 1 --runs 1000`.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compile } from "./compile.mjs";

await import(pathToFileURL(join(compile("test/simulator", "simulator"), "main.js")).href);
