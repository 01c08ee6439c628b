/** What every command receives, and how it is defined and run. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "./duration.ts";
import { UsageError } from "./errors.ts";
import type { Interruption } from "./interruption.ts";
import { Output } from "./output.ts";
import { checkFlags, type CommonFlags, type Settings, settingsFrom } from "./settings.ts";

/** Adds one command to the program. */
export type AddCommand = (program: Command, runner: Runner) => void;

export interface Cli {
  readonly out: Output;
  readonly interruption: Interruption;
  /** Throws `UsageError` if the environment or the config file is wrong. Read only by commands that need it. */
  readonly settings: Settings;
  /** The flags on the command line, without the environment and the defaults. */
  readonly flags: CommonFlags;
  /**
   * Disposes of the resource when the command has ended, the latest one first. Returns it. `await using` would do the
   * same, but compile to two kilobytes in each file.
   */
  readonly own: <Resource extends AsyncDisposable | undefined>(resource: Resource) => Resource;
}

export class Runner {
  /** The exit code of the command, once it has run. */
  exitCode = 0;
  /** The store that the command works on, once that is known. */
  store: string | undefined;
  readonly #interruption: Interruption;

  constructor(interruption: Interruption) {
    this.#interruption = interruption;
  }

  /** Runs the command when commander has parsed its arguments. `run` returns the exit code. */
  on(command: Command, run: (cli: Cli, command: Command) => Promise<number>): void {
    command.action(async () => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const owned: AsyncDisposable[] = [];
      const readSettings = (): Settings => {
        const settings = settingsFrom(flags);
        this.store = settings.store;
        return settings;
      };
      const cli: Cli = {
        out: new Output(flags.json === true),
        interruption: this.#interruption,
        get settings() {
          return readSettings();
        },
        flags,
        own: (resource) => {
          if (resource !== undefined) owned.push(resource);
          return resource;
        },
      };
      checkFlags(flags);
      try {
        this.exitCode = await run(cli, command);
      } finally {
        for (const resource of owned.toReversed()) await resource[Symbol.asyncDispose]();
      }
    });
  }
}

/** The options of all commands. They may stand anywhere before `--`. */
export function addCommonOptions(program: Command): void {
  program
    .option("--store <target>", "mongodb://… or sqlite:<directory> (HEARTBIT_STORE)")
    .option("--name <namespace>", 'the namespace, default "presence" (HEARTBIT_NAME)')
    .addOption(durationOption("--period <time>", "the namespace's period: 5s, 500ms (HEARTBIT_PERIOD)"))
    .option("--json", "data as JSON: one object, or one a line if there are many");
}

export function durationOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const ms = parseDuration(text);
    if (ms === undefined) throw new InvalidArgumentError("Write a time like 30s, 500ms or 2m.");
    return ms;
  });
}

/** Throws `UsageError` if one of the options is given without the one that it is for: it would have no effect. */
export function checkOptionsOf(command: Command, options: readonly string[], needed: string): void {
  const isGiven = (name: string): boolean => {
    const option = command.options.find(({ long }) => long === `--${name}`);
    return option !== undefined && command.getOptionValueSource(option.attributeName()) === "cli";
  };
  const unused = isGiven(needed) ? undefined : options.find(isGiven);
  if (unused !== undefined)
    throw new UsageError(`--${unused} needs --${needed}, without which it has no effect.`);
}

export function metaOption(): Option {
  return new Option("--meta <json>", "what others see of the holder").argParser((text): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      throw new InvalidArgumentError("Write JSON, like '{\"port\":8080}'.");
    }
  });
}

/** The examples below a command's help. */
export function examples(lines: readonly (readonly [example: string, what: string])[]): string {
  const width = Math.max(...lines.map(([example]) => example.length));
  return ["", "Examples:", ...lines.map(([example, what]) => `  ${example.padEnd(width)}  ${what}`)].join(
    "\n",
  );
}
