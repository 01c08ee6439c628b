import type { Command } from "commander";
import type { Finding } from "../core/store.ts";
import { type Cli, examples, type Runner } from "./cli.ts";
import { examineAll, examineNamespace } from "./doctor/examination.ts";
import { EXIT } from "./errors.ts";
import { withNamespace } from "./open.ts";
import type { Output } from "./output.ts";
import { describeNamespace } from "./settings.ts";
import { type Colour, padEnd, printable } from "./text.ts";

export function doctor(program: Command, runner: Runner): void {
  const command = program
    .command("doctor")
    .summary("find what is wrong, and say what to do")
    .description(
      "Examines the store and the namespace, and prints for each check: ok, warning or error, the result, and what to do. Exits with 1 on an error. Changes nothing but a stamp of the time, on MongoDB, with which it measures the majority. Checks the server, its topology, the feed and the change streams, the indexes, the clock, the round trip, how soon a majority acknowledges, the rights of the user, and the storage.",
    )
    .addHelpText(
      "after",
      examples([
        ["heartbit doctor", "the default store"],
        ["heartbit doctor --store mongodb://db/app --period 500ms", "would this period do?"],
        ["heartbit doctor --json | jq -r '.findings[].found'", "the results only"],
      ]),
    );
  runner.on(command, examine);
}

async function examine({ out, settings, interruption }: Cli): Promise<number> {
  const { store: target, name } = settings;
  out.say(`Examining ${describeNamespace(settings)}.`);
  const findings = await examineAll(
    withNamespace(settings, interruption.signal, (namespace, { kind }) =>
      examineNamespace(namespace, { ...settings, kind }),
    ),
    target,
  );
  if (interruption.signal.aborted) return EXIT.ok; // the only finding would be the interruption
  const ok = findings.every(({ level }) => level !== "error");
  await (out.json ? out.object({ ok, name, findings }) : print(findings, out));
  return ok ? EXIT.ok : EXIT.failed;
}

const COLOURS: Readonly<Record<Finding["level"], Colour>> = { ok: "green", warning: "yellow", error: "red" };
const LEVEL_WIDTH = 7;

async function print(findings: readonly Finding[], out: Output): Promise<void> {
  const width = Math.max(...findings.map(({ check }) => check.length));
  for (const { level, check, found, advice } of findings) {
    const state = out.paint(COLOURS[level], padEnd(level, LEVEL_WIDTH));
    await out.data(`${state}  ${padEnd(check, width)}  ${printable(found)}`);
    if (advice !== undefined) await out.data(`${" ".repeat(LEVEL_WIDTH + width + 4)}${printable(advice)}`);
  }
}
