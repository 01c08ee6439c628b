/** The demo's worker processes, seen from the demo. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../lib/system-clock.ts";
import { CommandError } from "../errors.ts";
import type { Message, Order } from "./protocol.ts";

export type Done = Extract<Message, { kind: "done" }>;

interface Waiting {
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerProcess {
  readonly key: string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #lapsed: (worker: WorkerProcess, ms: number) => void;
  readonly #waiting: Waiting[] = [];

  /** Calls `lapsed` when the worker reports that it could not ping for that many ms. */
  constructor(key: string, lapsed: (worker: WorkerProcess, ms: number) => void) {
    this.#lapsed = lapsed;
    this.key = key;
    const child = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child = child;
    child.on("message", (message: Message) => this.#hear(message));
    child.on("error", (error) => this.#fail(error.message));
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#fail(`it ended with ${signal ?? `status ${code}`}`);
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the worker has carried the order out. Rejects if it could not, or has ended. */
  order(order: Order): Promise<Done> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.isRunning) this.#fail("it has ended");
      else {
        this.#child.send(order, (error) => {
          if (error !== null) this.#fail(error.message);
        });
      }
    });
  }

  /** Sends a signal. Returns when, by the machine's wall clock, in ms. */
  signal(signal: NodeJS.Signals): number {
    const atMs = systemClock.now();
    this.#child.kill(signal);
    return atMs;
  }

  #hear(message: Message): void {
    if (message.kind === "lapse") this.#lapsed(this, message.toMs - message.fromMs);
    else if (message.kind === "failed") this.#fail(message.reason);
    else this.#waiting.shift()?.resolve(message);
  }

  #fail(reason: string): void {
    const error = new CommandError(`${this.key} failed: ${reason}`);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
