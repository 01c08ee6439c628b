/** The command that `run` runs, from its start to its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { isatty } from "node:tty";
import { systemClock } from "../lib/system-clock.ts";
import { onAbort } from "../lib/abort.ts";
import { EXIT } from "./errors.ts";
import type { Guardian } from "./guardian.ts";
import { exitCodeOfSignal, type Interruption } from "./interruption.ts";
import { printable } from "./text.ts";

export interface ChildEnd {
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  /** Whether a signal that ends commands was passed on to it. */
  readonly isAsked: boolean;
  /** Whether `stop` has ended it. */
  readonly isStopped: boolean;
  /** Why it could not be started. */
  readonly error?: string;
}

export interface ChildOptions {
  readonly interruption: Interruption;
  /** When aborted, sends SIGTERM, and SIGKILL if the command has not ended `graceMs` later. */
  readonly stop: AbortSignal;
  readonly graceMs: number;
  readonly guardian: Guardian;
}

/** Signals that ask a command to end. */
const ENDING = new Set<NodeJS.Signals>(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]);

/** How often to look whether processes that the command has started are still there, in ms. */
const LOOK_MS = 100;

/**
 * Runs the command with the streams of this process, and passes signals on to it. Without a terminal the command leads
 * a process group of its own, so that `stop` and the guardian end what it has started, too. In a terminal it stays in
 * the group of this process, which Ctrl-C and Ctrl-Z reach as a whole.
 */
export function runChild(
  [cmd = "", ...args]: readonly string[],
  { interruption, stop, graceMs, guardian }: ChildOptions,
): Promise<ChildEnd> {
  if (interruption.exitCode !== undefined) {
    return Promise.resolve({
      exitCode: interruption.exitCode,
      signal: null,
      isAsked: true,
      isStopped: false,
    });
  }
  return new Promise((resolve) => {
    let child: ChildProcess;
    const isApart = process.platform !== "win32" && !terminal().isThere;
    try {
      child = spawn(cmd, args, { stdio: "inherit", detached: isApart });
    } catch (error) {
      // Some reasons why a command cannot run are thrown, others are reported by an event.
      const why = notStarted(cmd, error as NodeJS.ErrnoException);
      return resolve({ ...why, isAsked: false, isStopped: false });
    }
    const { pid } = child;
    const target = pid !== undefined && isApart ? -pid : pid;
    guardian.guard(target);
    let isAsked = false;
    let isStopped = false;
    let isKilled = false;
    let cancelKill: (() => void) | undefined;
    const undivert = interruption.divert((signal) => {
      isAsked ||= ENDING.has(signal);
      passOn(signal, child);
    });
    const ignoreStop = onAbort(stop, () => {
      isStopped = send("SIGTERM", target);
      cancelKill = systemClock.setTimer(() => (isKilled = send("SIGKILL", target)), graceMs);
    });
    const end = (ended: Omit<ChildEnd, "isAsked" | "isStopped">): void => {
      guardian.release();
      undivert();
      ignoreStop();
      cancelKill?.();
      resolve({ ...ended, isAsked, isStopped });
    };
    child.once("error", (error: NodeJS.ErrnoException) => end(notStarted(cmd, error)));
    child.once("exit", (code, signal) => {
      const exitCode = signal === null ? (code ?? EXIT.failed) : exitCodeOfSignal(signal);
      // What the command has started gets the rest of the time, when it was stopped.
      const endAfterAll = (): void => {
        if (isStopped && !isKilled && send(0, target)) systemClock.setTimer(endAfterAll, LOOK_MS);
        else end({ exitCode, signal });
      };
      endAfterAll();
    });
  });
}

/** Whether there was a process to send it to. A negative target is a process group. */
function send(signal: NodeJS.Signals | 0, target: number | undefined): boolean {
  try {
    return target !== undefined && process.kill(target, signal);
  } catch {
    return false;
  }
}

function notStarted(
  cmd: string,
  { code, message }: NodeJS.ErrnoException,
): Pick<ChildEnd, "exitCode" | "signal" | "error"> {
  const name = printable(cmd);
  const found = code !== "ENOENT";
  const error = found ? `${name} cannot be run: ${code ?? message}.` : `There is no command ${name}.`;
  return { exitCode: found ? EXIT.notExecutable : EXIT.notFound, signal: null, error };
}

/** Signals that a terminal sends to all its foreground processes: the child already has them. */
const OF_TERMINAL = new Set<NodeJS.Signals>(["SIGINT", "SIGQUIT"]);

function passOn(signal: NodeJS.Signals, child: ChildProcess): void {
  // Do not send them twice: for many programs the second Ctrl-C means "now, without cleaning up".
  if (OF_TERMINAL.has(signal) && terminal().isForeground) return;
  child.kill(signal);
}

/** Whether this process has a terminal, and is among the processes that Ctrl-C reaches. */
function terminal(): { readonly isThere: boolean; readonly isForeground: boolean } {
  try {
    // "pid (name) state ppid pgrp session tty tpgid …": the name may contain anything but the last ")".
    const [, , pgrp, , tty, tpgid] = readFileSync("/proc/self/stat", "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return { isThere: tty !== "0", isForeground: pgrp === tpgid };
  } catch {
    // Not Linux: with a terminal, very likely. Not `process.stdin`: its stream would set O_NONBLOCK on the pipe, which
    // is the command's stdin, too.
    const isThere = [0, 1, 2].some((fd) => isatty(fd));
    return { isThere, isForeground: isThere };
  }
}
