// Makes what the compiler has written small, and leaves it readable.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { decode, encode } from "@jridgewell/sourcemap-codec";
import { parseAst } from "vite";

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

/** The code is indented with tabs, and the maps lead from a line to its line: that is all that a stack trace tells. */
export function slimCode(out) {
  for (const file of filesIn(out, ".js")) {
    const code = readFileSync(file, "utf8");
    const map = readMap(file);
    const texts = linesWithinTexts(code);
    const slim = code
      .split("\n")
      .map((line, index) => indentWithTabs(line, texts.has(index) ? 0 : 4, map.mappings[index] ?? []));
    writeFileSync(file, slim.map(({ line }) => line).join("\n"));
    writeMap(file, { ...map, mappings: slim.map(({ segments }) => segments) });
  }
}

/** The same for types, which stay as they are. */
export function slimTypes(out) {
  for (const file of filesIn(out, ".d.ts")) writeMap(file, readMap(file));
}

/** Code that nobody imports goes without maps: Node reads them only where it is asked to, as who imports the library may do. */
export function dropMaps(folder) {
  for (const file of filesIn(folder, ".js")) {
    writeFileSync(file, readFileSync(file, "utf8").replace(/\/\/# sourceMappingURL=.*\n?$/, ""));
    rmSync(`${file}.map`);
  }
}

function indentWithTabs(line, spaces, segments) {
  const tabs = spaces === 0 ? 0 : Math.floor(/^ */.exec(line)[0].length / spaces);
  const shorter = tabs * (spaces - 1);
  return {
    line: "\t".repeat(tabs) + line.slice(tabs * spaces),
    segments: segments.map(([column, ...rest]) => [Math.max(0, column - shorter), ...rest]),
  };
}

/** The lines that begin within a text of many lines, where each space counts. The first line is 0. */
function linesWithinTexts(code) {
  const found = new Set();
  const lineAt = (offset) => code.slice(0, offset).split("\n").length - 1;
  JSON.stringify(parseAst(code), (_, node) => {
    if (node?.type === "TemplateElement") {
      for (let line = lineAt(node.start) + 1; line <= lineAt(node.end); line++) found.add(line);
    }
    return typeof node === "bigint" ? null : node;
  });
  return found;
}

function readMap(file) {
  const map = JSON.parse(readFileSync(`${file}.map`, "utf8"));
  return { ...map, mappings: decode(map.mappings) };
}

function writeMap(file, { sources, mappings }) {
  const lines = encode(mappings.map(whereLinesBegin));
  writeFileSync(`${file}.map`, JSON.stringify({ version: 3, sources, names: [], mappings: lines }));
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
