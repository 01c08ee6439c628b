/** A program that uses heartbit: an empty folder, in which the tarball was installed as a reader of the README does. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Tarball } from "../pack.ts";
import { type Manager, managerOf } from "./nodes.ts";

const programs = join(process.cwd(), "test/package/first-hour/programs");

const PNP = `nodeLinker: pnp
enableGlobalCache: false
enableTelemetry: false
enableImmutableInstalls: false
checksumBehavior: ignore
`;

interface Wanted {
  readonly tarball: Tarball;
  readonly manager?: Manager;
  /** What is installed besides. */
  readonly packages?: readonly string[];
  /** Without the packages that are optional. */
  readonly omitOptional?: boolean;
}

export interface Ended {
  /** The exit status. */
  readonly status: number;
  readonly stdout: string;
  /** What it printed, on stdout and stderr. */
  readonly output: string;
}

export class Consumer implements AsyncDisposable {
  readonly folder: string;
  /** What the manager has printed. */
  said = "";

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs into a new folder. Rejects with what the manager has said where that fails. */
  static async install(wanted: Wanted): Promise<Consumer> {
    const { tarball, manager = "npm", packages = [], omitOptional = false } = wanted;
    const consumer = new Consumer(await mkdtemp(join(tmpdir(), "heartbit-consumer-")));
    const [command, ...args] = await managerOf(manager);
    const omit = (option: string): string[] => (omitOptional ? [option] : []);
    const options = {
      npm: ["install", "--no-audit", "--no-fund", "--prefer-offline", ...omit("--omit=optional")],
      pnpm: ["add", ...omit("--no-optional")],
      bun: ["add", ...omit("--omit=optional")],
      "yarn-pnp": ["add"],
      // It would take an earlier tarball of the same version from its cache.
      yarn: ["add", "--cache-folder", join(consumer.folder, ".cache"), ...omit("--ignore-optional")],
    }[manager];
    // A package.json of its own, so that no folder above is taken for the program's.
    await consumer.write({ "package.json": '{ "name": "newcomer", "version": "1.0.0" }\n' });
    // Without a lock file no folder above is taken for the project's; a cache of its own, as above.
    if (manager === "yarn-pnp") await consumer.write({ "yarn.lock": "", ".yarnrc.yml": PNP });
    const archive = manager === "yarn-pnp" ? `heartbit@file:${tarball.path}` : tarball.path;
    const { status, output } = await consumer.run(command, [...args, ...options, archive, ...packages]);
    if (status !== 0) throw new Error(`${manager} could not install the package:\n${output}`);
    consumer.said = output;
    await cp(programs, consumer.folder, { recursive: true });
    return consumer;
  }

  /** Runs a command in the folder. Commands that are looked up run on `node`, where one is given. */
  run(
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    node?: string,
    user?: { readonly uid: number; readonly gid: number },
  ): Promise<Ended> {
    const inherited = { ...process.env };
    // The runner's own, which would be taken for the program's.
    for (const name of Object.keys(inherited))
      if (/^(npm_|NODE_(?!EXTRA_CA_CERTS)|VITEST)/.test(name)) delete inherited[name];
    if (node !== undefined) inherited["PATH"] = `${dirname(node)}${delimiter}${inherited["PATH"]}`;
    const options = { cwd: this.folder, env: { ...inherited, ...env }, ...user };
    return promisify(execFile)(command, args, options).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, output: stdout + stderr }),
      ({ code, stdout = "", stderr = "" }: { code?: unknown; stdout?: string; stderr?: string }) => ({
        status: Number(code),
        stdout,
        output: stdout + stderr,
      }),
    );
  }

  /** Writes files, and the folders that they are in. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.folder, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
  }

  /** Runs a command that must succeed. Returns its output. */
  async must(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const { status, stdout, output } = await this.run(command, args, env);
    if (status !== 0) throw new Error(`${[command, ...args].join(" ")} exits with ${status}:\n${output}`);
    return stdout;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
