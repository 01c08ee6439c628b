/** What is published: all that is needed, nothing else, and not much of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { entriesOf, type Entry, pack } from "./pack.ts";

/** What may be packed, without the dashboard, in bytes. */
const PACKED_MAX = 175_000;

/** The values of each entry point. Its types are in api/. */
const VALUES = {
  ".": ["HeartbitError", "Presence"],
  "./dashboard": ["dashboard", "toNodeListener"],
  "./metrics": ["registerMetrics"],
  "./testing": ["FaultyStore", "ManualClock", "MemoryStore", "storeContract"],
};

interface Manifest {
  readonly exports: Record<string, string | Record<string, string>>;
  readonly bin: Record<string, string>;
}

const { exports, bin } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

let entries: Entry[];
const paths = (): string[] => entries.map(({ path }) => path);
const textOf = (wanted: string): string => entries.find(({ path }) => path === wanted)?.text ?? "";

beforeAll(async () => {
  await using tarball = await pack(inject("built"));
  entries = await entriesOf(tarball);
});

describe("the package", () => {
  it("has every file that its exports and its command name", () => {
    const named = [...Object.values(exports), bin]
      .flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)))
      .map((path) => path.replace(/^\.\//, ""));
    expect(named.filter((path) => !paths().includes(path))).toEqual([]);
    expect(named.length).toBeGreaterThan(2 * Object.keys(VALUES).length);
  });

  it.each(Object.entries(VALUES))("%s has its values, and no others", async (entry, values) => {
    const target = exports[entry];
    const path = typeof target === "object" ? target["default"] : undefined;
    const file = join(inject("built"), (path ?? "").replace("./dist/", ""));
    const module = (await import(pathToFileURL(file).href)) as object;
    expect(Object.keys(module).toSorted()).toEqual(values);
  });

  it("names no entry point without a list of its values", () => {
    expect(Object.keys(exports).filter((entry) => entry !== "./package.json")).toEqual(Object.keys(VALUES));
  });

  it("has the code, its types and maps, the page, and what people read", () => {
    const kinds = [/^dist\/.*\.(js|d\.ts)(\.map)?$/, /^dist\/dashboard\/page\//, /^(README|CHANGELOG)\.md$/];
    const others = paths().filter((path) => !kinds.some((kind) => kind.test(path)));
    expect(others.toSorted()).toEqual(["LICENSE", "package.json"]);
  });

  it("has no types but those that an entry point leads to", () => {
    const types = paths().filter((path) => path.endsWith(".d.ts"));
    expect(types).toContain("dist/presence/pinger.d.ts");
    expect(
      types.filter((path) => /\/cli\/|\/context\/context|\/holding\/|\/watching\/|mongo|sqlite/.test(path)),
    ).toEqual([]);
  });

  it("has the licence of all that the page bundles", () => {
    const licences = textOf("dist/dashboard/page/LICENCES.md");
    expect(licences.match(/^## .*/gm)?.map((line) => line.replace(/ - .* \(/, " ("))).toEqual([
      "## preact (MIT)",
    ]);
    expect(licences).toContain("Copyright (c) 2015-present Jason Miller");
  });

  it(`is less than ${PACKED_MAX.toLocaleString("en")} bytes without the dashboard`, async () => {
    await using tarball = await pack(inject("built"), "dist/dashboard");
    expect(tarball.size).toBeLessThan(PACKED_MAX);
    expect(tarball.size).toBeGreaterThan(PACKED_MAX / 2); // else this measures something else
  });
});
