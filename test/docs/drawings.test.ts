/** The drawings in the docs are true: their evaluations are those of the rule, their arrows the imports of the code. */
import { readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { evaluationSlot, isAliveAt, latestComplete } from "../../src/core/alive.ts";
import { read } from "./pages.ts";

/** Where the first slot begins, and how wide each is. */
const [LEFT, SLOT] = [110, 92];

describe("the evaluations are those of the rule", () => {
  it.each([
    ["slots", 0],
    ["rule", 4],
    ["outage", 8],
  ])("in %s.svg, which has %d", (name, evaluations) => {
    const drawing = read(`docs/drawings/${name}.svg`);
    const texts = Array.from(
      drawing.matchAll(/<text x="([\d.]+)" y="(\d+)"[^>]*>([^<]*)</g),
      ([, x, y, text = ""]) => ({ x: Number(x), y: Number(y), text }),
    );
    /** What stands beside the last label of that text. */
    const row = (label: string) => {
      const y = texts.findLast(({ text }) => text === label)?.y;
      return texts.filter((text) => text.y === y && text.x > LEFT);
    };
    const slots = row("slot").map(({ text }) => Number(text));
    const [from = 0] = slots;
    const positionOf = (x: unknown): number => from + (Number(x) - LEFT) / SLOT;
    const pings = Array.from(drawing.matchAll(/"ping" cx="([\d.]+)" cy="(\d+)"/g), ([, x, y]) => ({
      position: positionOf(x),
      y: Number(y),
    }));
    const isEmpty = (slot: number, by = Infinity): boolean =>
      !pings.some(({ position }) => position <= by && Math.floor(position) === slot);
    const empty = Array.from(drawing.matchAll(/"empty" x="([\d.]+)"/g), ([, x]) => positionOf(x));
    expect(empty).toEqual(slots.filter((slot) => isEmpty(slot)));

    const processes = texts.filter(
      ({ text }, index) => /^process \d$/.test(text) && texts.findIndex((one) => one.text === text) === index,
    );
    expect([processes.length > 1, row("evaluation: j").length]).toEqual([true, evaluations]);
    for (const { x } of row("evaluation: j")) {
      const position = positionOf(x);
      const j = evaluationSlot(position);
      const g = latestComplete(j, from, (slot) => isEmpty(slot, position));
      const states = processes.map(({ y }) => {
        const own = pings.filter((ping) => ping.y === y - 5 && ping.position <= position);
        return isAliveAt(Math.max(...own.map((ping) => Math.floor(ping.position))), g) ? "alive" : "dead";
      });
      const labels = ["evaluation: j", "g", ...processes.map(({ text }) => text)];
      const drawn = labels.map((label) => row(label).find((text) => text.x === x)?.text);
      expect(drawn).toEqual([`${j}`, `${g}`, ...states]);
    }
  });
});

/** What all stores share is the part `stores`. */
const OF_ALL_STORES = new Set(["target.ts", "guard.ts"]);
/** What has no arrows: the bars below, and files that several parts share. */
const NOT_DRAWN = /^(lib|core|index\.ts|stores\/storage|node:.*)$/;

/** Of a file in `src`: `presence`, `stores/mongo`, `index.ts`. */
function partOf(file: string): string {
  const [first = "", second = ""] = normalize(file).split(/[\\/]/);
  if (first !== "stores" || OF_ALL_STORES.has(second)) return first;
  return `stores/${second.replace(/\.ts$/, "")}`;
}

/** What a file imports, packages by their names. Ignores comments. */
function importsOf(file: string): string[] {
  const code = read(join("src", file)).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const imports = /(?:^(?:import|export|\})[^"\n]*\bfrom|\bimport\(|^import) *"([^"]+)"/gm;
  return Array.from(code.matchAll(imports), ([, name = ""]) => {
    if (name.startsWith(".")) return partOf(join(dirname(file), name));
    return name.startsWith("node:") ? name : (/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? "");
  });
}

describe("the modules", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  const imports = files.flatMap((file) => importsOf(file).map((to) => [partOf(file), to] as const));

  it("are drawn in modules.svg with their imports, all of which lead down", () => {
    const drawing = read("docs/drawings/modules.svg");
    const box =
      /"box" x="(\d+)" y="(\d+)" width="170"[^>]*>\s*<text[^>]*>(.*?)<\/text>(?:\s*<text[^>]*"small">(.*?)<)?/g;
    const boxes = Array.from(drawing.matchAll(box), ([, x, y, part = "", packages]) => ({
      part,
      packages: packages?.split(", ") ?? [],
      top: `${Number(x) + 85} ${y}`,
      bottom: `${Number(x) + 85} ${Number(y) + 50}`,
    }));
    const arrows = Array.from(drawing.matchAll(/"arrow" d="M(.*)L(.*)"/g), ([, start = "", end = ""]) => {
      const from = boxes.find(({ bottom }) => bottom === start)?.part;
      const to = boxes.find(({ top }) => top === end)?.part;
      const leads = Number(end.split(" ")[1]) > Number(start.split(" ")[1]) ? "down" : "up";
      return `${from} ${leads} to ${to}`;
    });
    const drawn = boxes.flatMap(({ part, packages }) => packages.map((name) => `${part} down to ${name}`));
    const real = imports.filter(
      ([from, to]) => from !== to && ![from, to].some((one) => NOT_DRAWN.test(one)),
    );
    const expected = new Set(real.map(([from, to]) => `${from} down to ${to}`));
    expect([...arrows, ...drawn].toSorted()).toEqual([...expected].toSorted());
  });

  it("of the core import nothing else", () => {
    expect(imports.filter(([from, to]) => from === "core" && to !== "core")).toEqual([]);
  });
});
