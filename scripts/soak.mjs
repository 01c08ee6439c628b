// Runs heartbit for an hour, with churn, and looks for what grows: `npm run soak -- --minutes 60 --period 100`.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildPackage, compile } from "./compile.mjs";

process.env.HEARTBIT_BUILT = buildPackage("soak-package");
await import(pathToFileURL(join(compile("test/faults", "soak"), "soak/main.js")).href);
