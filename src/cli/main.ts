#!/usr/bin/env node
/** The command `heartbit`: assembles its commands, and maps their outcomes to exit codes. */
import { existsSync, readFileSync } from "node:fs";
import { inspect, debuglog } from "node:util";
import { Command, CommanderError } from "commander";
import { addCommonOptions, type AddCommand, examples, Runner } from "./cli.ts";
import { bench } from "./bench.ts";
import { CONFIG_FILE } from "./config-file.ts";
import { completion } from "./completion.ts";
import { demo } from "./demo.ts";
import { doctor } from "./doctor.ts";
import { drop } from "./drop.ts";
import { EXIT, exitCodeOf, explain } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { kill } from "./kill.ts";
import { ls } from "./ls.ts";
import { allWritten, onReaderGone, Output, writeHelp, writeTalk } from "./output.ts";
import { ping } from "./ping.ts";
import { prune } from "./prune.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";
import { wait } from "./wait.ts";
import { watch } from "./watch.ts";

const COMMANDS: readonly AddCommand[] = [
  demo,
  run,
  ping,
  ls,
  watch,
  wait,
  serve,
  kill,
  prune,
  drop,
  doctor,
  bench,
  completion,
];

async function main(args: readonly string[]): Promise<number> {
  const interruption = new Interruption();
  const runner = new Runner(interruption);
  const program = makeProgram();
  const out = new Output(false);
  for (const add of COMMANDS) add(program, runner);
  let command = "";
  program.hook("preSubcommand", (_program, subcommand) => {
    command = `${subcommand.name()} `;
  });
  onReaderGone(({ code = "unknown" }) => {
    if (interruption.exitCode !== undefined) return;
    if (code !== "EPIPE") writeTalk(`heartbit: The output cannot be written (${code}).\n`);
    interruption.end(code === "EPIPE" ? EXIT.ok : EXIT.failed);
  });
  let exitCode: number;
  try {
    await program.parseAsync(asFlag(args), { from: "user" });
    exitCode = runner.exitCode;
  } catch (error) {
    exitCode = interruption.exitCode ?? exitCodeOf(error);
    if (!isHelp(error) && interruption.exitCode === undefined)
      report(error, { command, store: runner.store }, out);
  }
  out.progress(undefined);
  // Only then is it known whether the output could be written.
  await allWritten();
  // If only the reader has gone (0), the outcome of the command counts.
  return interruption.exitCode || exitCode;
}

/** `help ls` is `ls --help`. */
function asFlag([first, ...rest]: readonly string[]): string[] {
  if (first === "help") return [...rest, "--help"];
  return first === undefined ? [] : [first, ...rest];
}

/** Commander printed the help or the version, and ends with an error. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && (error.exitCode === EXIT.ok || error.code === "commander.help");
}

const UNKNOWN_OPTION = "commander.unknownOption";

interface Place {
  readonly command: string;
  readonly store: string | undefined;
}

function report(error: unknown, { command, store }: Place, out: Output): void {
  const isOfCmd = command === "run " && error instanceof CommanderError && error.code === UNKNOWN_OPTION;
  const hint = isOfCmd ? " Options of the command to run stand after --." : "";
  const usage = exitCodeOf(error) === EXIT.usage ? ` See: heartbit ${command}--help` : "";
  out.say(`heartbit: ${explain(error, store)}${hint}${usage}`);
  if (debuglog("heartbit").enabled) out.say(inspect(error));
}

function makeProgram(): Command {
  const program = new Command("heartbit")
    .description("Shows which keys - agents, processes, users, devices - are alive.")
    .version(version(), "-V, --version", "print the version")
    .usage("<command> [options]")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: writeHelp, writeErr: writeTalk, outputError: () => {} })
    .exitOverride();
  addCommonOptions(program);
  // Otherwise an unknown command with --help gets the general help.
  program.on("beforeHelp", () => {
    const [name = "-"] = program.args;
    if (!name.startsWith("-")) program.parse([name], { from: "user" });
  });
  program.addHelpText(
    "after",
    examples([
      ["heartbit demo", "see it work"],
      ["heartbit run web -- node server.js", "web is alive as long as the server runs"],
      ["heartbit watch", "changes as they happen"],
      ["heartbit <command> --help", "what a command takes"],
    ]),
  );
  program.addHelpText(
    "after",
    `\nThe store, the namespace and the period come from the flags, then the\nenvironment, then "store", "name" and "period" in ./${CONFIG_FILE}.`,
  );
  return program;
}

/** The version of the nearest package above this file, wherever it was built to. */
function version(): string {
  for (let url = new URL(".", import.meta.url); url.pathname !== "/"; url = new URL("..", url)) {
    const file = new URL("package.json", url);
    if (existsSync(file)) return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
  }
  return "unknown";
}

// Explicitly, so that it does not wait for a connection to a server that does not answer.
process.exit(await main(process.argv.slice(2)));
