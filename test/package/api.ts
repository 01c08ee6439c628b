/** The public API as text: what a program can see of each entry point, as API Extractor reads it from the built types. */
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Extractor, ExtractorConfig, ExtractorLogLevel, type IConfigFile } from "@microsoft/api-extractor";

export interface Report {
  /** The API, without its documentation. */
  readonly text: string;
  /** What it finds wrong: something public without a doc comment, a type that is named and not exported. */
  readonly faults: readonly string[];
}

/** The names of the entry points: `heartbit`, and what comes after it. */
export const ENTRIES = {
  heartbit: "index",
  testing: "testing/index",
  dashboard: "dashboard/index",
  metrics: "metrics/index",
};

/** How a strict program reads types. */
const COMPILER = {
  target: "ES2022",
  lib: ["ES2023", "ESNext.Disposable"],
  module: "NodeNext",
  types: ["node"],
  strict: true,
  skipLibCheck: true, // the compiler has read these already; scripts/first-hour.mjs reads all
};

/** Reads one entry point of the built package. */
export async function readApi(built: string, name: keyof typeof ENTRIES): Promise<Report> {
  // Outside of node_modules, where all types would be those of others.
  const folder = await mkdtemp(join(tmpdir(), "heartbit-api-"));
  const faults: string[] = [];
  try {
    await cp(join(process.cwd(), "package.json"), join(folder, "package.json"));
    await symlink(join(process.cwd(), "node_modules"), join(folder, "node_modules"), "junction");
    await cp(built, join(folder, "dist"), { recursive: true });
    Extractor.invoke(configFor(folder, name), {
      localBuild: true,
      messageCallback: (message) => {
        const { logLevel, sourceFilePath, sourceFileLine, text } = message;
        if (logLevel === ExtractorLogLevel.Error) faults.push(`${sourceFilePath}:${sourceFileLine} ${text}`);
        message.handled = true;
      },
    });
    return { text: await readFile(join(folder, `${name}.api.md`), "utf8"), faults };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function configFor(folder: string, name: keyof typeof ENTRIES): ExtractorConfig {
  const types = join(folder, "dist", `${ENTRIES[name]}.d.ts`);
  const error = { logLevel: ExtractorLogLevel.Error };
  const none = { logLevel: ExtractorLogLevel.None };
  const configObject: IConfigFile = {
    projectFolder: folder,
    mainEntryPointFilePath: types,
    newlineKind: "lf",
    compiler: { overrideTsconfig: { compilerOptions: COMPILER, files: [types] } },
    apiReport: { enabled: true, reportFileName: name, reportFolder: folder, reportTempFolder: folder },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    messages: {
      compilerMessageReporting: { default: error },
      tsdocMessageReporting: { default: error },
      extractorMessageReporting: {
        default: error,
        "ae-missing-release-tag": none, // all that is exported is public
        "ae-missing-getter": none, // FaultyStore.warn is set, and told
      },
    },
  };
  const packageJsonFullPath = join(folder, "package.json");
  return ExtractorConfig.prepare({ configObject, configObjectFullPath: undefined, packageJsonFullPath });
}

/** The names that a report exports. */
export function namesIn(report: string): string[] {
  return [...report.matchAll(/^export (?:abstract )?(?:class|const|function|interface|type) (\w+)/gm)].map(
    ([, name = ""]) => name,
  );
}
