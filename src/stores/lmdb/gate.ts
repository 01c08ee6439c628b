/**
 * Keeps the opening of an LMDB file apart from the writes of other processes.
 *
 * The LMDB inside the package `lmdb` (3.5) has a defect that was mended upstream as ITS#9496: who opens a file while
 * another commits may set the file back to before that commit, which is then lost. LMDB's own lock does not cover the
 * opening, so this does. Beside the file lies a directory with two others:
 *
 *   writers/<name>   one file for each process that has it open; its one byte says whether a write is under way
 *   openers/<name>   one file for each process that is just opening it
 *
 * A writer raises its byte, and then looks for openers: if there is one, it lowers the byte again and waits. An opener
 * creates its file, and then waits until no byte is raised. So, in whatever order they come, one of them sees the
 * other. It costs a write seven microseconds. Who died is passed over, known by its process number; so is who has been
 * in the way for longer than is possible without having been stopped.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../../system-clock.ts";

const POLL_MS = 2;
/** Opening and writing take milliseconds: who is in the way for longer is stopped, and not in the middle of it. */
const PATIENCE_MS = 2000;

const RAISED = Buffer.from("1");
const LOWERED = Buffer.from("0");

export class Gate {
  readonly #writers: string;
  readonly #openers: string;
  /** This process among the others: when it came, its process number and whose numbers these are. */
  readonly #name: string;
  readonly #ignored = new Set<string>();
  #file: number | undefined;
  #writes = 0;

  constructor(directory: string) {
    this.#writers = join(directory, "writers");
    this.#openers = join(directory, "openers");
    const since = systemClock.now().toString().padStart(16, "0");
    this.#name = [since, pidNamespace(), process.pid, randomBytes(4).toString("hex")].join("-");
  }

  /** Runs `open`, which must not wait for anything, while nobody else opens or writes. From then on it may write. */
  async open<T>(open: () => T): Promise<T> {
    for (const directory of [this.#writers, this.#openers]) mkdirSync(directory, { recursive: true });
    const own = join(this.#openers, this.#name);
    closeSync(openSync(own, "wx"));
    try {
      await this.#whileAny(() => this.#inTheWay());
      this.#file = openSync(join(this.#writers, this.#name), "wx+");
      return open();
    } finally {
      rmSync(own, { force: true });
    }
  }

  /** Does the write while nobody opens. */
  async write<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#writes++ === 0) this.#mark(RAISED);
      try {
        if (this.#others(this.#openers).length === 0) return await write();
      } finally {
        if (--this.#writes === 0) this.#mark(LOWERED);
      }
      await this.#whileAny(() => this.#others(this.#openers));
    }
  }

  close(): void {
    if (this.#file === undefined) return;
    closeSync(this.#file);
    this.#file = undefined;
    rmSync(join(this.#writers, this.#name), { force: true });
  }

  #mark(byte: Buffer): void {
    if (this.#file !== undefined) writeSync(this.#file, byte, 0, 1, 0);
  }

  /** Who is in the way of this opener: those who write, and those who began to open before it. */
  #inTheWay(): string[] {
    const openers = this.#others(this.#openers).filter((name) => name < this.#name);
    const writers = this.#others(this.#writers).filter((name) => isRaised(join(this.#writers, name)));
    return [...openers, ...writers];
  }

  /** Who is named in the directory, without this process, the dead and the ignored. */
  #others(directory: string): string[] {
    return readdirSync(directory).filter((name) => {
      if (name === this.#name || this.#ignored.has(name)) return false;
      if (!isDead(name)) return true;
      rmSync(join(directory, name), { force: true });
      return false;
    });
  }

  /** Resolves when there are none, or when those that there are have been there for too long. */
  async #whileAny(find: () => readonly string[]): Promise<void> {
    const begun = systemClock.monotonic();
    for (let found = find(); found.length > 0; found = find()) {
      if (systemClock.monotonic() - begun > PATIENCE_MS) found.forEach((name) => this.#ignored.add(name));
      await new Promise<void>((resolve) => void systemClock.setTimer(resolve, POLL_MS));
    }
  }
}

function isRaised(path: string): boolean {
  try {
    return readFileSync(path).equals(RAISED);
  } catch {
    return false; // closed meanwhile
  }
}

/** Whether the process of that name is known to have ended. One of another container is not known here. */
function isDead(name: string): boolean {
  const [, namespace, pid] = name.split("-");
  if (namespace !== pidNamespace() || Number(pid) === process.pid) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

let namespaceKnown: string | undefined;

/** Says whose process numbers these are: containers have their own. */
function pidNamespace(): string {
  if (namespaceKnown === undefined) {
    try {
      namespaceKnown = readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
    } catch {
      namespaceKnown = "0";
    }
  }
  return namespaceKnown;
}
