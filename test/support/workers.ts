/** Real processes that hold keys. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";
import type { PresenceOptions } from "../../src/index.ts";

const SCRIPT = fileURLToPath(new URL("worker.mjs", import.meta.url));

export class Worker {
  readonly process: ChildProcess;
  /** What it has told, in order. */
  readonly events: string[] = [];
  #vouchedUntil = Number.NaN;
  readonly #waiting = new Map<string, () => void>();

  private constructor(target: string, options: PresenceOptions, keys: readonly string[]) {
    this.process = fork(SCRIPT, [inject("built"), target, JSON.stringify(options), ...keys]);
    this.process.on("message", ({ event, until }: { event: string; until?: number }) => {
      this.events.push(event);
      this.#vouchedUntil = until ?? this.#vouchedUntil;
      this.#waiting.get(event)?.();
    });
  }

  /** Resolves when its keys are held. */
  static async start(target: string, options: PresenceOptions, ...keys: string[]): Promise<Worker> {
    const worker = new Worker(target, options, keys);
    await worker.told("started");
    return worker;
  }

  /** Resolves when it tells the event, from now on or before. */
  async told(event: string): Promise<void> {
    if (this.events.includes(event)) return;
    const exited = once(this.process, "exit").then(() => {
      throw new Error(`The worker exited before it told ${event}.`);
    });
    await Promise.race([new Promise<void>((resolve) => this.#waiting.set(event, resolve)), exited]);
    exited.catch(() => {});
  }

  async tell(what: "stop" | "kill" | "close"): Promise<void> {
    this.process.send(what);
    await this.told(what);
  }

  /** Until when it is vouched for, as it says itself: a wall time in ms. */
  async vouchedUntil(): Promise<number> {
    this.events.splice(0, this.events.length, ...this.events.filter((event) => event !== "vouched"));
    this.process.send("vouched");
    await this.told("vouched");
    return this.#vouchedUntil;
  }

  /** Ends it with -9, if it has not ended. */
  async crash(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}
