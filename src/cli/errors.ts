/** How the command ends: its exit codes, and one line for each error. */
import { CommanderError } from "commander";
import { Dropped, type ErrorCode, isHeartbitError } from "../core/errors.ts";
import { printable, withoutPasswords } from "./text.ts";

export const EXIT = { ok: 0, failed: 1, usage: 2, notSo: 3, notExecutable: 126, notFound: 127 } as const;

/** The command line is wrong: the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A failure with a complete message: no advice is added. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  CONFIG_MISMATCH: "Choose another --name.",
  STORE_UNAVAILABLE: "Is it running, and is --store (or HEARTBIT_STORE) right?",
  NOT_PERMITTED: "Check the user, its password, its database (authSource) and its rights in --store.",
};

const ADVICE_ON_SQLITE: typeof ADVICE = {
  ...ADVICE,
  STORE_UNAVAILABLE: "Is --store (or HEARTBIT_STORE) right?",
  NOT_PERMITTED: "Give this user the rights to the directory, or choose another --store.",
};

const USAGE = new Set<ErrorCode>(["INVALID_KEY", "INVALID_OPTION", "INVALID_META"]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof UsageError) return EXIT.usage;
  return isHeartbitError(error) && USAGE.has(error.code) ? EXIT.usage : EXIT.failed;
}

/** One line: what is wrong with the store (if it is known) and what to do. Never shows a password. */
export function explain(error: unknown, store?: string): string {
  const advice = adviceOn(error, store);
  return advice === undefined ? sentenceOf(error) : `${sentenceOf(error)} ${advice}`;
}

/** What is wrong, on one line without control characters. Never shows a password. */
export function sentenceOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  const line = said
    .replace(/\s*\n\s*/g, " ")
    .replace(/^error: /, "")
    .trim();
  const sentence = printable(withoutPasswords(line));
  return /[.?!…)]$/.test(sentence) ? sentence : `${sentence}.`;
}

/** What to do about it, if that is known. */
export function adviceOn(error: unknown, store = ""): string | undefined {
  if (!isHeartbitError(error) || error instanceof Dropped) return undefined;
  if (error.code === "UNSUPPORTED_SERVER") return adviceOnInstalling(error.message);
  if (!store.startsWith("sqlite:")) return ADVICE[error.code];
  return /disk is full|ENOSPC/.test(error.message) ? "Make room on that disk." : ADVICE_ON_SQLITE[error.code];
}

/** A package that is installed in the current directory is not found by a heartbit that is not. */
export function adviceOnInstalling(
  message: string,
  here: string = import.meta.url,
  [, , command = ""]: readonly string[] = process.argv,
): string | undefined {
  const wanted = /npm install ([^\s`]+)/.exec(message)?.[1];
  if (wanted === undefined) return undefined;
  const name = /^[a-z]*$/.test(command) ? command : "";
  const advice = wanted === "mongodb" ? [] : ["For MongoDB, set --store (or HEARTBIT_STORE)."];
  if (here.includes("/_npx/"))
    advice.push(`For npx, write: npx -p heartbit -p ${wanted} heartbit ${name}`.trim());
  if (here.includes("/lib/node_modules/"))
    advice.push(`For this heartbit, write: npm install --global ${wanted}`);
  return advice.length === 0 ? undefined : advice.join(" ");
}
