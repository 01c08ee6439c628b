// Lets faults loose on real processes and a real store: `npm run faults -- --minutes 50 --faults 1000`.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildPackage, compile } from "./compile.mjs";

process.env.HEARTBIT_BUILT = buildPackage("faults-package");
await import(pathToFileURL(join(compile("test/faults", "faults"), "main.js")).href);
