import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Registry } from "prom-client";
import { isHeartbitError } from "../core/errors.ts";
import { dashboard } from "../dashboard/dashboard.ts";
import { checkDashboardOptions, type DashboardOptions } from "../dashboard/options.ts";
import { DEFAULT_PORT, type Serving, serve as listen } from "../dashboard/server.ts";
import { registerMetrics } from "../metrics/register.ts";
import type { Presence } from "../presence/presence.ts";
import { type Cli, durationOption, examples, type Runner } from "./cli.ts";
import { formatDuration } from "./duration.ts";
import { CommandError, EXIT, UsageError } from "./errors.ts";
import { openPresence, whileOpening } from "./open.ts";
import type { Output } from "./output.ts";
import { describeUnused } from "./settings.ts";
import { decodeText } from "./text.ts";
import { describeHealth } from "./watch.ts";

interface ServeFlags {
  readonly port: number;
  readonly host: string;
  readonly allowHost?: readonly string[];
  readonly allowWrites?: boolean;
  readonly tokenFile?: string;
  /** In ms. */
  readonly staleAfter: number;
}

export function serve(program: Command, runner: Runner): void {
  const command = program
    .command("serve")
    .summary("serve the dashboard, and an HTTP interface for programs")
    .description(
      "Serves a page that shows which keys are alive, GET /api/keys, GET /api/changes (server-sent events), GET /metrics and GET /healthz, until interrupted. Without a token it binds to loopback addresses only. With --allow-writes and a token, keys can be held and killed over HTTP.",
    )
    .addOption(portOption())
    .option("--host <address>", "the address to bind to", "127.0.0.1")
    .option(
      "--allow-host <name...>",
      "host names by which clients reach it, in addition to localhost and IP addresses",
    )
    .option("--allow-writes", "let clients with the token hold and kill keys")
    .option("--token-file <file>", "a file with the token that clients must send: 16 characters or more")
    .addOption(
      durationOption("--stale-after <time>", "/healthz fails when stale for longer").default(30_000, "30s"),
    )
    .addHelpText(
      "after",
      examples([
        ["heartbit serve", "at http://127.0.0.1:7077/"],
        ["heartbit serve --host 0.0.0.0 --token-file token", "for other machines"],
        ["heartbit serve --token-file token --allow-writes", "holds and kills keys too"],
      ]),
    );
  runner.on(command, run);
}

function portOption(): Option {
  return new Option("--port <number>", "0 for any that is free").default(DEFAULT_PORT).argParser((text) => {
    const port = Number(text);
    if (/^\d+$/.test(text) && port <= 65_535) return port;
    throw new InvalidArgumentError("Write a port: a number from 0 to 65535.");
  });
}

async function run({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const flags = command.opts<ServeFlags>();
  const token = flags.tokenFile === undefined ? undefined : await readToken(flags.tokenFile, out);
  if (flags.allowWrites === true && token === undefined) {
    throw new UsageError("--allow-writes needs a --token-file: anyone could kill keys.");
  }
  const options = dashboardOptions(flags, token);
  asFlags(() => checkDashboardOptions(options));
  // The dashboard releases the keys that it holds before the presence closes.
  let isNew = false;
  const presence = own(
    await whileOpening(interruption.signal, (signal) => openPresence(settings, signal, () => (isNew = true))),
  );
  presence.on("health", (health) => out.say(describeHealth(health)));
  const serving = await startServing(presence, flags, options);
  try {
    if (isNew)
      out.say(describeUnused(settings, `: it is new, with a period of ${formatDuration(presence.periodMs)}`));
    if (out.json) await out.object({ event: "serving", url: serving.url });
    else out.say(`The dashboard of "${presence.name}" is at ${serving.url}`);
    await interruption.orEnded(new Promise<void>((resolve) => presence.once("close", resolve)));
  } finally {
    await serving.close();
  }
  return EXIT.ok;
}

function dashboardOptions(
  { host, allowHost = [], allowWrites = false, staleAfter }: ServeFlags,
  token: string | undefined,
): DashboardOptions {
  return {
    hosts: isIP(host) === 0 ? [...allowHost, host] : allowHost,
    allowWrites,
    staleAfterMs: staleAfter,
    ...(token === undefined ? {} : { token }),
  };
}

/** What the options of the dashboard are called here. */
const FLAGS: Readonly<Record<string, string>> = {
  host: "--host",
  hosts: "--allow-host",
  token: "What --token-file has",
  staleAfterMs: "--stale-after",
};

/** The error of an option, under the name that the user knows. */
function inFlags(error: unknown): unknown {
  if (!isHeartbitError(error, "INVALID_OPTION")) return error;
  const said = error.message.replace(/^The option (\w+)/, (all, option: string) => FLAGS[option] ?? all);
  return new UsageError(said, { cause: error });
}

function asFlags(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    throw inFlags(error);
  }
}

async function startServing(
  presence: Presence,
  { host, port }: ServeFlags,
  options: DashboardOptions,
): Promise<Serving> {
  const registry = new Registry();
  registerMetrics(presence, registry);
  const made = dashboard(presence, { ...options, metrics: () => registry.metrics() });
  try {
    return await listen(made, { host, port, hasToken: options.token !== undefined });
  } catch (error) {
    await made.close();
    throw explainListening(error, { host, port });
  }
}

function explainListening(error: unknown, { host, port }: Pick<ServeFlags, "host" | "port">): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return new CommandError(`Port ${port} is taken: choose another --port.`);
  if (code === "EACCES")
    return new CommandError(`Port ${port} may not be used by this user: choose another --port.`);
  if (code === "EADDRNOTAVAIL")
    return new CommandError(`${host} is not an address of this machine: choose another --host.`);
  return inFlags(error);
}

/** Warns if others can read it, unless it is another user's: this process could not read it otherwise. */
async function readToken(file: string, out: Output): Promise<string> {
  try {
    const token = decodeText(await readFile(file)).trim();
    const { mode, uid } = await stat(file);
    if (process.platform !== "win32" && (mode & 0o077) !== 0 && uid === process.getuid?.()) {
      out.say(`Other users of this machine may read ${file}: chmod 600 keeps them from it.`);
    }
    return token;
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`The token file ${JSON.stringify(file)} cannot be read (${why}).`);
  }
}
