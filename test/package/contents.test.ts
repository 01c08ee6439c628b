/** What is published: all that is needed, nothing else, and not much of it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { entriesOf, type Entry, pack } from "./pack.ts";

const PARTS = ["dist/dashboard", "dist/cjs", "docs", "deploy", "examples"];
/** What may be packed, in bytes: the library and the command, and all of it. */
const PACKED_MAX = { library: 185_000, all: 640_000 };

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

function pathsIn(target: unknown): string[] {
  return typeof target === "string" ? [target] : Object.values(target ?? {}).flatMap(pathsIn);
}

let entries: Entry[];
const paths = (): string[] => entries.map(({ path }) => path);
const textOf = (wanted: string): string => entries.find(({ path }) => path === wanted)?.text ?? "";

beforeAll(async () => {
  await using tarball = await pack(inject("built"));
  entries = await entriesOf(tarball);
});

describe("the package", () => {
  it("has every file that its exports and its command name", () => {
    const named = pathsIn([exports, bin]).map((path) => path.replace(/^\.\//, ""));
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

  it.each(Object.entries(VALUES))(
    "%s has the same values and types for `require` in Jest",
    (entry, values) => {
      const file = join(inject("built"), "cjs", entry === "." ? "index.cjs" : `${entry.slice(2)}.cjs`);
      expect(Object.keys(createRequire(file)(file) as object).toSorted()).toEqual(values);
      const types = readFileSync(file.replace(/cjs$/, "d.cts"), "utf8");
      const declared = [...types.matchAll(/export declare const (\w+)/g)].map(([, name = ""]) => name);
      expect(declared.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(values);
    },
  );

  it("names no entry point without a list of its values", () => {
    expect(Object.keys(exports).filter((entry) => entry !== "./package.json")).toEqual(Object.keys(VALUES));
  });

  it("has the code, its types and maps, the page, and what people read", () => {
    const kinds = [
      /^dist\/.*\.(js|d\.ts)(\.map)?$/,
      /^dist\/cjs\/.*\.(cjs|d\.cts)$/,
      /^dist\/dashboard\/page\//,
      /^docs\/[\w.-]+\.(md|json|png)$/,
      /^docs\/(drawings|plots)\/.*\.svg$/,
      /^(deploy|examples)\//,
      /^(README|CHANGELOG)\.md$/,
    ];
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

  it.each([
    { what: "the library and the command", without: PARTS, most: PACKED_MAX.library },
    { what: "all of it", without: [], most: PACKED_MAX.all },
  ])("is small: $what", async ({ without, most }) => {
    await using tarball = await pack(inject("built"), without);
    expect(tarball.size).toBeLessThan(most);
    expect(tarball.size).toBeGreaterThan(most / 2); // else this measures something else
  });

  it("has every page, picture and file that its pages link to", () => {
    const all = new Set(paths());
    const isThere = (path: string): boolean =>
      all.has(path) || [...all].some((other) => other.startsWith(`${path.replace(/\/$/, "")}/`));
    const pages = paths().filter((path) => path.endsWith(".md") && !path.startsWith("dist/"));
    const broken = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)#\s]+)[^)\s]*\)/g)]
        .map(([, link = ""]) => link)
        .filter((link) => !/^[a-z][a-z+.-]*:/i.test(link))
        .filter((link) => !isThere(posix.join(posix.dirname(page), link)))
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
    expect(pages.length).toBeGreaterThan(15);
  });
});
