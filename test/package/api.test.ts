/**
 * The public API, in api/: what a program can see of each entry point, as API Extractor reads it from the built types. A
 * change of it shows in the diff of a change. They are written anew by
 *
 *     UPDATE=1 npx vitest run test/package/api.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Extractor, ExtractorConfig, ExtractorLogLevel, type IConfigFile } from "@microsoft/api-extractor";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

/** The entry points: `heartbit`, and what comes after it. */
const ENTRIES = [
  ["heartbit", "index"],
  ["testing", "testing/index"],
  ["dashboard", "dashboard/index"],
  ["metrics", "metrics/index"],
] as const;

/** How a strict program reads types. */
const COMPILER = {
  target: "ES2022",
  lib: ["ES2023", "ESNext.Disposable"],
  module: "NodeNext",
  types: ["node"],
  strict: true,
  skipLibCheck: true, // the compiler has read these already; npm run first-hour reads all
};

const error = { logLevel: ExtractorLogLevel.Error };
const none = { logLevel: ExtractorLogLevel.None };
const MESSAGES = {
  compilerMessageReporting: { default: error },
  tsdocMessageReporting: { default: error },
  extractorMessageReporting: {
    default: error,
    "ae-missing-release-tag": none, // all that is exported is public
    "ae-missing-getter": none, // FaultyStore.warn is set, and told
  },
} satisfies IConfigFile["messages"];

/** The built package, outside of node_modules, where all types would be those of others. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heartbit-api-"));
  await cp("package.json", join(folder, "package.json"));
  await symlink(join(process.cwd(), "node_modules"), join(folder, "node_modules"), "junction");
  await cp(inject("built"), join(folder, "dist"), { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes an API without its documentation. Gives what is wrong: no doc comment, a type that is named and not exported. */
function extract(name: string, file: string): string[] {
  const types = join(folder, "dist", `${file}.d.ts`);
  const faults: string[] = [];
  const configObject: IConfigFile = {
    projectFolder: folder,
    mainEntryPointFilePath: types,
    newlineKind: "lf",
    compiler: { overrideTsconfig: { compilerOptions: COMPILER, files: [types] } },
    apiReport: { enabled: true, reportFileName: name, reportFolder: folder, reportTempFolder: folder },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    messages: MESSAGES,
  };
  const packageJsonFullPath = join(folder, "package.json");
  const options = { configObject, configObjectFullPath: undefined, packageJsonFullPath };
  Extractor.invoke(ExtractorConfig.prepare(options), {
    localBuild: true,
    messageCallback: (message) => {
      const { logLevel, sourceFilePath, sourceFileLine, text } = message;
      if (logLevel === ExtractorLogLevel.Error) faults.push(`${sourceFilePath}:${sourceFileLine} ${text}`);
      message.handled = true;
    },
  });
  return faults;
}

describe("the public API", () => {
  it.each(ENTRIES)(
    "%s is as api/ says, documented throughout, and exports every type that it names",
    (name, file) => {
      const faults = extract(name, file);
      const text = readFileSync(join(folder, `${name}.api.md`), "utf8");
      const path = join("api", `${name}.api.md`);
      if (process.env["UPDATE"] === "1") writeFileSync(path, text);
      expect(readFileSync(path, "utf8")).toBe(text);
      // What another entry point names may come from the main one.
      const declaration = /^export (?:abstract )?(?:class|const|function|interface|type) (\w+)/gm;
      const main = readFileSync("api/heartbit.api.md", "utf8");
      const exported = new Set(Array.from(main.matchAll(declaration), ([, one = ""]) => one));
      const isExported = (fault: string): boolean =>
        exported.has(/The symbol "(\w+)" needs to be exported/.exec(fault)?.[1] ?? "");
      expect(faults.filter((fault) => !isExported(fault))).toEqual([]);
    },
  );
});
