/** The versions of Node that the package is tried on, and the managers that install it, in the cache of the tests. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { cache } from "../../servers/install.ts";
import { makeOnce } from "../make-once.ts";

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

const isWindows = process.platform === "win32";
const { platform, arch } = process;
const bun = `@oven/bun-${isWindows ? "windows" : platform}-${arch}`;
const deno = `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}`;
/** What runs programs in Node's place. */
export const RUNTIMES = {
  bun: { name: bun, version: "1.4.5", file: "bin/bun", isScript: false },
  deno: { name: deno, version: "2.9.6", file: "deno", isScript: false },
} as const satisfies Record<string, Program>;

/** npm is that of the Node which runs this. */
export const MANAGERS = {
  npm: undefined,
  pnpm: { name: "pnpm", version: "10.34.8", file: "bin/pnpm.cjs", isScript: true },
  yarn: { name: "yarn", version: "1.22.22", file: "bin/yarn.js", isScript: true },
  "yarn-pnp": { name: "@yarnpkg/cli-dist", version: "4.18.1", file: "bin/yarn.js", isScript: true },
  bun: RUNTIMES.bun,
} as const satisfies Record<string, Program | undefined>;
export type Manager = keyof typeof MANAGERS;

/** The path of a Node of that version. It comes from the registry too. */
export async function nodeOf(version: string): Promise<string> {
  const name = `node-${isWindows ? "win" : platform}-${arch}`;
  return join(await installed(name, version), "bin", isWindows ? "node.exe" : "node");
}

/** What runs the manager: a program of Node or of its own, or npm itself. */
export async function managerOf(manager: Manager): Promise<readonly [command: string, ...args: string[]]> {
  const program = MANAGERS[manager];
  return program === undefined ? [manager] : commandOf(program);
}

export async function commandOf(program: Program): Promise<readonly [string, ...string[]]> {
  const { name, version, file, isScript } = program;
  const path = join(await installed(name, version), file);
  return isScript ? [process.execPath, path] : [path];
}

/** The folder of a package, installed where it is not there. */
async function installed(name: string, version: string): Promise<string> {
  const home = join(cache, `${name.replace("/", "+")}-${version}`);
  await makeOnce(home, (draft) => {
    const args = ["install", "--prefix", draft, "--no-audit", "--no-fund", "--ignore-scripts"];
    return promisify(execFile)("npm", [...args, `${name}@${version}`], { cwd: draft, shell: isWindows });
  });
  return join(home, "node_modules", name);
}
