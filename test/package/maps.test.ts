/** The maps lead from what is published to the line of the source that it was made from. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";

const built = inject("built");

/** Lines of code that can be told from all others: they are the same in what is published and in the source. */
const TELLING = {
  ".js": /throw (?:new )?\w+\(?|export (?:async )?function \w+|export class \w+/,
  ".d.ts": /(?:class|function|interface|type) [A-Z]\w+(?=[ <({])/,
};

/** Code that nobody imports. */
const WITHOUT_MAPS = ["cli", "testing/contract"];

const filesOf = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" });
const read = (...path: string[]): string => readFileSync(join(...path), "utf8");
const mapOf = (name: string): SourceMapPayload => JSON.parse(read(built, `${name}.map`)) as SourceMapPayload;

/** Each line that can be told: where it is, what tells it, and the line of the source to which it is mapped. */
function linesOf(end: keyof typeof TELLING): { at: string; text: string; source: string }[] {
  const code = end === ".js" ? WITHOUT_MAPS.map((folder) => join(folder, sep)) : [];
  const without = [join("dashboard", "page"), ...code];
  const names = filesOf(built).filter((name) => !without.some((folder) => name.startsWith(folder)));
  return names
    .filter((name) => name.endsWith(end))
    .flatMap((name) => {
      const map = new SourceMap(mapOf(name));
      const source = read("src", name.replace(end, ".ts")).split("\n");
      return read(built, name)
        .split("\n")
        .flatMap((line, index) => {
          const found = TELLING[end].exec(line);
          if (found === null) return [];
          const entry = map.findEntry(index, found.index);
          const mapped = "originalLine" in entry ? source[entry.originalLine] : undefined;
          return [{ at: `${name}:${index + 1}`, text: found[0], source: mapped ?? "nothing" }];
        });
    });
}

describe("the maps", () => {
  it.each([".js", ".d.ts"] as const)("of %s lead to the right lines", (end) => {
    const lines = linesOf(end);
    expect(lines.length).toBeGreaterThan(40);
    expect(lines.filter(({ text, source }) => !source.includes(text))).toEqual([]);
  });

  it.each(WITHOUT_MAPS)("are not missed by %s, whose code goes without", (folder) => {
    const files = filesOf(join(built, folder));
    expect(files.filter((name) => name.endsWith(".js.map"))).toEqual([]);
    const code = files.filter((name) => name.endsWith(".js"));
    expect(code.filter((name) => read(built, folder, name).includes("sourceMappingURL"))).toEqual([]);
  });

  it("lead to sources by the paths that these have in the repository", () => {
    const map = mapOf(join("core", "checks.js"));
    expect(map.sources.map((source) => source.replace(/^(\.\.\/)+/, ""))).toEqual(["src/core/checks.ts"]);
    expect(map).not.toHaveProperty("sourcesContent");
  });

  it("make a stack trace name the line that throws", async () => {
    const program = `
      const { Presence } = await import(${JSON.stringify(pathToFileURL(join(built, "index.js")).href)});
      const presence = await Presence.open("memory:traces");
      try { presence.pinger(""); } catch (error) { console.log(error.stack); }
      await presence.close();`;
    const args = ["--enable-source-maps", "--input-type=module", "--eval", program];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const frames = [...stdout.matchAll(/at (\S+) \([^()]*?src[/\\]([^()]*):(\d+):\d+\)/g)];
    const lines = frames.map(([, callee, file = "", line]) => {
      const source = read("src", file).split("\n")[Number(line) - 1];
      return `${callee}: ${source?.trim()}`;
    });
    expect(lines).toEqual([
      expect.stringContaining("invalidKey: return new HeartbitError("),
      expect.stringContaining('checkKey: if (key === "") throw invalidKey('),
      expect.stringContaining("Presence.pinger: return new Pinger("),
    ]);
  });
});
