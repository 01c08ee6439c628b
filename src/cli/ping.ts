import type { Command } from "commander";
import { type Cli, examples, metaOption, type Runner } from "./cli.ts";
import { EXIT, sentenceOf } from "./errors.ts";
import { describeHold, hold, type HoldEvent } from "./hold.ts";
import { openPresence } from "./open.ts";

export function ping(program: Command, runner: Runner): void {
  const command = program
    .command("ping <key>")
    .summary("hold a key until interrupted")
    .description("Holds KEY until interrupted, then kills it, which watchers report at once.")
    .addOption(metaOption())
    .addHelpText(
      "after",
      examples([
        ["heartbit ping laptop", "until Ctrl-C"],
        ["heartbit ping web --meta '{\"port\":8080}'", "others see the port"],
      ]),
    );
  runner.on(command, holdUntilInterrupted);
}

async function holdUntilInterrupted(
  { out, settings, interruption, own }: Cli,
  command: Command,
): Promise<number> {
  const [key = ""] = command.args;
  let isDropped = false;
  const notify = (event: HoldEvent): void => {
    if (out.json) void out.object(event);
    else out.say(describeHold(event));
    if (event.event !== "dropped") return;
    isDropped = true;
    void presence.close();
  };
  const presence = own(await openPresence(settings, interruption.signal));
  presence.on("health", ({ state, reason }) => {
    out.say(state === "stale" ? `Stale: ${sentenceOf(reason)}` : "Healthy again.");
  });
  await hold(presence, { key, meta: command.opts<{ meta?: unknown }>().meta }, notify);
  await interruption.orEnded(new Promise<void>((resolve) => presence.once("close", resolve)));
  await presence.close();
  if (isDropped) return EXIT.failed;
  notify({ event: "ended", key });
  return EXIT.ok;
}
