import type { Command } from "commander";
import type { KeyState, Listing } from "../core/listing.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { EXIT } from "./errors.ts";
import { openExisting } from "./open.ts";
import { adviseOnPlace, describePlace } from "./settings.ts";
import { columns, formatMeta, formatTime, printable } from "./text.ts";

export function ls(program: Command, runner: Runner): void {
  const command = program
    .command("ls [prefix]")
    .summary("list the live keys")
    .description(
      "Lists the live keys, or those that begin with PREFIX, with a line for each holder: its host, pid, since when it holds the key, and its meta.",
    )
    .option("--all", "also list keys that died recently")
    .addHelpText(
      "after",
      examples([
        ["heartbit ls", "all live keys"],
        ["heartbit ls worker-", "those that begin with worker-"],
        ["heartbit ls --all --json", "the dead too, as one object"],
      ]),
    );
  runner.on(command, list);
}

async function list({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const [prefix = ""] = command.args;
  const { all = false } = command.opts<{ all?: boolean }>();
  const presence = own(await openExisting(settings, interruption.signal));
  out.progress("reading …");
  const listing = await presence?.list({ prefix });
  out.progress(undefined);
  const keys = (listing?.keys ?? []).filter(({ alive }) => all || alive);
  if (out.json) {
    const { asOf = new Date(systemClock.now()), confirmed = true } = listing ?? ({} as Partial<Listing>);
    await out.object({ asOf, confirmed, keys });
  } else if (keys.length > 0) await print(keys, all, out);
  if (keys.length === 0) {
    const meant = prefix === "" ? "No keys" : `No keys that begin with ${printable(JSON.stringify(prefix))}`;
    const state = all ? "are alive or have died lately" : "are alive";
    const isThere = presence === undefined ? ": nobody has used it yet" : "";
    out.say(`${meant} ${state} ${describePlace(settings)}${isThere}.${adviseOnPlace(settings)}`);
  }
  if (listing?.confirmed === false && keys.some(({ alive }) => alive)) {
    out.say("Unconfirmed: nobody has pinged lately. The live keys were alive when pings were last seen.");
  }
  return EXIT.ok;
}

async function print(keys: readonly KeyState[], all: boolean, out: Cli["out"]): Promise<void> {
  const heading = ["KEY", ...(all ? ["STATE"] : []), "HOST", "PID", "SINCE", "META"];
  const rows = keys.flatMap((state) => rowsOf(state, all));
  const lines = columns(out.isTerminal ? [heading, ...rows] : rows);
  // A heading is only for people: data for programs has none.
  if (out.isTerminal) out.say(out.paintTalk("dim", lines.shift() ?? ""));
  for (const line of lines) await out.data(line);
}

function rowsOf({ key, alive, since, holders }: KeyState, all: boolean): string[][] {
  const name = [printable(key), ...(all ? [alive ? "alive" : "dead"] : [])];
  if (!alive) return [[...name, "-", "-", formatTime(since), "-"]];
  return holders.map((holder) => [
    ...name,
    printable(holder.host),
    String(holder.pid),
    formatTime(holder.since),
    formatMeta(holder.meta),
  ]);
}
