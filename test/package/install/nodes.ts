/** The versions of Node that the package is tried on, and the managers that install it, in the cache of the tests. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cache } from "../../servers/install.ts";

/** The least that `engines` allows, and the latest of each line since. */
export const NODES = ["20.19.0", "22.23.3", "24.21.0", "26.10.0"] as const;

/** npm is that of the Node which runs the tests. */
export const MANAGERS = { npm: undefined, pnpm: "10.34.8", yarn: "1.22.22" } as const;
export type Manager = keyof typeof MANAGERS;

const isWindows = process.platform === "win32";

/** The path of a Node of that version. It comes from the registry too. */
export async function nodeOf(version: string): Promise<string> {
  const name = `node-${isWindows ? "win" : process.platform}-${process.arch}`;
  return join(await installed(name, version), "bin", isWindows ? "node.exe" : "node");
}

/** What runs the manager: a program of Node, or npm itself. */
export async function managerOf(manager: Manager): Promise<readonly [command: string, ...args: string[]]> {
  const version = MANAGERS[manager];
  if (version === undefined) return [manager];
  const file = { pnpm: "pnpm.cjs", yarn: "yarn.js", npm: "" }[manager];
  return [process.execPath, join(await installed(manager, version), "bin", file)];
}

/** The folder of a package, installed where it is not there. */
async function installed(name: string, version: string): Promise<string> {
  const home = join(cache, `${name}-${version}`);
  const folder = join(home, "node_modules", name);
  if (existsSync(home)) return folder;
  await mkdir(cache, { recursive: true });
  const draft = await mkdtemp(`${home}-`);
  const args = [
    "install",
    "--prefix",
    draft,
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    `${name}@${version}`,
  ];
  await promisify(execFile)("npm", args, { cwd: draft, shell: isWindows });
  await rename(draft, home).catch((error: unknown) => {
    if (!existsSync(home)) throw error; // else another run was sooner
    return rm(draft, { recursive: true, force: true });
  });
  return folder;
}
