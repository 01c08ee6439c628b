/** For tests: a command in a terminal of 80 columns and 24 rows. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { cleanEnv, type Env, Running } from "./heartbit.ts";

export const CTRL_C = "\u0003";
export const CTRL_BACKSLASH = "\u001c";
export const CTRL_Z = "\u001a";
export const TAB = "\t";

export interface Terminal {
  /** What it shows is its `stdout`. */
  readonly running: Running;
  readonly type: (text: string) => void;
  readonly resize: (columns: number, rows: number) => void;
  /** Lets it go on, once it is suspended. */
  readonly resume: () => void;
}

export function inTerminal(command: readonly string[], env: Env = {}): Terminal {
  const helper = fileURLToPath(new URL("terminal.py", import.meta.url));
  const child = spawn("python3", [helper, ...command], {
    env: cleanEnv({ TERM: "xterm-256color", ...env }),
    stdio: ["pipe", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const order = (line: string): void => void child.stdin.write(`${line}\n`);
  return {
    running: new Running(child),
    type: (text) => order(`type ${Buffer.from(text).toString("hex")}`),
    resize: (columns, rows) => order(`resize ${columns} ${rows}`),
    resume: () => order("continue"),
  };
}
