/** `heartbit.config.json` in the current directory: settings that a project's commands need not repeat. */
import { readFileSync } from "node:fs";
import { parseDuration } from "./duration.ts";
import { UsageError } from "./errors.ts";
import { decodeText } from "./text.ts";

export const CONFIG_FILE = "heartbit.config.json";

export interface FileSettings {
  readonly store?: string;
  readonly name?: string;
  /** In ms. */
  readonly period?: number;
}

/** The contents of the file; empty if there is none. Throws `UsageError` if it is invalid. */
export function readConfigFile(path = CONFIG_FILE): FileSettings {
  let text: string;
  try {
    text = decodeText(readFileSync(path));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return {};
    throw new UsageError(`${path} cannot be read (${String(code ?? error)}).`);
  }
  try {
    return check(JSON.parse(text) as unknown);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(
      `${path} is not JSON: it must be an object with some of "store", "name" and "period".`,
    );
  }
}

function check(said: unknown): FileSettings {
  if (typeof said !== "object" || said === null || Array.isArray(said)) {
    throw new UsageError(`${CONFIG_FILE} must hold an object with some of "store", "name" and "period".`);
  }
  const { store, name, period, ...unknown } = said as Record<string, unknown>;
  const [other] = Object.keys(unknown);
  if (other !== undefined) {
    const known = '"store", "name" and "period"';
    throw new UsageError(`${CONFIG_FILE} has ${JSON.stringify(other)}, but may have ${known} only.`);
  }
  return {
    ...(store === undefined ? {} : { store: textOf("store", store) }),
    ...(name === undefined ? {} : { name: textOf("name", name) }),
    ...(period === undefined ? {} : { period: duration(period) }),
  };
}

function textOf(name: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new UsageError(`"${name}" in ${CONFIG_FILE} must be a non-empty string.`);
}

function duration(value: unknown): number {
  const ms = typeof value === "number" ? value : parseDuration(String(value));
  if (ms !== undefined) return ms;
  throw new UsageError(
    `"period" in ${CONFIG_FILE} is ${JSON.stringify(value)}, but must be a time like "5s".`,
  );
}
