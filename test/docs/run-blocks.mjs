// Runs blocks of the documentation, one after the other, in one process; says which has failed, and how.
// A comment `// => text` in a block is a line that it must have printed by its end, after the lines above it.
//
//     node run-blocks.mjs FOLDER MODULE...     FOLDER: from where `heartbit` is found
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

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

let printed = [];
console.log = (...values) => printed.push(...format(...values).split("\n"));

/** The first line that a block says that it prints, and has not; undefined if it has printed all of them. */
function missingLine(module) {
  const promised = [...readFileSync(module, "utf8").matchAll(/\/\/ => (.*)/g)].map(([, text]) => text);
  let from = 0;
  return promised.find((text) => {
    const at = printed.indexOf(text, from);
    if (at < 0) return true;
    from = at + 1;
    return false;
  });
}

for (const module of modules) {
  current = module;
  printed = [];
  const timer = setTimeout(() => fail(`does not end within ${LIMIT_MS} ms`), LIMIT_MS);
  await import(pathToFileURL(module).href);
  clearTimeout(timer);
  const missing = missingLine(module);
  if (missing !== undefined) fail(`does not print "${missing}", but ${JSON.stringify(printed)}`);
}
// What blocks have left open ends with the process.
process.exit(0);
