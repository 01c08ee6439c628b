/** What is published: all that is needed, nothing else, and not much of it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { pack, type Tarball } from "./pack.ts";

const PARTS = ["dist/dashboard", "dist/cjs", "docs", "deploy", "examples"];
/** What may be packed, in bytes: the library and the command, and all of it. */
const PACKED_MAX = { library: 200_000, all: 640_000 };

/** The values of each entry point. Its types are in api/. */
const VALUES = {
  ".": ["HeartbitError", "Presence"],
  "./dashboard": ["dashboard", "toNodeListener"],
  "./metrics": ["registerMetrics"],
  "./testing": ["FaultyStore", "ManualClock", "MemoryStore", "storeContract"],
};

interface Manifest {
  readonly exports: Record<string, unknown>;
  readonly bin: Record<string, string>;
}

const { exports, bin } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

function pathsIn(target: unknown): string[] {
  return typeof target === "string" ? [target] : Object.values(target ?? {}).flatMap(pathsIn);
}

let whole: Tarball;
beforeAll(async () => {
  whole = await pack(inject("built"));
});
afterAll(() => whole[Symbol.asyncDispose]());

const textOf = (path: string): string => readFileSync(join(whole.folder, path), "utf8");

describe("the package", () => {
  it("has every file that its exports and its command name, and no entry point but these", () => {
    const named = pathsIn([exports, bin]).map((path) => path.replace(/^\.\//, ""));
    expect(named.filter((path) => !whole.files.includes(path))).toEqual([]);
    expect(Object.keys(exports)).toEqual([...Object.keys(VALUES), "./package.json"]);
  });

  it.each(Object.entries(VALUES))("%s has its values, and no others", async (entry, values) => {
    const [imported, required] = ["module-sync", "require"].map((condition) => {
      const { default: path } = (exports[entry] as Record<string, Record<string, string>>)[condition] ?? {};
      return join(inject("built"), (path ?? "").replace("./dist/", ""));
    }) as [string, string];
    const module = (await import(pathToFileURL(imported).href)) as object;
    expect(Object.keys(module).toSorted()).toEqual(values);
    // For `require` in Jest: the same, and its types.
    expect(Object.keys(createRequire(required)(required) as object).toSorted()).toEqual(values);
    const types = readFileSync(required.replace(/cjs$/, "d.cts"), "utf8");
    const declared = [...types.matchAll(/export declare const (\w+)/g)].map(([, name = ""]) => name);
    expect(declared.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(values);
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
    const others = whole.files.filter((path) => !kinds.some((kind) => kind.test(path)));
    expect(others.toSorted()).toEqual(["LICENSE", "package.json"]);
  });

  it("has no types but those that an entry point leads to", () => {
    const types = whole.files.filter((path) => path.endsWith(".d.ts"));
    expect(types).toContain("dist/presence/pinger.d.ts");
    const inner = /\/cli\/|\/context\/context|\/holding\/|\/watching\/|mongo|sqlite/;
    expect(types.filter((path) => inner.test(path))).toEqual([]);
  });

  it("has the licence of all that the page bundles", () => {
    const licences = textOf("dist/dashboard/page/LICENCES.md");
    const headings = licences.match(/^## .*/gm)?.map((line) => line.replace(/ - .* \(/, " ("));
    expect(headings).toEqual(["## preact (MIT)"]);
    expect(licences).toContain("Copyright (c) 2015-present Jason Miller");
  });

  it("is small: the library and the command, and all of it", async () => {
    await using library = await pack(inject("built"), PARTS);
    for (const [size, most] of [
      [library.size, PACKED_MAX.library],
      [whole.size, PACKED_MAX.all],
    ] as const) {
      expect(size).toBeLessThan(most);
      expect(size).toBeGreaterThan(most / 2); // else this measures something else
    }
  });

  it("has every page, picture and file that its pages link to", () => {
    const all = new Set(whole.files);
    const isThere = (path: string): boolean =>
      all.has(path) || [...all].some((other) => other.startsWith(`${path.replace(/\/$/, "")}/`));
    const pages = whole.files.filter((path) => path.endsWith(".md") && !path.startsWith("dist/"));
    const links = pages.flatMap((page) =>
      Array.from(textOf(page).matchAll(/\]\((?![a-z][a-z+.-]*:)([^)#\s]+)[^)\s]*\)/gi), ([, link = ""]) => ({
        page,
        target: posix.join(posix.dirname(page), link),
      })),
    );
    const broken = links.filter(({ target }) => !isThere(target));
    expect(broken).toEqual([]);
    expect(pages.length).toBeGreaterThan(15);
  });
});
