import type { Command } from "commander";
import { checkKey } from "../core/checks.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT } from "./errors.ts";
import { openExisting } from "./open.ts";
import { adviseOnPlace, describePlace } from "./settings.ts";
import { count, printable } from "./text.ts";

export function kill(program: Command, runner: Runner): void {
  const command = program
    .command("kill <key>")
    .summary("report a key dead now")
    .description(
      "Reports KEY dead now, whoever holds it, and prints how many holders were ended. It does not touch any process: a running holder takes the key up again.",
    )
    .addHelpText("after", examples([["heartbit kill worker-7", "watchers report it at once"]]));
  runner.on(command, end);
}

async function end({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const key = checkKey(command.args[0]);
  const presence = own(await openExisting(settings, interruption.signal));
  const ended = (await presence?.kill(key)) ?? 0;
  await (out.json ? out.object({ key, ended }) : out.data(`${count(ended, "holder")} ended`));
  if (ended === 0) {
    const isThere = presence === undefined ? ": nobody has used it yet" : "";
    out.say(`Nobody holds ${printable(key)} ${describePlace(settings)}${isThere}.${adviseOnPlace(settings)}`);
  }
  return EXIT.ok;
}
