import type { Command } from "commander";
import { internalsOf } from "../presence/internals.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT } from "./errors.ts";
import { openExisting } from "./open.ts";
import { describeUnused } from "./settings.ts";
import { count } from "./text.ts";

export function prune(program: Command, runner: Runner): void {
  const command = program
    .command("prune")
    .summary("delete records that have been dead for long")
    .description(
      "Deletes records that have been dead for longer than the retention, and prints how many. Running presences do so by themselves from time to time.",
    )
    .addHelpText("after", examples([["heartbit prune --name staging", "the namespace staging"]]));
  runner.on(command, deleteOld);
}

async function deleteOld({ out, settings, interruption, own }: Cli): Promise<number> {
  const presence = own(await openExisting(settings, interruption.signal));
  let done = 0;
  if (presence !== undefined) {
    internalsOf(presence).instrumentation.on("pruned", ({ sessions, registrations, slots }) => {
      out.progress(`${count((done += sessions + registrations + slots), "record")} deleted …`);
    });
  }
  const { sessions, registrations, slots } = (await presence?.prune()) ?? {
    sessions: 0,
    registrations: 0,
    slots: 0,
  };
  const line = `${count(sessions, "session")}, ${count(registrations, "registration")} and ${count(slots, "slot")} deleted`;
  if (presence === undefined) out.say(describeUnused(settings, ": nothing to delete"));
  await (out.json ? out.object({ sessions, registrations, slots }) : out.data(line));
  return EXIT.ok;
}
