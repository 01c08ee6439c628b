// Runs blocks of the documentation, one after the other, in one process; says which has failed, and how.
//
//     node run-blocks.mjs FOLDER MODULE...     FOLDER: from where `heartbit` is found
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** How long a block may take that is stuck, in ms. */
const LIMIT_MS = 20_000;

const [folder, ...modules] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Presence } = await load("heartbit");
const { dashboard } = await load("heartbit/dashboard");

globalThis.presence = await Presence.open("memory:documentation");
globalThis.handler = dashboard(globalThis.presence).handler;

let current = "";
const fail = (error) => {
  console.error(`${current}:`, error);
  process.exit(1);
};
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

for (const module of modules) {
  current = module;
  const timer = setTimeout(() => fail(`does not end within ${LIMIT_MS} ms`), LIMIT_MS);
  await import(pathToFileURL(module).href);
  clearTimeout(timer);
}
// What blocks have left open ends with the process.
process.exit(0);
