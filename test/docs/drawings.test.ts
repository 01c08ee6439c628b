import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { draw, drawings } from "./drawings.ts";

const update = process.env["UPDATE"] === "1";

describe("the drawings in the docs are what the rule gives now", () => {
  it.each(Object.keys(drawings))("%s.svg", (name) => {
    const chart = drawings[name];
    if (chart === undefined) throw new Error(`there is no chart ${name}`);
    const path = join(process.cwd(), "docs/drawings", `${name}.svg`);
    if (update) writeFileSync(path, draw(chart));
    else expect(readFileSync(path, "utf8")).toBe(draw(chart));
  });
});
