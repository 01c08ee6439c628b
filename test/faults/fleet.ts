/** The processes: started, crashed, paused, told what to do. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Gone, NemesisLine } from "./log.ts";
import type { Order, WorkerSettings } from "./worker.ts";

const SCRIPT = fileURLToPath(new URL("worker.js", import.meta.url));
/** Fifty of them must fit into a small machine. */
const NODE_FLAGS = ["--max-old-space-size=64", "--max-semi-space-size=1"];
/** The links go through this process: on a machine that is full they must not wait for their turn behind the fleet. */
const YIELDS_BY = 8;
const PRIORITY_MIN = 19;

type Unstamped<Line> = Line extends NemesisLine ? Omit<Line, "t"> : never;
export type Note = (line: Unstamped<NemesisLine>) => void;

export interface MemberSettings extends Omit<WorkerSettings, "log"> {
  readonly name: string;
  /** Where its logs go. */
  readonly directory: string;
  /** The library that fakes its wall clock, where it has one. */
  readonly faketime: string | undefined;
}

/** A place in the fleet: one process after the other, under one name. */
export class Member {
  readonly name: string;
  readonly settings: MemberSettings;
  readonly #note: Note;
  readonly #wallFile: string;
  #life = 0;
  #process: ChildProcess | undefined;
  #ready: Promise<unknown> = Promise.resolve();
  #how: Gone = "exited";
  #pauses = 0;

  constructor(settings: MemberSettings, note: Note) {
    this.name = settings.name;
    this.settings = settings;
    this.#note = note;
    this.#wallFile = join(settings.directory, `${settings.name}.wall`);
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get isPaused(): boolean {
    return this.#pauses > 0;
  }

  /** Resolves when it holds its keys. */
  get ready(): Promise<unknown> {
    return this.#ready;
  }

  start(): void {
    if (this.#process !== undefined) return;
    const { name, directory, faketime, ...settings } = this.settings;
    const life = ++this.#life;
    this.#how = "exited";
    this.#pauses = 0;
    this.stepWall(0);
    this.#note({ e: "born", name, life });
    const log = join(directory, `${name}.${life}.jsonl`);
    const clock = {
      LD_PRELOAD: faketime,
      FAKETIME_TIMESTAMP_FILE: this.#wallFile,
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_CACHE_DURATION: "1",
    };
    const env = { ...process.env, ...(faketime === undefined ? {} : clock) };
    const worker = fork(SCRIPT, [JSON.stringify({ ...settings, log })], { execArgv: NODE_FLAGS, env });
    this.#process = worker;
    if (worker.pid !== undefined) setPriority(worker.pid, Math.min(PRIORITY_MIN, getPriority() + YIELDS_BY));
    worker.on("error", () => {}); // a message to one that has just ended
    this.#ready = once(worker, "message");
    this.#ready.catch(() => {});
    worker.on("exit", () => {
      this.#process = undefined;
      // What libfaketime leaves of a process that was killed.
      for (const left of ["faketime_shm", "sem.faketime_sem"])
        rmSync(`/dev/shm/${left}_${worker.pid}`, { force: true });
      // A crash is noted when it is done.
      if (this.#how !== "crashed") this.#note({ e: "gone", name, life, how: this.#how });
    });
  }

  /** Resolves when the process has ended. */
  async crash(): Promise<void> {
    const crashed = this.#process;
    if (crashed === undefined) return;
    const exited = once(crashed, "exit");
    if (this.#how !== "crashed") {
      this.#how = "crashed";
      this.#note({ e: "gone", name: this.name, life: this.#life, how: "crashed" });
    }
    crashed.kill("SIGKILL");
    await exited;
  }

  close(linger: boolean): void {
    this.#how = "closed";
    this.tell({ do: "close", linger });
  }

  /** The result lets it go on. */
  pause(): () => void {
    const paused = this.#process;
    this.#pauses++;
    paused?.kill("SIGSTOP");
    return () => {
      if (paused !== this.#process) return;
      this.#pauses--;
      if (this.#pauses === 0) paused?.kill("SIGCONT");
    };
  }

  tell(order: Order): void {
    if (this.#process?.connected === true) this.#process.send(order, () => {});
  }

  /** Sets its wall clock so far from the machine's. */
  stepWall(seconds: number): void {
    if (this.settings.faketime === undefined) return;
    writeFileSync(`${this.#wallFile}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    renameSync(`${this.#wallFile}.new`, this.#wallFile);
  }
}
