/** One server process with its storage, that can be ended, killed, paused and started again at the same address. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { listen } from "./loopback.ts";

const GUARD = fileURLToPath(new URL("guard.mjs", import.meta.url));
/** How long a server may take to end in good order. */
const GRACE_MS = 3000;
const OUTPUT_MAX = 4000;

/** What to run: `args` for the given port and storage. */
export interface Command {
  readonly path: string;
  readonly args: (port: number, storage: string) => readonly string[];
}

interface Running {
  readonly pid: number;
  readonly ended: Promise<void>;
}

export class ServerProcess {
  readonly port: number;
  /** Removed when it is stopped. */
  readonly directory: string;
  #command: Command;
  #running: Running | undefined;
  #output = "";

  static async start(command: Command): Promise<ServerProcess> {
    const directory = await mkdtemp(join(tmpdir(), "heartbit-server-"));
    const server = new ServerProcess(command, await freePort(), directory);
    await server.restart();
    return server;
  }

  private constructor(command: Command, port: number, directory: string) {
    this.#command = command;
    this.port = port;
    this.directory = directory;
  }

  /** Of the server; throws when it is not running. */
  get pid(): number {
    if (this.#running === undefined) throw new Error(`The server is not running. It said: ${this.#output}`);
    return this.#running.pid;
  }

  /** Starts it, after ending it in good order where it runs; with another command, where one is given. */
  async restart(command = this.#command): Promise<void> {
    await this.#end("SIGTERM");
    this.#command = command;
    this.#output = "";
    const args = [GUARD, this.directory, command.path, ...command.args(this.port, this.directory)];
    // Detached: an interrupt from the terminal goes to the tests, and reaches the server by way of the guard.
    const guard = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    const ended = new Promise<void>((resolve) => {
      guard.on("close", () => {
        this.#running = undefined;
        resolve();
      });
    });
    guard.stdin.on("error", () => {}); // it has ended
    const pid = await new Promise<number>((resolve, reject) => {
      for (const stream of [guard.stdout, guard.stderr])
        stream.on("data", (data: Buffer) => {
          this.#output = (this.#output + data.toString()).slice(-OUTPUT_MAX);
          const { 1: said } = /^pid: (\d+)$/m.exec(this.#output) ?? [];
          if (said !== undefined) resolve(Number(said));
        });
      void ended.then(() => reject(new Error(`${command.path} did not start: ${this.#output}`)));
    });
    this.#running = { pid, ended };
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  async kill9(): Promise<void> {
    await this.#end("SIGKILL");
  }

  pause(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  resume(): void {
    process.kill(this.pid, "SIGCONT");
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    try {
      process.kill(running.pid, signal);
      process.kill(running.pid, "SIGCONT"); // a paused process takes no other signal but SIGKILL
    } catch {
      // It has ended already.
    }
    // The stand-in in Python waits for its clients to go, and they wait for it.
    const kill = setTimeout(() => {
      try {
        process.kill(running.pid, "SIGKILL");
      } catch {
        // It has ended just now.
      }
    }, GRACE_MS);
    await running.ended;
    clearTimeout(kill);
  }
}

async function freePort(): Promise<number> {
  const { address, stop } = await listen(() => {});
  await stop();
  return Number(address.split(":")[1]);
}
