/** Every reason that `health` can have is explained in docs/operations.md. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { HeartbitError } from "../../src/index.ts";
import { read } from "./pages.ts";

const sources = readdirSync(join(process.cwd(), "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join(process.cwd(), "src", name), "utf8"))
  .join("\n");

/** Where reasons are made: what is given to `suspect`, by the reads that are distrusted, and by the store's notices. */
const MADE = [
  /\bsuspect\(\s*(`[^`]*`|"\w+ [^"]*")/g,
  /\? undefined : ("\w+ \w+ [^"]*")/g,
  /\breturn ("a read lacks [^"]*")/g,
  /\breturn (`the primary was lost[^`]*`|"the primary was lost[^"]*")/g,
];

/** The section of a page under a heading. */
function section(page: string, heading: string): string {
  const [, after = ""] = read(page).split(`\n## ${heading}\n`);
  return after.split("\n## ")[0] ?? "";
}

/** A template with its holes, as a pattern of what it can say. */
function patternOf(literal: string): RegExp {
  const parts = literal.slice(1, -1).split(/\$\{[^}]*\}/);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+")}$`);
}

const reasons = MADE.flatMap((made) => [...sources.matchAll(made)].map(([, literal = ""]) => literal));

it("there are reasons to explain", () => {
  expect(reasons.length).toBeGreaterThan(8);
});

it.each([...new Set(reasons)])("%s", (reason) => {
  const table = section("docs/operations.md", "What each health reason means");
  const explained = [...table.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);
  const pattern = patternOf(reason);
  expect(explained.some((text) => pattern.test(text) || pattern.test(`${text}: …`))).toBe(true);
});

it("every code of an error is explained", () => {
  const declared = /export type ErrorCode =([^;]*);/.exec(sources)?.[1] ?? "";
  const codes = [...declared.matchAll(/\| "([A-Z_]+)"/g)].map(([, code = ""]) => code);
  expect(codes).toContain(new HeartbitError("STORE_UNAVAILABLE", "It is away.").code);
  const table = section("docs/operations.md", "When something is refused");
  expect(codes.filter((code) => !table.includes(`\`${code}\``))).toEqual([]);
});
