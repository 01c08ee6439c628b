import { debuglog } from "node:util";
import { callSafely } from "../../lib/call-safely.ts";

/** Where heartbit says what it does. Each takes one line; `error` comes with what was caught, where something was. */
export interface Logger {
  /** What happens, step by step. */
  debug(message: string, error?: unknown): void;
  /** What an operator may want to know. */
  info(message: string, error?: unknown): void;
  /** What went wrong, and heals by itself. */
  warn(message: string, error?: unknown): void;
  /** What somebody must mend. */
  error(message: string, error?: unknown): void;
}

const debug = debuglog("heartbit");

/**
 * @internal The caller's logger, made safe, with the namespace before each message; and everything to stderr besides
 * where `NODE_DEBUG` has `heartbit`.
 */
export function makeLog(name: string, logger: Partial<Logger> | undefined): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, error?: unknown): void => {
      if (debug.enabled) debug("%s: %s%s", name, message, error === undefined ? "" : ` (${describe(error)})`);
      const line = `heartbit ${name}: ${message}`;
      callSafely(
        () => logger?.[level]?.(line, error),
        [],
        () => {},
      ); // a logger that fails hurts nobody
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** @internal An error in a message: its code where it has one, and its sentence. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string"
    ? `${error.code}: ${error.message}`
    : error.message;
}

/** A failure that recurs for as long as its cause lasts: it is a warning once, and again when it is another. */
export class RecurringFailure {
  readonly #log: Logger;
  readonly #message: string;
  #latest: string | undefined;

  constructor(log: Logger, message: string) {
    this.#log = log;
    this.#message = message;
  }

  note(error: unknown): void {
    const failure = describe(error);
    if (failure === this.#latest) this.#log.debug(this.#message, error);
    else this.#log.warn(`${this.#message}: ${failure}`, error);
    this.#latest = failure;
  }

  /** It has succeeded. */
  end(): void {
    this.#latest = undefined;
  }
}
