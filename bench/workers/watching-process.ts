/** The parent's side of `watching.ts`. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { PeerName } from "../peers/index.ts";
import type { FromWatching, Watch } from "./watching.ts";

export class WatchingProcess {
  readonly #child: ChildProcess;
  /** Who waits to hear of a change, by peer, key and state. */
  readonly #waiting = new Map<string, (at: number[]) => void>();
  #answered: (message: FromWatching) => void = () => {};

  constructor() {
    this.#child = fork(fileURLToPath(new URL("watching.js", import.meta.url)));
    this.#child.on("message", (message: FromWatching) => {
      if (message.kind === "told") this.#told(message.peer, message.key, message.alive, message.at);
      else this.#answered(message);
    });
  }

  /** Makes it watch as well. Resolves when it will miss nothing. */
  async watch(watch: Watch): Promise<void> {
    await this.#ask(watch);
  }

  /** The processor time that it has used, in ms. */
  async cpuMs(): Promise<number> {
    const answer = await this.#ask("cpu");
    return answer.kind === "cpu" ? answer.ms : NaN;
  }

  /** Resolves, when all its watchers have been told, with the moment of each. Call it before the change is made. */
  told(peer: PeerName, key: string, alive: boolean): Promise<number[]> {
    return new Promise((resolve) => this.#waiting.set(`${peer} ${key} ${alive}`, resolve));
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, "exit");
  }

  #told(peer: PeerName, key: string, alive: boolean, at: number[]): void {
    const change = `${peer} ${key} ${alive}`;
    this.#waiting.get(change)?.(at);
    this.#waiting.delete(change);
  }

  #ask(message: Watch | "cpu"): Promise<FromWatching> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      this.#child.send(message);
    });
  }
}
