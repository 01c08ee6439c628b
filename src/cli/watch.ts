import type { Command } from "commander";
import type { Health } from "../presence/context/health.ts";
import type { Change } from "../core/change.ts";
import { turn } from "../lib/turn.ts";
import { internalsOf } from "../presence/internals.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT, sentenceOf } from "./errors.ts";
import { openPresence } from "./open.ts";
import type { Output } from "./output.ts";
import { Screen } from "./screen.ts";
import { adviseOnPlace, describePlace } from "./settings.ts";
import { Table } from "./table.ts";
import { ChangeLines, printable } from "./text.ts";

export function watch(program: Command, runner: Runner): void {
  const command = program
    .command("watch [prefix]")
    .summary("show changes as they come")
    .description(
      "On a terminal, shows a table of the live keys, or those that begin with PREFIX, and of those that died within the last minute. Elsewhere, or with --plain, prints the live keys, then each change as it happens: time, key, alive or dead, the cause, the holders. Says when its view may be out of date (stale). Runs until interrupted.",
    )
    .option("--plain", "lines on a terminal, too")
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

/** Where changes are written. */
interface View {
  health(health: Health): void;
  change(change: Change): void | Promise<void>;
  /** At the beginning nothing is there. */
  nothing(sentence: string): void;
  close(): void;
}

async function follow({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const [prefix = ""] = command.args;
  const isPlain = command.opts<{ plain?: boolean }>().plain === true;
  const presence = own(await openPresence(settings, interruption.signal));
  const title = `${presence.name}${prefix === "" ? "" : `: ${printable(prefix)}…`}`;
  const { time } = internalsOf(presence);
  const watcher = presence.watcher();
  const view = out.isScreen && !isPlain ? viewTable(title, () => time.now, out) : viewLines(out);
  watcher.on("health", (health) => view.health(health));
  let isNothing = true;
  const tellNothing = async (): Promise<void> => {
    await watcher.sync();
    await turn(); // what is there is shown first
    const meant = prefix === "" ? "No keys" : `No keys that begin with ${printable(JSON.stringify(prefix))}`;
    if (isNothing)
      view.nothing(`${meant} are alive yet ${describePlace(settings)}.${adviseOnPlace(settings)}`);
  };
  try {
    const changes = watcher.changes({ prefix }, { signal: interruption.signal });
    tellNothing().catch(() => {}); // the watcher's health says why
    for await (const change of changes) {
      isNothing = false;
      await view.change(change);
    }
  } finally {
    view.close();
  }
  if (watcher.error !== null) throw watcher.error;
  return EXIT.ok;
}

function viewTable(title: string, nowMs: () => number, out: Output): View {
  const table = new Table(title);
  const screen = new Screen((room) => table.lines(room, nowMs(), out.paint));
  return {
    health(health) {
      table.setHealth(health);
      screen.changed();
    },
    change(change) {
      table.take(change);
      screen.changed();
    },
    nothing: () => {}, // an empty table says so
    close: () => screen.close(),
  };
}

function viewLines(out: Output): View {
  const lines = new ChangeLines(out.paint);
  return {
    health: (health) => out.say(describeHealth(health)),
    change: (change) => (out.json ? out.object(change) : out.data(lines.line(change))),
    nothing: (sentence) => out.say(sentence),
    close: () => {},
  };
}

/** A change of the health as a sentence. */
export function describeHealth({ state, reason }: Health): string {
  if (state === "healthy") return "Healthy again.";
  return `Stale: ${sentenceOf(reason)} Expiries are held back until it is healthy.`;
}
