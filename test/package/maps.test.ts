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

interface Line {
  readonly at: string;
  /** What tells it. */
  readonly text: string;
  /** The line of the source to which it is mapped. */
  readonly source: string;
}

function linesOf(end: keyof typeof TELLING): Line[] {
  const code = end === ".js" ? WITHOUT_MAPS.map((folder) => join(folder, sep)) : [];
  const without = [join("dashboard", "page"), ...code];
  const files = readdirSync(built, { recursive: true, encoding: "utf8" });
  return files
    .filter((name) => name.endsWith(end) && !without.some((folder) => name.startsWith(folder)))
    .flatMap((name) => {
      const map = new SourceMap(
        JSON.parse(readFileSync(join(built, `${name}.map`), "utf8")) as SourceMapPayload,
      );
      const source = readFileSync(join("src", name.replace(end, ".ts")), "utf8").split("\n");
      const lines = readFileSync(join(built, name), "utf8").split("\n");
      return lines.flatMap((line, index): Line[] => {
        const found = TELLING[end].exec(line);
        if (found === null) return [];
        const entry = map.findEntry(index, found.index);
        const mapped = "originalLine" in entry ? (source[entry.originalLine] ?? "") : "nothing";
        return [{ at: `${name}:${index + 1}`, text: found[0], source: mapped }];
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
    const files = readdirSync(join(built, folder), { recursive: true, encoding: "utf8" });
    expect(files.filter((name) => name.endsWith(".js.map"))).toEqual([]);
    const texts = files
      .filter((name) => name.endsWith(".js"))
      .map((name) => readFileSync(join(built, folder, name), "utf8"));
    expect(texts.filter((text) => text.includes("sourceMappingURL"))).toEqual([]);
  });

  it("lead to sources by the paths that these have in the repository", () => {
    const map = JSON.parse(readFileSync(join(built, "core", "checks.js.map"), "utf8")) as SourceMapPayload;
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
      const source = readFileSync(join("src", file), "utf8").split("\n")[Number(line) - 1];
      return `${callee}: ${source?.trim()}`;
    });
    expect(lines).toEqual([
      expect.stringContaining("invalidKey: return new HeartbitError("),
      expect.stringContaining('checkKey: if (key === "") throw invalidKey('),
      expect.stringContaining("Presence.pinger: return new Pinger("),
    ]);
  });
});
