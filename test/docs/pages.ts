/** The pages of the documentation, and what is in them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = process.cwd();

/** The pages that people read, from the root of the repository. */
export const pages: readonly string[] = [
  ...markdownIn("."),
  ...markdownIn("docs"),
  ...markdownIn("examples"),
  ...markdownIn(".github"),
];

function markdownIn(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: folder !== ".", encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !name.includes("node_modules"))
    .toSorted()
    .map((name) => join(folder, name));
}

export function read(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

export interface Block {
  readonly page: string;
  /** The line of its first line of code, from 1. */
  readonly line: number;
  /** What stands after the three backticks: `ts`, `ts check`. */
  readonly info: string;
  readonly code: string;
  /** The last line before it that is not empty. */
  readonly before: string;
}

/** The fenced blocks of a page. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let before = "";
  let open: { indent: string; info: string; line: number; lines: string[]; before: string } | undefined;
  for (const [index, line] of read(page).split("\n").entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    if (open === undefined && fence !== null) {
      const [, indent = "", info = ""] = fence;
      open = { indent, info: info.trim(), line: index + 2, lines: [], before };
    } else if (open !== undefined && fence !== null) {
      const { lines, info, line: first } = open;
      blocks.push({ page, info, line: first, code: lines.join("\n"), before: open.before });
      open = undefined;
    } else if (open !== undefined) open.lines.push(line.slice(open.indent.length));
    else if (line.trim() !== "") before = line;
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: a block of code does not end`);
  return blocks;
}

/** A page without its blocks of code. */
export function prose(page: string): string {
  return read(page).replace(/^ *```.*\n(?:(?! *```).*\n)* *```$/gm, "");
}

/** The names by which GitHub makes the headings of a page reachable. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of prose(page).matchAll(/^#{1,6} +(.*)$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
    const slug = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
      .replace(/ /g, "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
