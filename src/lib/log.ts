import { debuglog } from "node:util";
import { callSafely } from "./call-safely.ts";

/**
 * Receives log messages: one line that ends with the text of the caught error if there is one, and the error itself,
 * for its stack. `console`, winston and bunyan take them as they are; pino, which would drop the error, gets it first.
 */
export interface Logger {
  /** Details for debugging. */
  debug(message: string, error?: unknown): void;
  /** Events that an operator may want to know about. */
  info(message: string, error?: unknown): void;
  /** Faults that pass by themselves. */
  warn(message: string, error?: unknown): void;
  /** Faults that somebody must fix. */
  error(message: string, error?: unknown): void;
}

const debug = debuglog("heartbit");

/**
 * @internal Wraps the caller's logger so that it cannot throw, and puts the namespace before each message. Also logs
 * everything to stderr if `NODE_DEBUG` includes `heartbit`.
 */
export function makeLog(name: string, logger: Partial<Logger> | undefined): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, error?: unknown): void => {
      const line = error === undefined ? message : `${message}: ${describe(error)}`;
      if (debug.enabled) debug("%s: %s", name, line);
      const args = argumentsFor(logger, `heartbit ${name}: ${line}`, error);
      callSafely(
        () => logger?.[level]?.(...args),
        [],
        () => {},
      ); // a failing logger does no harm
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** pino alone has `setBindings`. It writes its first argument as fields, and `err` with type, message and stack. */
function argumentsFor(
  logger: object | undefined,
  line: string,
  error: unknown,
): [message: string, error?: unknown] {
  if (error === undefined) return [line];
  const isPino = logger !== undefined && "setBindings" in logger;
  return isPino ? ([{ err: error }, line] as unknown as [string, unknown]) : [line, error];
}

/** @internal An error as it appears in a message: its code if it has one, and its sentence. */
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
    else this.#log.warn(this.#message, error);
    this.#latest = failure;
  }

  /** It has succeeded. */
  end(): void {
    this.#latest = undefined;
  }

  /** Acts, and notes and returns whether that failed. Never rejects. */
  async noteIn(act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      this.end();
      return false;
    } catch (error) {
      this.note(error);
      return true;
    }
  }
}
