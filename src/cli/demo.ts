import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { dashboard } from "../dashboard/dashboard.ts";
import { DEFAULT_PORT, serve, type Serving } from "../dashboard/server.ts";
import { systemClock } from "../lib/system-clock.ts";
import { Presence } from "../presence/presence.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { makeReport, printReport, type Report } from "./demo/report.ts";
import { Story } from "./demo/story.ts";
import { formatDuration } from "./duration.ts";
import { CommandError, EXIT, UsageError } from "./errors.ts";
import { readConfig, whileOpening } from "./open.ts";
import type { Output } from "./output.ts";
import { type CommonFlags, describeStore } from "./settings.ts";

const PERIOD_MS = 1000;

export function demo(program: Command, runner: Runner): void {
  const command = program
    .command("demo")
    .summary("see it work: workers that stop, crash, pause and live")
    .description(
      "Starts eight worker processes and watches them while one is stopped, one killed, one crashed with kill -9, one restarted, and one paused and resumed. Prints each change as it is reported, and serves the dashboard meanwhile. Ends with a table of what happened, when it was reported, and whether that is as expected. Uses an embedded store in a temporary directory, and a period of 1 s. With --store it uses a namespace of its own there, which it removes. Ignores the environment.",
    )
    .addHelpText(
      "after",
      examples([
        ["heartbit demo", "takes about 15 s"],
        ["heartbit demo --store mongodb://localhost", "the same on a MongoDB server"],
        ["heartbit demo --json", "the table as one object"],
      ]),
    );
  runner.on(command, show);
}

async function show({ out, flags, interruption, own }: Cli): Promise<number> {
  const stage = own(await setUp(flags, interruption.signal));
  const { store, presence } = stage;
  const where = flags.store === undefined ? "a SQLite store in a temporary directory" : describeStore(store);
  out.say(`On ${where}, with a period of ${formatDuration(presence.periodMs)}.`);
  const serving = own(await serveDashboard(presence));
  out.say(`See it at ${serving.url} while it lasts.`);
  const beganMs = systemClock.now();
  const story = new Story({ presence, store, ...narrator(out, beganMs) });
  const cut = (): void => story.stop();
  interruption.signal.addEventListener("abort", cut);
  let report: Report;
  try {
    await story.play();
    const { scenes, lapses, observations } = story;
    const { periodMs } = presence;
    const strays = story.strays();
    report = makeReport({ beganMs, periodMs, scenes, strays, suspicions: observations.suspicions, lapses });
  } finally {
    await story.end();
    interruption.signal.removeEventListener("abort", cut);
  }
  if (interruption.signal.aborted) return EXIT.failed;
  out.say("");
  await (out.json ? out.object(report) : printReport(report, out));
  return report.ok ? EXIT.ok : EXIT.failed;
}

/** Serves on the port of `heartbit serve`, or on any free one if that is taken. */
async function serveDashboard(presence: Presence): Promise<Serving & AsyncDisposable> {
  const made = dashboard(presence);
  const at = (port: number): Promise<Serving> => serve(made, { host: "127.0.0.1", port, hasToken: false });
  try {
    const serving = await at(DEFAULT_PORT).catch(() => at(0));
    return { ...serving, [Symbol.asyncDispose]: () => serving.close() };
  } catch (error) {
    await made.close();
    throw error;
  }
}

interface Stage extends AsyncDisposable {
  readonly store: string;
  readonly presence: Presence;
}

/** Opens a namespace for the demo only. At the end it removes what it created, and nothing else. */
async function setUp({ store, name, period }: CommonFlags, interrupted: AbortSignal): Promise<Stage> {
  if (store?.startsWith("memory:") === true) {
    throw new UsageError("The demo's workers are processes, which share no memory: use sqlite: or mongodb:.");
  }
  const fresh = name ?? `demo-${randomBytes(4).toString("hex")}`;
  if (store !== undefined && name !== undefined) await checkFresh(store, name, interrupted);
  const directory = store === undefined ? await mkdtemp(join(tmpdir(), "heartbit-demo-")) : undefined;
  const remove = (): void => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  };
  process.once("exit", remove); // a second Ctrl-C ends the process at once
  const target = store ?? `sqlite:${directory}`;
  try {
    const presence = await whileOpening(interrupted, (signal) =>
      Presence.open(target, { name: fresh, periodMs: period ?? PERIOD_MS, signal }),
    );
    return {
      store: target,
      presence,
      async [Symbol.asyncDispose]() {
        try {
          await presence.drop();
        } finally {
          await presence.close();
          remove();
          process.off("exit", remove);
        }
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

async function checkFresh(store: string, name: string, signal: AbortSignal): Promise<void> {
  if ((await readConfig({ store, name, periodMs: undefined }, signal)) === undefined) return;
  throw new CommandError(
    `There is a namespace "${name}" already, which the demo would remove: choose another --name, or none.`,
  );
}

/** Prints what happens and what is reported, with the time since the beginning. */
function narrator(
  out: Output,
  beganMs: number,
): Pick<ConstructorParameters<typeof Story>[0], "say" | "reported"> {
  const line = (atMs: number, text: string): void => {
    out.say(`${((atMs - beganMs) / 1000).toFixed(2).padStart(6)} s  ${text}`);
  };
  return {
    say: (text) => line(systemClock.now(), text),
    reported: ({ change: { key, alive, cause }, atMs }) => {
      const state = alive ? out.paintTalk("green", "alive") : out.paintTalk("red", "dead");
      line(atMs, `    reported: ${key} is ${state} (${cause})`);
    },
  };
}
