import type { Command } from "commander";
import type { Health } from "../presence/context/health.ts";
import type { Change } from "../core/change.ts";
import { systemClock } from "../lib/system-clock.ts";
import { turn } from "../lib/turn.ts";
import { internalsOf } from "../presence/internals.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT, sentenceOf } from "./errors.ts";
import { openExisting, openOnceThere } from "./open.ts";
import type { Output } from "./output.ts";
import { Screen } from "./screen.ts";
import { adviseOnPlace, describePlace, describeStore, describeUnused } from "./settings.ts";
import { type Place, Table } from "./table.ts";
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
  /** Whether the namespace has been set up. */
  isThere(is: boolean, sentence?: string): void;
  /** At the beginning nothing is there. */
  nothing(sentence: string): void;
  close(): void;
}

async function follow({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const [prefix = ""] = command.args;
  const isPlain = command.opts<{ plain?: boolean }>().plain === true;
  const { signal } = interruption;
  let presence = own(await openExisting(settings, signal));
  const place = {
    title: `${printable(settings.name)}${prefix === "" ? "" : `: ${printable(prefix)}…`}`,
    store: describeStore(settings.store),
  };
  const nowMs = (): number => (presence === undefined ? systemClock.now() : internalsOf(presence).time.now);
  const view = out.isScreen && !isPlain ? viewTable(place, nowMs, out) : viewLines(out);
  try {
    if (presence === undefined) {
      view.isThere(false, describeUnused(settings, ": waiting until a process does"));
      presence = own(await openOnceThere(settings, signal, signal));
      if (presence === undefined) return EXIT.ok;
      view.isThere(true);
    }
    const watcher = presence.watcher();
    watcher.on("health", (health) => view.health(health));
    let isNothing = true;
    const reportNothing = async (): Promise<void> => {
      await watcher.sync();
      await turn(); // what is there is shown first
      const meant =
        prefix === "" ? "No keys" : `No keys that begin with ${printable(JSON.stringify(prefix))}`;
      if (isNothing)
        view.nothing(`${meant} are alive yet ${describePlace(settings)}.${adviseOnPlace(settings)}`);
    };
    const changes = watcher.changes({ prefix }, { signal });
    reportNothing().catch(() => {}); // the watcher's health says why
    for await (const change of changes) {
      isNothing = false;
      await view.change(change);
    }
    if (watcher.error !== null) throw watcher.error;
    return EXIT.ok;
  } finally {
    view.close();
  }
}

function viewTable(place: Place, nowMs: () => number, out: Output): View {
  const table = new Table(place);
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
    isThere(is) {
      table.isThere = is;
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
    isThere: (_, sentence) => sentence !== undefined && out.say(sentence),
    nothing: (sentence) => out.say(sentence),
    close: () => {},
  };
}

/** A change of the health as a sentence. */
export function describeHealth({ state, reason }: Health): string {
  if (state === "healthy") return "Healthy again.";
  return `Stale: ${sentenceOf(reason)} Expiries are held back until it is healthy.`;
}
