/**
 * Events that end a command from outside.
 *
 *   calm --a signal, or the reader of stdout has gone--> ending --a second signal--> the process ends at once
 *
 * A command that runs another one passes signals on to it instead (`divert`). Of the additional signals, SIGQUIT ends a
 * command while it runs no other one, and the rest are ignored.
 */
import { constants } from "node:os";
import { onAbort } from "../lib/abort.ts";

const ENDING: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** Additional signals to pass on, as far as the system has them. */
const ALSO_PASSED_ON: readonly NodeJS.Signals[] =
  process.platform === "win32" ? [] : ["SIGQUIT", "SIGUSR1", "SIGUSR2"];

/** Signals that do not ask a command to end. */
const IGNORED = new Set<NodeJS.Signals>(["SIGUSR1", "SIGUSR2"]);

/** The exit code of a shell for a command that a signal ended: 130 for SIGINT. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

export class Interruption {
  readonly #controller = new AbortController();
  #exitCode: number | undefined;
  #diverted: ((signal: NodeJS.Signals) => void) | undefined;
  readonly #hear = (signal: NodeJS.Signals): void => {
    if (this.#diverted !== undefined) this.#diverted(signal);
    else if (IGNORED.has(signal)) return;
    else if (this.signal.aborted) process.exit(exitCodeOfSignal(signal));
    else this.end(exitCodeOfSignal(signal));
  };

  constructor() {
    for (const signal of ENDING) process.on(signal, this.#hear);
  }

  /** Aborted when the command must end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code of an interrupted command; undefined if it was not interrupted. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Ends the command, which then exits with this code. */
  end(exitCode: number): void {
    this.#exitCode ??= exitCode;
    this.#controller.abort();
  }

  /** Resolves when the work has, or when the command must end. Rejects if the work does before that. */
  orEnded(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const stopListening = onAbort(this.signal, resolve);
      work.finally(stopListening).then(() => resolve(), reject);
    });
  }

  /** From now on signals go to `receive` and do not end the command, until the returned function is called. */
  divert(receive: (signal: NodeJS.Signals) => void): () => void {
    this.#diverted = receive;
    for (const signal of ALSO_PASSED_ON) process.off(signal, this.#hear).on(signal, this.#hear);
    // Listen from now on: without a listener each of these signals would end the process at once.
    return () => (this.#diverted = undefined);
  }
}
