/** The pages of the documentation, and what is in them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The pages that people read, from the root of the repository. */
export const pages: readonly string[] = [".", "docs", "examples", ".github"].flatMap((folder) =>
  existsSync(folder) ? pagesIn(folder, folder !== ".") : [],
);

/** Not by a recursive `readdirSync`: the installed examples have a link to the repository, which it would follow. */
function pagesIn(folder: string, isDeep: boolean): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const names = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return names.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return isDeep && entry.name !== "node_modules" ? pagesIn(path, true) : [];
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

export function read(page: string): string {
  return readFileSync(page, "utf8");
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

const FENCED = /^( *)```(.*)\n((?:(?! *```).*\n)*) *```$/gm;

/** The fenced blocks of a page. */
export function blocksOf(page: string): Block[] {
  const text = read(page);
  const blocks = Array.from(
    text.matchAll(FENCED),
    ({ index, 1: indent = "", 2: info = "", 3: body = "" }) => {
      const above = text.slice(0, index);
      const code = body.replace(new RegExp(`^${indent}`, "gm"), "").replace(/\n$/, "");
      const before = above.trimEnd().split("\n").at(-1) ?? "";
      return { page, line: above.split("\n").length + 1, info: info.trim(), code, before };
    },
  );
  const fences = [...text.matchAll(/^ *```/gm)].length;
  if (fences !== 2 * blocks.length) throw new Error(`${page}: a block of code does not end`);
  return blocks;
}

/** A page without its blocks of code. */
export function prose(page: string): string {
  return read(page).replace(FENCED, "");
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
