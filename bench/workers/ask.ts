/** A process that answers each message with one. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export class Worker<Question extends object> {
  readonly #child: ChildProcess;

  /** `script`: the compiled file's name, in this folder. */
  constructor(script: string, execArgv: readonly string[] = []) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.#child = fork(path, { execArgv: ["--enable-source-maps", ...execArgv] });
  }

  async ask<Answer>(question: Question): Promise<Answer> {
    const ended = new AbortController();
    const exit = once(this.#child, "exit", { signal: ended.signal }).then(([code, signal]) => {
      throw new Error(`the process has ended, with ${code ?? signal}`);
    });
    exit.catch(() => {});
    try {
      this.#child.send(question);
      const [answer] = (await Promise.race([
        once(this.#child, "message", { signal: ended.signal }),
        exit,
      ])) as [Answer];
      return answer;
    } finally {
      ended.abort();
    }
  }

  /** Ends it as a crash does. */
  async kill9(): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  async stop(): Promise<void> {
    if (!this.#child.connected) return;
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}
