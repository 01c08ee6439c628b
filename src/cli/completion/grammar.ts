/**
 * The commands and options, as the scripts of all shells need them: taken from commander, so that none is missing.
 */
import type { Command, Option } from "commander";

export interface Flag {
  /** Without the dashes: "store". */
  readonly name: string;
  /** One letter, if there is one. */
  readonly short?: string;
  readonly what: string;
  /** The name of its value. */
  readonly takes: "nothing" | "text" | "file";
}

export interface Word {
  readonly name: string;
  readonly what: string;
}

export interface CommandWords extends Word {
  readonly flags: readonly Flag[];
  /** What its first argument must be one of; undefined: anything. */
  readonly choices?: readonly string[];
  /** Whether its second argument is a command to run, with arguments of its own. */
  readonly runs: boolean;
}

export interface Grammar {
  readonly commands: readonly CommandWords[];
  /** They may stand anywhere. */
  readonly flags: readonly Flag[];
}

export function describeCommands(program: Command): Grammar {
  const help: Flag = { name: "help", short: "h", what: "print help", takes: "nothing" };
  const commands = program.commands.map((command) => {
    const [first, second] = command.registeredArguments;
    const choices = first?.argChoices;
    return {
      name: command.name(),
      what: command.summary(),
      flags: command.options.map(flagOf),
      runs: second?.name() === "cmd",
      ...(choices === undefined ? {} : { choices }),
    };
  });
  return { commands, flags: [...program.options.map(flagOf), help] };
}

function flagOf({ long, short, description, flags }: Option): Flag {
  const value = /<(\w+)/.exec(flags)?.[1];
  const takes = value === undefined ? "nothing" : value === "file" ? "file" : "text";
  const letter = short?.slice(1);
  const name = (long ?? "").slice(2);
  return { name, what: description, takes, ...(letter === undefined ? {} : { short: letter }) };
}
