/** The picture of the modules in ARCHITECTURE.md: which part of `src` imports which, as the code has it now. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { svg, text } from "./svg.ts";

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

/** What all stores share is the part `stores`. */
const OF_ALL_STORES = new Set(["target.ts", "guard.ts"]);
/** What is not drawn: the bars, and files that several parts share. */
const NOT_DRAWN = /^(lib|core|index\.ts|stores\/storage|node:.*)$/;

export interface Modules {
  /** `cli -> presence`, without those to a bar. */
  readonly edges: readonly string[];
  /** The packages that each part imports. */
  readonly packages: ReadonlyMap<string, readonly string[]>;
  /** What the core imports from outside of it. */
  readonly ofCore: readonly string[];
}

export function readModules(): Modules {
  const [edges, ofCore] = [new Set<string>(), new Set<string>()];
  const packages = new Map<string, string[]>();
  for (const file of readdirSync("src", { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const from = partOf(file);
    for (const imported of importsOf(readFileSync(join("src", file), "utf8"))) {
      const isPart = imported.startsWith(".");
      const to = isPart ? partOf(join(dirname(file), imported)) : imported;
      if (from === "core" && to !== from) ofCore.add(to);
      if (to === from || [from, to].some((one) => NOT_DRAWN.test(one))) continue;
      if (isPart) edges.add(`${from} -> ${to}`);
      else packages.set(from, [...new Set([...(packages.get(from) ?? []), to])].toSorted());
    }
  }
  return { edges: [...edges].toSorted(), packages, ofCore: [...ofCore] };
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
  const all = [head, ...parts, ...bars, ...edges.map(arrow)];
  return svg("The modules: which part imports which", 760, 650, all);
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

/** Of a file in `src`: `presence`, `stores/mongo`, `index.ts`. */
function partOf(file: string): string {
  const [first = "", second = ""] = normalize(file).split(/[\\/]/);
  if (first !== "stores" || OF_ALL_STORES.has(second)) return first;
  return `stores/${second.replace(/\.ts$/, "")}`;
}

/** What is imported, packages by their names. Ignores comments. */
function importsOf(code: string): string[] {
  const withoutComments = code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const imports = /(?:^(?:import|export|\})[^"\n]*\bfrom|\bimport\(|^import) *"([^"]+)"/gm;
  return Array.from(withoutComments.matchAll(imports), ([, name = ""]) =>
    /^(\.|node:)/.test(name) ? name : (/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? ""),
  );
}
