/** Every health reason, every code of an error and every check of `doctor` is explained in the documentation. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { HeartbitError } from "../../src/index.ts";
import { read } from "./pages.ts";

const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join("src", name), "utf8"))
  .join("\n");

/** Where reasons are made: what is given to `suspect`, by the reads that are distrusted, and by the store's notices. */
const MADE = [
  /\bsuspect\(\s*(`[^`]*`|"\w+ [^"]*")/g,
  /\? undefined : ("\w+ \w+ [^"]*")/g,
  /\breturn ("a read lacks [^"]*")/g,
  /\breturn (`the primary was lost[^`]*`|"the primary was lost[^"]*")/g,
  /\breturn (`no connection of the client[^`]*`)/g,
  /\bkind: "lost", reason: ("[^"]*")/g,
  /#reopen\([^,]*, ("[^"]*")\)/g,
  /\bconst sentence = (`[^`]*`)/g,
];

/** The section of the page under a heading. */
function section(heading: string, page = "docs/operations.md"): string {
  const [, after = ""] = read(page).split(`\n## ${heading}\n`);
  return after.split("\n## ")[0] ?? "";
}

/** A template with its holes, as a pattern of what it can say. */
function patternOf(literal: string): RegExp {
  const parts = literal.slice(1, -1).split(/\$\{[^}]*\}/);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+")}$`);
}

it("every reason is explained", () => {
  const reasons = MADE.flatMap((made) => [...sources.matchAll(made)].map(([, literal = ""]) => literal));
  expect(reasons.length).toBeGreaterThan(8);
  const table = section("What each health reason means");
  const explained = [...table.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text.replace("\n", " "));
  const isExplained = (reason: string): boolean =>
    explained.some((text) =>
      [text, `${text}: …`, text.replace(/^… /, "")].some((one) => patternOf(reason).test(one)),
    );
  expect(reasons.filter((reason) => !isExplained(reason))).toEqual([]);
});

it("every code of an error is explained", () => {
  const declared = /export type ErrorCode =([^;]*);/.exec(sources)?.[1] ?? "";
  const codes = [...declared.matchAll(/\| "([A-Z_]+)"/g)].map(([, code = ""]) => code);
  expect(codes).toContain(new HeartbitError("STORE_UNAVAILABLE", "It is away.").code);
  const table = section("When something is refused");
  expect(codes.filter((code) => !table.includes(`\`${code}\``))).toEqual([]);
});

it("every check of doctor is explained", () => {
  const declared = /const CHECKS = \[([^\]]*)\]/.exec(sources)?.[1] ?? "";
  const checks = [...declared.matchAll(/"([^"]+)"/g)].map(([, check = ""]) => check);
  expect(checks).toContain("server");
  const table = section("doctor", "docs/command.md");
  expect(checks.filter((check) => !table.includes(`\n| ${check} |`))).toEqual([]);
});
