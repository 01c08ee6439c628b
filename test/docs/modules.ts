/** The picture of the modules in ARCHITECTURE.md: which part of `src` imports which, as the code has it now. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { svg, text } from "./svg.ts";

const SOURCES = join(process.cwd(), "src");

/** Where each part is drawn: the middle of its upper edge. */
const PLACES: Readonly<Record<string, readonly [number, number]>> = {
  cli: [325, 20],
  dashboard: [175, 120],
  metrics: [515, 120],
  presence: [290, 220],
  testing: [625, 220],
  stores: [450, 320],
  "stores/mongo": [160, 420],
  "stores/sqlite": [370, 420],
  "stores/memory": [600, 420],
};
const [WIDTH, HEIGHT] = [170, 50];
/** The parts under everything, drawn as bars without arrows: each imports only the bars below it. */
const BARS = [
  { part: "lib", top: 510, rule: "tools without knowledge of heartbit, imports the core only" },
  { part: "core", top: 580, rule: "imported by all, imports nothing" },
] as const;
const BAR = { left: 50, width: 660 };

/** Files that several parts share, and that are not drawn. */
const SHARED = new Set(["index.ts", "stores/storage.ts"]);

export interface Modules {
  /** `cli -> presence`, without those to a bar. */
  readonly edges: readonly string[];
  /** The packages that each part imports. */
  readonly packages: ReadonlyMap<string, readonly string[]>;
  /** What the core imports from outside of it. */
  readonly ofCore: readonly string[];
}

export function readModules(): Modules {
  const edges = new Set<string>();
  const packages = new Map<string, Set<string>>();
  const ofCore = new Set<string>();
  for (const name of readdirSync(SOURCES, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const file = join(SOURCES, name);
    const from = partOf(file);
    for (const imported of importsOf(readFileSync(file, "utf8"))) {
      const to = imported.startsWith(".") ? partOf(resolve(dirname(file), imported)) : imported;
      if (to === from) continue;
      if (from === "core") ofCore.add(to);
      else if (SHARED.has(from) || SHARED.has(to) || to.startsWith("node:")) continue;
      else if (to === "core" || (to === "lib" && from !== "core")) continue;
      else if (imported.startsWith(".")) edges.add(`${from} -> ${to}`);
      else packages.set(from, (packages.get(from) ?? new Set()).add(to));
    }
  }
  return {
    edges: [...edges].toSorted(),
    packages: new Map(Array.from(packages, ([part, names]) => [part, [...names].toSorted()])),
    ofCore: [...ofCore],
  };
}

/** Draws them. Throws if a part has no place, or imports a part that is not below it. */
export function drawModules({ edges, packages }: Modules): string {
  const parts = Object.entries(PLACES).flatMap(([part, [x, y]]) => {
    const names = packages.get(part) ?? [];
    return [
      box(x - WIDTH / 2, y, WIDTH),
      text(x, y + (names.length > 0 ? 22 : 30), part, ""),
      ...(names.length > 0 ? [text(x, y + 40, names.join(", "), "small")] : []),
    ];
  });
  const bars = BARS.flatMap(({ part, top, rule }) => [
    box(BAR.left, top, BAR.width),
    text(BAR.left + BAR.width / 2, top + 22, part, ""),
    text(BAR.left + BAR.width / 2, top + 40, rule, "small"),
  ]);
  const head =
    '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>';
  return svg("The modules: which part imports which", 760, 650, [
    head,
    ...parts,
    ...bars,
    ...edges.map(arrow),
  ]);
}

function arrow(edge: string): string {
  const [from = "", to = ""] = edge.split(" -> ");
  const [start, end] = [PLACES[from], PLACES[to]];
  if (start === undefined || end === undefined) throw new Error(`${edge}: there is no place for it`);
  if (end[1] <= start[1]) throw new Error(`${edge} leads up`);
  return `<path class="arrow" d="M${start[0]} ${start[1] + HEIGHT}L${end[0]} ${end[1]}"/>`;
}

function box(left: number, top: number, width: number): string {
  return `<rect class="box" x="${left}" y="${top}" width="${width}" height="${HEIGHT}"/>`;
}

/** The files that all stores share are the part `stores`. */
const OF_ALL_STORES = new Set(["target.ts", "guard.ts"]);

/** `presence`, `stores/mongo`, `index.ts`. */
function partOf(file: string): string {
  const [first = "", second = ""] = relative(SOURCES, file).split(/[\\/]/);
  if (first !== "stores" || OF_ALL_STORES.has(second)) return first;
  return second === "storage.ts" ? "stores/storage.ts" : `stores/${second.replace(/\.ts$/, "")}`;
}

/** What is imported, packages by their names. Ignores comments. */
function importsOf(code: string): string[] {
  const withoutComments = code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found = [
    ...withoutComments.matchAll(/(?:^(?:import|export|\})[^"\n]*\bfrom|\bimport\(|^import) *"([^"]+)"/gm),
  ];
  return found.map(([, name = ""]) => {
    if (name.startsWith(".") || name.startsWith("node:")) return name;
    return name
      .split("/")
      .slice(0, name.startsWith("@") ? 2 : 1)
      .join("/");
  });
}
