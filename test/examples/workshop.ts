/**
 * Runs the examples as a reader would: as processes, with the packages of their own lock file. Those are installed once,
 * into a cache; heartbit is the package as it was built for this run.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from "node:fs/promises";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { inject } from "vitest";
import { until } from "../support/wait.ts";

const root = process.cwd();
const cache = join(root, "node_modules/.cache");
const isWindows = process.platform === "win32";

/** The packages of `examples/package-lock.json`, but for heartbit itself. Gives their folder. */
async function installPackages(): Promise<string> {
  const lock = await readFile(join(root, "examples/package-lock.json"));
  const hash = createHash("sha256").update(lock).digest("hex").slice(0, 16);
  const home = join(cache, `heartbit-examples-${hash}`);
  const installed = join(home, "node_modules");
  if (existsSync(home)) return installed;
  const draft = await mkdtemp(join(cache, "heartbit-examples-draft-"));
  const examples = join(draft, "examples");
  await mkdir(examples);
  await cp(join(root, "package.json"), join(draft, "package.json")); // the lock file links to it
  for (const file of ["package.json", "package-lock.json"]) {
    await cp(join(root, "examples", file), join(examples, file));
  }
  await promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], {
    cwd: examples,
    shell: isWindows,
  });
  await rm(join(examples, "node_modules/heartbit"), { force: true });
  await rename(examples, home).catch((error: unknown) => {
    if (!existsSync(home)) throw error; // else another run was sooner
  });
  await rm(draft, { recursive: true, force: true });
  return installed;
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has printed. */
  readonly lines: readonly string[];
  /** Resolves with the first line that matches; rejects when it has ended without one. */
  line(pattern: RegExp): Promise<string>;
  /** Resolves with its exit status, or the signal. */
  readonly ended: Promise<number | string>;
}

/** A copy of the examples, with a store of its own. */
export class Workshop implements AsyncDisposable {
  readonly #folder: string;
  readonly #running: Running[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<Workshop> {
    const installed = await installPackages();
    const folder = await mkdtemp(join(cache, "heartbit-workshop-"));
    const heartbit = join(folder, "node_modules/heartbit");
    const examples = join(folder, "examples");
    await mkdir(heartbit, { recursive: true });
    await cp(join(root, "package.json"), join(heartbit, "package.json"));
    await symlink(inject("built"), join(heartbit, "dist"), "junction");
    await cp(join(root, "examples"), examples, {
      recursive: true,
      filter: (path) => !path.endsWith("node_modules"),
    });
    await symlink(installed, join(examples, "node_modules"), "junction");
    return new Workshop(folder);
  }

  /** Where the store of this workshop is. */
  get store(): string {
    return `sqlite:${join(this.#folder, "store")}`;
  }

  /** Loads a package that the examples use. */
  load(name: string): unknown {
    return createRequire(join(this.#folder, "examples/package.json"))(name);
  }

  run(program: string, ...args: string[]): Running {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: join(this.#folder, "examples"),
      env: { ...process.env, HEARTBIT_STORE: this.store },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const lines: string[] = [];
    const errors: string[] = [];
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
    child.stderr?.on("data", (chunk) => errors.push(String(chunk)));
    const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
    const running: Running = {
      child,
      lines,
      ended,
      line: async (pattern) => {
        const find = (): string | undefined => lines.find((line) => pattern.test(line));
        await Promise.race([until(() => find() !== undefined), ended]);
        const found = find();
        if (found !== undefined) return found;
        throw new Error(`${program} has ended without ${pattern}:\n${[...lines, ...errors].join("\n")}`);
      },
    };
    this.#running.push(running);
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#running) child.kill("SIGKILL");
    await Promise.all(this.#running.map(({ ended }) => ended));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
