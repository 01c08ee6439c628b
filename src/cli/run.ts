import type { Command } from "commander";
import { systemClock } from "../lib/system-clock.ts";
import { onAbort } from "../lib/abort.ts";
import type { Pinger } from "../presence/pinger.ts";
import { Sleeper } from "../lib/timers.ts";
import { type ChildEnd, runChild } from "./child.ts";
import { checkOptionsOf, type Cli, durationOption, examples, metaOption, type Runner } from "./cli.ts";
import { formatDuration } from "./duration.ts";
import { EXIT, UsageError } from "./errors.ts";
import { Guardian } from "./guardian.ts";
import { describeHold, hold } from "./hold.ts";
import type { Interruption } from "./interruption.ts";
import { openPresence } from "./open.ts";
import type { Output } from "./output.ts";
import { printable } from "./text.ts";

interface RunFlags {
  readonly meta?: unknown;
  readonly restart?: boolean;
  readonly stopOnLapse?: boolean;
  /** In ms. */
  readonly grace: number;
}

/** The pause before the first restart, in ms. Each further pause is twice as long, up to the maximum. */
const PAUSE_MS_MIN = 1000;
const PAUSE_MS_MAX = 30_000;

export function run(program: Command, runner: Runner): void {
  const command = program
    .command("run <key> <cmd> [args...]")
    .usage("<key> [options] -- <cmd> [args...]")
    .summary("hold a key while a command runs")
    .description(
      "Holds KEY while CMD runs, and kills it at the end. Passes signals on to CMD, and exits as CMD does: with its status, 128 + n if signal n ended it, 127 if there is no such command, 126 if it cannot be run. Does not start CMD if the key cannot be held, and ends it (SIGTERM, SIGKILL a second later) if heartbit itself is killed.",
    )
    .addOption(metaOption())
    .option(
      "--restart",
      "start CMD again when it fails, after 1 s, 2 s and so on up to 30 s; KEY is dead in between. Not after a signal that was passed on",
    )
    .option(
      "--stop-on-lapse",
      "end CMD (SIGTERM) as soon as others may have reported KEY dead; exit with 1 if CMD then exits with 0",
    )
    .addOption(
      durationOption("--grace <time>", "with --stop-on-lapse: kill CMD if it has not ended by then").default(
        10_000,
        "10s",
      ),
    )
    .addHelpText(
      "after",
      examples([
        ["heartbit run web -- node server.js", "alive as long as it runs"],
        ["heartbit run job --meta '{\"try\":1}' -- ./job", "others see the meta"],
        ["heartbit run job --stop-on-lapse -- ./job", "ended when others may replace it"],
      ]),
    );
  runner.on(command, holdWhileRunning);
}

async function holdWhileRunning(
  { out, settings, interruption, own }: Cli,
  command: Command,
): Promise<number> {
  const [key = "", cmd = "", ...args] = command.args;
  if (cmd === "") throw new UsageError("The command to run is empty.");
  checkWhole([cmd, ...args]);
  checkOptionsOf(command, ["grace"], "stop-on-lapse");
  const { meta, restart = false, stopOnLapse = false, grace: graceMs } = command.opts<RunFlags>();
  const presence = own(await openPresence(settings, interruption.signal));
  let stop = new AbortController();
  const pinger = await hold(presence, { key, meta }, (event) => {
    if (event.event !== "held") out.say(describeHold(event));
    if ((event.event === "lapse" || event.event === "dropped") && stopOnLapse) stop.abort();
  });
  const guardian = new Guardian();
  let end: ChildEnd;
  let restarts = 0;
  for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX), restarts++) {
    const began = systemClock.monotonic();
    end = await runChild([cmd, ...args], { interruption, stop: stop.signal, graceMs, guardian });
    if (!restart || !mayRestart(end)) break;
    if (systemClock.monotonic() - began > PAUSE_MS_MAX) pauseMs = PAUSE_MS_MIN;
    out.say(`${printable(cmd)} ${describeEnd(end)}; it is started again in ${formatDuration(pauseMs)}.`);
    if (!(await pause(pinger, pauseMs, interruption))) break;
    stop = new AbortController();
  }
  await presence.close();
  return reportEnd(end, { key, restarts }, out);
}

/**
 * Throws `UsageError` if the command line does not end with CMD as the user wrote it. Without `--` before CMD, an option
 * of CMD that heartbit has, too, or a `--` that is for CMD, as in `npm run x -- -y`, would be taken away.
 */
function checkWhole(words: readonly string[]): void {
  if (words.every((word, at) => word === process.argv.at(at - words.length))) return;
  throw new UsageError("Write -- before the command to run: options before -- are those of heartbit.");
}

/** Whether to start the command again: it failed by itself, or was ended because of a lapse. */
function mayRestart({ exitCode, error, isAsked, isStopped }: ChildEnd): boolean {
  return error === undefined && !isAsked && (exitCode !== EXIT.ok || isStopped);
}

/** Waits before a restart, while KEY is dead. Returns false if the command must end. */
async function pause(pinger: Pinger, pauseMs: number, interruption: Interruption): Promise<boolean> {
  const sleeper = new Sleeper(systemClock);
  const stopListening = onAbort(interruption.signal, () => sleeper.end());
  await Promise.all([sleeper.sleep(pauseMs), interruption.orEnded(pinger.kill())]);
  stopListening();
  if (interruption.signal.aborted) return false;
  await interruption.orEnded(pinger.start());
  return !interruption.signal.aborted;
}

function describeEnd({ exitCode, signal, isStopped }: ChildEnd): string {
  if (isStopped) return "was ended";
  return signal === null ? `exited with ${exitCode}` : `was ended by ${signal}`;
}

async function reportEnd(
  { exitCode, signal, error, isStopped }: ChildEnd,
  { key, restarts }: { readonly key: string; readonly restarts: number },
  out: Output,
): Promise<number> {
  if (error !== undefined) out.say(`heartbit: ${error}`);
  if (out.json) await out.object({ key, exitCode, signal, restarts, stopped: isStopped });
  return isStopped && exitCode === EXIT.ok ? EXIT.failed : exitCode;
}
