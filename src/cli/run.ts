import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type Cli, examples, metaOption, type Runner } from "./cli.ts";
import { EXIT, UsageError } from "./errors.ts";
import { describeHold, hold } from "./hold.ts";
import { exitCodeOfSignal, type Interruption } from "./interruption.ts";
import { openPresence } from "./open.ts";
import { printable } from "./text.ts";

export function run(program: Command, runner: Runner): void {
  const command = program
    .command("run <key> <cmd> [args...]")
    .usage("<key> [options] -- <cmd> [args...]")
    .summary("hold a key while a command runs")
    .description(
      "Holds KEY while CMD runs, and kills it at the end. Hands signals on to CMD and exits as it does: with its status, 128 + n when signal n ended it, 127 when there is no such command, 126 when it cannot be run. CMD is not started when the key cannot be held.",
    )
    .addOption(metaOption())
    .addHelpText(
      "after",
      examples([
        ["heartbit run web -- node server.js", "web is alive as long as the server runs"],
        ["heartbit run job-42 --meta '{\"try\":1}' -- ./job", "others see the meta"],
      ]),
    );
  runner.on(command, holdWhileRunning);
}

async function holdWhileRunning({ out, settings, interruption }: Cli, command: Command): Promise<number> {
  const [key = "", cmd = "", ...args] = command.args;
  if (cmd === "") throw new UsageError("The command to run is empty.");
  await using presence = await openPresence(settings, interruption.signal);
  await hold(presence, { key, meta: command.opts<{ meta?: unknown }>().meta }, (event) => {
    if (event.event === "killed" || event.event === "lapse") out.say(describeHold(event));
  });
  const end = await runChild(cmd, args, interruption);
  if (end.error !== undefined) out.say(`heartbit: ${end.error}`);
  await presence.close();
  const { exitCode, signal } = end;
  if (out.json) await out.object({ key, exitCode, signal });
  return exitCode;
}

interface ChildEnd {
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started. */
  readonly error?: string;
}

function runChild(cmd: string, args: readonly string[], interruption: Interruption): Promise<ChildEnd> {
  if (interruption.exitCode !== undefined) {
    return Promise.resolve({ exitCode: interruption.exitCode, signal: null });
  }
  return new Promise((resolve) => {
    const child = spawn(cmd, args, { stdio: "inherit" });
    const undivert = interruption.divert((signal) => handOn(signal, child));
    const end = (ended: ChildEnd): void => {
      undivert();
      resolve(ended);
    };
    child.once("error", (error: NodeJS.ErrnoException) => end(notStarted(cmd, error)));
    child.once("exit", (code, signal) => {
      end({ exitCode: signal === null ? (code ?? EXIT.failed) : exitCodeOfSignal(signal), signal });
    });
  });
}

function notStarted(cmd: string, { code, message }: NodeJS.ErrnoException): ChildEnd {
  const name = printable(cmd);
  const found = code !== "ENOENT";
  const error = found ? `${name} cannot be run: ${code ?? message}.` : `There is no command ${name}.`;
  return { exitCode: found ? EXIT.notExecutable : EXIT.notFound, signal: null, error };
}

/** What a terminal sends to all processes in its foreground: the child has had it already. */
const OF_TERMINAL = new Set<NodeJS.Signals>(["SIGINT", "SIGQUIT"]);

function handOn(signal: NodeJS.Signals, child: ChildProcess): void {
  // Twice would be once too often: many programs take the second Ctrl-C for "now, without cleaning up".
  if (OF_TERMINAL.has(signal) && isInForeground()) return;
  child.kill(signal);
}

function isInForeground(): boolean {
  if (!process.stdin.isTTY) return false;
  try {
    // "pid (name) state ppid pgrp session tty tpgid …": the name may hold anything but the last ")".
    const [, , pgrp, , , tpgid] = readFileSync("/proc/self/stat", "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return pgrp === tpgid;
  } catch {
    return true; // no Linux: a terminal is there, so very likely
  }
}
