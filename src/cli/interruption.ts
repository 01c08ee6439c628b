/**
 * What ends a command from outside.
 *
 *   calm --a signal, or the reader of stdout has gone--> ending --a second signal--> the process ends at once
 *
 * A command that runs another hands the signals on to it instead (`divert`). Of those that are handed on besides,
 * SIGQUIT ends what runs no other for a while, and the rest is passed over.
 */
import { constants } from "node:os";

const ENDING: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** What is handed on besides, as far as the system knows it. */
const HANDED_ON: readonly NodeJS.Signals[] =
  process.platform === "win32" ? [] : ["SIGQUIT", "SIGUSR1", "SIGUSR2"];

/** They ask nobody to end. */
const PASSED_OVER = new Set<NodeJS.Signals>(["SIGUSR1", "SIGUSR2"]);

/** What a shell says of a command that a signal has ended: 130 for SIGINT. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

export class Interruption {
  readonly #controller = new AbortController();
  #exitCode: number | undefined;
  #diverted: ((signal: NodeJS.Signals) => void) | undefined;
  readonly #hear = (signal: NodeJS.Signals): void => {
    if (this.#diverted !== undefined) this.#diverted(signal);
    else if (PASSED_OVER.has(signal)) return;
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

  /** What an interrupted command exits with; undefined while it was not. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Ends the command, which then exits with this code. */
  end(exitCode: number): void {
    this.#exitCode ??= exitCode;
    this.#controller.abort();
  }

  /** Resolves when the command must end. */
  ended(): Promise<void> {
    const { signal } = this;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  /** From now on signals go to `receive` and end nothing here, until the result is called. */
  divert(receive: (signal: NodeJS.Signals) => void): () => void {
    this.#diverted = receive;
    for (const signal of HANDED_ON) process.off(signal, this.#hear).on(signal, this.#hear);
    // They are heard from now on: without a listener each of them would end the process at once.
    return () => (this.#diverted = undefined);
  }
}
