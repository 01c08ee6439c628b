/** A program that uses heartbit: an empty folder, in which the tarball was installed as a reader of the README does. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Tarball } from "../pack.ts";
import { type Manager, managerOf } from "./nodes.ts";

const programs = join(process.cwd(), "test/package/install/programs");

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

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs into a new folder. Rejects with what the manager has said where that fails. */
  static async install({
    tarball,
    manager = "npm",
    packages = [],
    omitOptional = false,
  }: Wanted): Promise<Consumer> {
    const consumer = new Consumer(await mkdtemp(join(tmpdir(), "heartbit-consumer-")));
    const [command, ...args] = await managerOf(manager);
    const options = {
      npm: ["install", "--no-audit", "--no-fund", ...(omitOptional ? ["--omit=optional"] : [])],
      pnpm: ["add", ...(omitOptional ? ["--no-optional"] : [])],
      // It would take an earlier tarball of the same version from its cache.
      yarn: [
        "add",
        "--cache-folder",
        join(consumer.folder, ".cache"),
        ...(omitOptional ? ["--ignore-optional"] : []),
      ],
    }[manager];
    // An empty package.json, so that no folder above is taken for the program's.
    await writeFile(join(consumer.folder, "package.json"), "{}\n");
    const { status, output } = await consumer.run(command, [...args, ...options, tarball.path, ...packages]);
    if (status !== 0) throw new Error(`${manager} could not install the package:\n${output}`);
    await cp(programs, consumer.folder, { recursive: true });
    return consumer;
  }

  /** Runs a command in the folder. Commands that are looked up run on `node`, where one is given. */
  run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, node?: string): Promise<Ended> {
    const inherited = { ...process.env };
    // The runner's own, which would be taken for the program's.
    for (const name of Object.keys(inherited)) if (/^(npm_|NODE_|VITEST)/.test(name)) delete inherited[name];
    if (node !== undefined) inherited["PATH"] = `${dirname(node)}${delimiter}${inherited["PATH"]}`;
    const options = { cwd: this.folder, env: { ...inherited, ...env } };
    return promisify(execFile)(command, args, options).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, output: stdout + stderr }),
      ({ code, stdout = "", stderr = "" }: { code?: unknown; stdout?: string; stderr?: string }) => ({
        status: Number(code),
        stdout,
        output: stdout + stderr,
      }),
    );
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.folder, name), text);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
