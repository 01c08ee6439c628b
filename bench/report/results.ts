/** What scenarios have found out, kept from run to run, so that the report can be made of all of them. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Section } from "./section.ts";

/** bench/dist/results */
const FOLDER = fileURLToPath(new URL("../../results/", import.meta.url));

export interface Result {
  readonly section: Section;
  /** When it began: ISO 8601. */
  readonly at: string;
  readonly tookMs: number;
  /** The machine's load average of a minute, before and after: what else ran. */
  readonly load: readonly [number, number];
  /** At which priority it ran: 0 unless it was given another (`nice`). */
  readonly priority: number;
  /** With their versions. */
  readonly servers: readonly string[];
  /** Those that are not installed. */
  readonly missing: readonly string[];
}

export async function keep(name: string, result: Result): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${name}.json`), JSON.stringify(result));
}

/** The latest of a scenario; undefined where there is none. */
export async function kept(name: string): Promise<Result | undefined> {
  try {
    return JSON.parse(await readFile(join(FOLDER, `${name}.json`), "utf8")) as Result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
