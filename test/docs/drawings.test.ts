import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { draw, drawings } from "./drawings.ts";
import { drawModules, readModules } from "./modules.ts";

const update = process.env["UPDATE"] === "1";

/** What is in the docs must be what is drawn now. */
function compare(name: string, drawn: string): void {
  const path = join(process.cwd(), "docs/drawings", `${name}.svg`);
  if (update) writeFileSync(path, drawn);
  else expect(readFileSync(path, "utf8")).toBe(drawn);
}

describe("the drawings in the docs are true", () => {
  it.each(Object.entries(drawings))("%s.svg is what the rule gives", (name, chart) => {
    compare(name, draw(chart));
  });

  it("modules.svg has the imports of the code, all of which lead down", () => {
    compare("modules", drawModules(readModules()));
  });

  it("the core imports nothing", () => {
    expect(readModules().ofCore).toEqual([]);
  });
});
