// Makes what the compiler has written small, and leaves it readable.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { decode, encode } from "@jridgewell/sourcemap-codec";

const { exports } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** Where another file of the package is named, in a declaration. The compiler leaves the name of the source there. */
const IMPORT = /(?<=from |import\()"(\.[^"]+)\.ts"/g;

/** Keeps the declarations that somebody can import, and those that these name. The rest is of use to nobody. */
export function keepPublicTypes(out) {
  const kept = new Set();
  for (const { types } of Object.values(exports)) {
    if (types !== undefined) keep(join(out, types.replace("./dist/", "")), kept);
  }
  for (const file of filesIn(out, ".d.ts")) {
    if (kept.has(file)) continue;
    rmSync(file);
    rmSync(`${file}.map`);
  }
}

function keep(file, kept) {
  if (kept.has(file)) return;
  kept.add(file);
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace(IMPORT, '"$1.js"'));
  for (const [, path] of text.matchAll(IMPORT)) keep(join(dirname(file), `${path}.d.ts`), kept);
}

/** Leaves in each map what leads from a line to its line: that is all that a stack trace tells. */
export function slimMaps(out) {
  for (const file of filesIn(out, ".map")) {
    const { sources, mappings } = JSON.parse(readFileSync(file, "utf8"));
    const lines = encode(decode(mappings).map(whereLinesBegin));
    writeFileSync(file, JSON.stringify({ version: 3, sources, names: [], mappings: lines }));
  }
}

/** Of the segments of a line `[column, source, line, column of the source]`, those that begin another line of the source. */
function whereLinesBegin(segments) {
  return segments
    .filter(([, , line], index) => line !== segments[index - 1]?.[2])
    .map(([column, source, line], index) => [index === 0 ? 0 : column, source, line, 0]);
}

function filesIn(folder, end) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(end))
    .map((name) => join(folder, name));
}
