import type { Command } from "commander";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT, UsageError } from "./errors.ts";
import { openExisting } from "./open.ts";
import { describeNamespace, describeUnused } from "./settings.ts";

export function drop(program: Command, runner: Runner): void {
  const command = program
    .command("drop")
    .summary("remove a namespace with all its data")
    .description(
      "Removes all data of the namespace. Its watchers fail, and its keys are dead. This cannot be undone.",
    )
    .option("--yes", "do it")
    .addHelpText("after", examples([["heartbit drop --name staging --yes", "the namespace staging"]]));
  runner.on(command, remove);
}

async function remove({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const what = describeNamespace(settings);
  if (command.opts<{ yes?: boolean }>().yes !== true) {
    throw new UsageError(`This would remove all data of ${what}: add --yes to do it.`);
  }
  const presence = own(await openExisting(settings, interruption.signal));
  out.progress("removing …");
  await presence?.drop();
  const dropped = presence !== undefined;
  if (!dropped) out.say(describeUnused(settings, ": nothing to remove"));
  else if (!out.json) out.say(`Removed ${what}.`);
  if (out.json) await out.object({ name: settings.name, dropped });
  return EXIT.ok;
}
