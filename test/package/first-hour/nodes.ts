/** The versions of Node that the package is tried on, and the managers that install it, in the cache of the tests. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cache } from "../../servers/install.ts";

/** The least that `engines` allows, and the latest of each line since. */
export const NODES = ["20.19.0", "22.23.3", "24.21.0", "26.10.0"] as const;

interface Program {
  readonly name: string;
  readonly version: string;
  /** Where its program is in its package. */
  readonly file: string;
  /** Whether Node runs it. */
  readonly isScript: boolean;
}

const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
const BUN: Program = { name: `@oven/bun-${platform}`, version: "1.4.5", file: "bin/bun", isScript: false };
const libc = process.platform === "linux" ? "-glibc" : "";
const DENO: Program = {
  name: `@deno/${process.platform}-${process.arch}${libc}`,
  version: "2.9.6",
  file: "deno",
  isScript: false,
};

/** npm is that of the Node which runs this. */
export const MANAGERS = {
  npm: undefined,
  pnpm: { name: "pnpm", version: "10.34.8", file: "bin/pnpm.cjs", isScript: true },
  yarn: { name: "yarn", version: "1.22.22", file: "bin/yarn.js", isScript: true },
  "yarn-pnp": { name: "@yarnpkg/cli-dist", version: "4.18.1", file: "bin/yarn.js", isScript: true },
  bun: BUN,
} as const satisfies Record<string, Program | undefined>;
export type Manager = keyof typeof MANAGERS;

/** What runs programs in Node's place. */
export const RUNTIMES = { bun: BUN, deno: DENO } as const;

const isWindows = process.platform === "win32";

/** The path of a Node of that version. It comes from the registry too. */
export async function nodeOf(version: string): Promise<string> {
  const name = `node-${isWindows ? "win" : process.platform}-${process.arch}`;
  return join(await installed(name, version), "bin", isWindows ? "node.exe" : "node");
}

/** What runs the manager: a program of Node or of its own, or npm itself. */
export async function managerOf(manager: Manager): Promise<readonly [command: string, ...args: string[]]> {
  const program = MANAGERS[manager];
  return program === undefined ? [manager] : commandOf(program);
}

export async function commandOf({
  name,
  version,
  file,
  isScript,
}: Program): Promise<readonly [string, ...string[]]> {
  const path = join(await installed(name, version), file);
  return isScript ? [process.execPath, path] : [path];
}

/** The folder of a package, installed where it is not there. */
async function installed(name: string, version: string): Promise<string> {
  const home = join(cache, `${name.replace("/", "+")}-${version}`);
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
