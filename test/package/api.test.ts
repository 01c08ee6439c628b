/**
 * The public API, in api/: a change of it shows in the diff of a change. They are written anew by
 *
 *     UPDATE=1 npx vitest run test/package/api.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { ENTRIES, namesIn, readApi } from "./api.ts";

const update = process.env["UPDATE"] === "1";
const names = Object.keys(ENTRIES) as (keyof typeof ENTRIES)[];

const pathOf = (name: string): string => join(process.cwd(), "api", `${name}.api.md`);

describe("the public API", () => {
  it.each(names)(
    "%s is as api/ says, documented throughout, and exports every type that it names",
    async (name) => {
      const { text, faults } = await readApi(inject("built"), name);
      if (update) writeFileSync(pathOf(name), text);
      expect(readFileSync(pathOf(name), "utf8")).toBe(text);
      // What another entry point names may come from the main one.
      const exported = new Set(namesIn(readFileSync(pathOf("heartbit"), "utf8")));
      const isExported = (fault: string): boolean =>
        exported.has(/The symbol "(\w+)" needs to be exported/.exec(fault)?.[1] ?? "");
      expect(faults.filter((fault) => !isExported(fault))).toEqual([]);
    },
  );
});
