/** For tests: the real command as a child process, on a store of its own. */
import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject, onTestFinished } from "vitest";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Env = Readonly<Record<string, string>>;

/** A running `heartbit`. What it has not ended by itself ends with the test. */
export class Running {
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  #changed: () => void = () => {};

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#add("stdout", text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#add("stderr", text));
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#changed();
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves with the first match once it is there; rejects when the process ends without it. */
  async says(on: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this[on]);
      if (match !== null) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`It ended without ${pattern}.\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
      }
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  #add(to: "stdout" | "stderr", text: string): void {
    this[to] += text;
    this.#changed();
  }
}

/** Where the built command is. */
export const main = (): string => join(inject("built"), "cli", "main.js");

/** The environment of a person who has set nothing of heartbit's. */
export function cleanEnv(env: Env): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(HEARTBIT_|XDG_|NODE_|NO_COLOR|FORCE_COLOR|VITEST)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...env };
}

/** Starts `heartbit` with the arguments; `atEnd` is given what ends it, if it has not ended by then. */
export function start(
  args: readonly string[],
  env: Env = {},
  atEnd: (end: () => void) => void = onTestFinished,
  stdin: "ignore" | "pipe" = "ignore",
): Running {
  const options = { env: cleanEnv(env), stdio: [stdin, "pipe", "pipe"] } satisfies SpawnOptions;
  const child = spawn(process.execPath, [main(), ...args], options);
  atEnd(() => void child.kill("SIGKILL"));
  return new Running(child);
}

/** Runs `heartbit` to its end. */
export function heartbit(
  args: readonly string[],
  env: Env = {},
  atEnd?: (end: () => void) => void,
): Promise<Ended> {
  return start(args, env, atEnd).ended;
}

/** Holds the key in a process of its own; resolves when others can see it. */
export async function holding(key: string, env: Env, ...more: string[]): Promise<Running> {
  const held = start(["ping", key, ...more], env);
  await held.says("stderr", /Holding/);
  return held;
}

/** Whether there is such a process; one that nobody has asked for its end has ended. */
export function isRunning(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return stdout.trim() !== "" && !stdout.includes("Z");
}

/** A directory of the test's own. */
export async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "heartbit-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** For tests that wait for a ping or a death. What is late for such a period is said on stderr. */
export const SHORT = "300ms";

/** The environment that names a SQLite store of the test's own. */
export async function newStore(period = "5s"): Promise<Env> {
  return { HEARTBIT_STORE: `sqlite:${join(await newDirectory(), "store")}`, HEARTBIT_PERIOD: period };
}
