import type { Command } from "commander";
import type { Health } from "../presence/health.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT } from "./errors.ts";
import { openPresence } from "./open.ts";
import { ChangeLines } from "./text.ts";

export function watch(program: Command, runner: Runner): void {
  const command = program
    .command("watch [prefix]")
    .summary("print changes as they come")
    .description(
      "Prints the live keys, or those that begin with PREFIX, then each change as it comes: time, key, alive or dead, the cause, the holders. Says on stderr when what it knows may be late (stale). Runs until interrupted.",
    )
    .addHelpText(
      "after",
      examples([
        ["heartbit watch", "all keys"],
        ["heartbit watch worker-", "those that begin with worker-"],
        ["heartbit watch --json | jq .key", "each change as an object on a line"],
      ]),
    );
  runner.on(command, follow);
}

async function follow({ out, settings, interruption }: Cli, command: Command): Promise<number> {
  const [prefix = ""] = command.args;
  await using presence = await openPresence(settings, interruption.signal);
  const watcher = presence.watcher();
  watcher.on("health", (health) => out.say(describeHealth(health)));
  const lines = new ChangeLines(out.paint);
  for await (const change of watcher.changes({ prefix }, { signal: interruption.signal })) {
    await (out.json ? out.object(change) : out.data(lines.line(change)));
  }
  if (watcher.error !== null) throw watcher.error;
  return EXIT.ok;
}

/** A turn of the health in a sentence. */
export function describeHealth({ state, reason }: Health): string {
  if (state === "healthy") return "Healthy again.";
  return `Stale: ${reason}. Deaths by absence are held back until it is healthy.`;
}
