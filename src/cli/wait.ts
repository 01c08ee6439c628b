import type { Command } from "commander";
import { checkKey } from "../core/checks.ts";
import type { Change } from "../core/change.ts";
import { onAbort, unlessAborted } from "../lib/abort.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Presence } from "../presence/presence.ts";
import { Sleeper, within } from "../lib/timers.ts";
import { type Cli, durationOption, examples, type Runner } from "./cli.ts";
import { formatDuration } from "./duration.ts";
import { EXIT } from "./errors.ts";
import { ifRetryable, openExisting, openOnceThere, timeIsUp } from "./open.ts";
import type { Output } from "./output.ts";
import { adviseOnPlace, describePlace, describeUnused } from "./settings.ts";
import { ChangeLines, isSimilar, printable } from "./text.ts";
import { describeHealth } from "./watch.ts";

/** How long a similar key is looked for, in ms. */
const HINT_LIMIT_MS = 1000;
/** How long the current state may take to load, in ms: `--timeout 0` still checks once. */
const FIRST_LIMIT_MS = 5000;

interface WaitFlags {
  readonly dead?: boolean;
  /** In ms. */
  readonly timeout?: number;
}

export function wait(program: Command, runner: Runner): void {
  const command = program
    .command("wait <key>")
    .summary("wait until a key is alive, or dead")
    .description("Returns when KEY is alive, or with --dead when it is dead. Exits with 3 on time-out.")
    .option("--dead", "wait for its death")
    .addOption(durationOption("--timeout <time>", "how long to wait at most: 30s, 0 to check once"))
    .addHelpText(
      "after",
      examples([
        ["heartbit wait db && ./migrate", "once db is alive"],
        ["heartbit wait worker-7 --dead --timeout 30s", "exits with 3 if it is still alive"],
      ]),
    );
  runner.on(command, waitFor);
}

async function waitFor({ out, settings, interruption, own }: Cli, command: Command): Promise<number> {
  const key = checkKey(command.args[0]);
  const { dead = false, timeout = Infinity } = command.opts<WaitFlags>();
  const began = systemClock.monotonic();
  const overdue = new AbortController();
  const signal = AbortSignal.any([interruption.signal, overdue.signal]);
  const print = (change: Change): Promise<void> =>
    out.json ? out.object(change) : out.data(new ChangeLines(out.paint).line(change));
  const printTimeOut = async (what: string): Promise<number> => {
    if (out.json) await out.object({ key, alive: dead, timedOut: true });
    out.say(what);
    return EXIT.notSo;
  };
  const after = timeout === 0 ? "" : ` after ${formatDuration(timeout)}`;

  let presence = own(await openExisting(settings, interruption.signal));
  if (presence === undefined && dead) {
    out.say(describeUnused(settings, `, so ${printable(key)} counts as dead`));
    await print({ key, alive: false, at: new Date(systemClock.now()), cause: "initial", holders: [] });
    return EXIT.ok;
  }
  if (presence === undefined && timeout > 0) {
    out.say(describeUnused(settings, ": waiting until a process does"));
    const stopTimer = systemClock.setTimer(() => overdue.abort(), timeout);
    presence = own(await openOnceThere(settings, interruption.signal, signal));
    stopTimer();
    if (interruption.signal.aborted) return EXIT.ok;
  }
  if (presence === undefined) {
    const place = `${describePlace(settings)}: nobody has used it yet.${adviseOnPlace(settings)}`;
    return printTimeOut(`${printable(key)} is not alive${after} ${place}`);
  }
  const watcher = presence.watcher();
  watcher.on("health", (health) => out.say(describeHealth(health)));
  const changes = watcher.changes(key, { signal });
  const first = await within(systemClock, FIRST_LIMIT_MS, "the first load", changes.next());
  // A check that is made once is not cut short: it would find what lives not alive.
  const isOnce = timeout === 0;
  const leftMs = isOnce ? FIRST_LIMIT_MS : timeout - (systemClock.monotonic() - began);
  const cancel = systemClock.setTimer(() => overdue.abort(), leftMs);
  const isSo = (change: Change): boolean | Promise<boolean> =>
    change.alive !== dead && (dead || isProven(presence, change, { signal, isOnce }, out));
  try {
    for (let next = first; next.done !== true; next = await changes.next()) {
      if (await isSo(next.value)) {
        await print(next.value);
        return EXIT.ok;
      }
      if (isOnce) break;
    }
  } finally {
    cancel();
  }
  if (watcher.error !== null) throw watcher.error;
  if (interruption.signal.aborted) return EXIT.ok;
  if (dead) return printTimeOut(`${printable(key)} is still alive${after}.`);
  // Not for a loop that checks again and again: it reads all keys.
  const meant = timeout === 0 ? undefined : await similarTo(key, presence);
  const hint = meant === undefined ? "" : ` Did you mean ${printable(meant)}?`;
  const place = `${describePlace(settings)}.${hint}${adviseOnPlace(settings)}`;
  return printTimeOut(`${printable(key)} is not alive${after} ${place}`);
}

/** A live key that differs by what is easily mistyped. */
async function similarTo(key: string, presence: Presence): Promise<string | undefined> {
  if (presence.health.state === "stale") return undefined;
  const listing = await within(systemClock, HINT_LIMIT_MS, "the hint", presence.list()).catch(
    () => undefined,
  );
  return listing?.keys.find((state) => state.alive && isSimilar(state.key, key))?.key;
}

/**
 * Whether a key that is reported alive has recent pings. If nobody pinged for a while, keys that died then are reported
 * alive at first. This process pings now, so they can soon be distinguished from live ones.
 */
async function isProven(
  presence: Presence,
  { key, cause }: Change,
  { signal, isOnce }: { readonly signal: AbortSignal; readonly isOnce: boolean },
  out: Output,
): Promise<boolean> {
  if (cause !== "initial") return true;
  const sleeper = new Sleeper(systemClock);
  const stopListening = onAbort(signal, () => sleeper.end());
  try {
    for (let look = 0; ; look++) {
      const listing = await unlessAborted(presence.list({ key }), signal, timeIsUp).catch(ifRetryable);
      if (listing?.confirmed === true) return listing.keys.some(({ alive }) => alive);
      if (signal.aborted || isOnce) return false;
      if (look === 0)
        out.say(`${printable(key)} was alive when pings were last seen; waiting for recent ones.`);
      await sleeper.sleep(presence.periodMs / 2);
    }
  } finally {
    stopListening();
  }
}
