/**
 * Keeps the opening of an LMDB file apart from the writes of other processes.
 *
 * The LMDB inside the package `lmdb` (3.5) has a defect that was mended upstream as ITS#9496: who opens a file while
 * another commits may set the file back to before that commit, which is then lost. LMDB's own lock does not cover the
 * opening, so this does. Beside the file lies a directory with two others:
 *
 *   writers/<name>   one file for each process that has it open; its one byte says whether a write is under way
 *   openers/<name>   one file for each process that wants to open it; its one byte says whether it just does so
 *
 * Who wants to do either raises its byte, and then looks for others: if one is in its way, it lowers the byte again and
 * waits. So, in whatever order they come, one of them sees the other. In the way of a writer are all openers; in the way
 * of an opener are the raised bytes, and the openers that came before it. It costs a write seven microseconds.
 *
 * Who died is passed over, known by its process number; so is who has been in the way, in its turn, for longer than is
 * possible without having been stopped.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../../lib/system-clock.ts";

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
    for (const name of this.#others(this.#writers)) this.#isGone(this.#writers, name); // who was killed leaves its file
    try {
      writeFileSync(own, LOWERED, { flag: "wx" });
      for (;;) {
        await this.#whileAny(() => this.#inTheWay(), this.#name);
        writeFileSync(own, RAISED);
        if (this.#inTheWay().length === 0) break;
        writeFileSync(own, LOWERED);
      }
      this.#file = openSync(join(this.#writers, this.#name), "wx+");
      return open();
    } catch (error) {
      this.close();
      throw error;
    } finally {
      rmSync(own, { force: true }); // also where it could not be written: on a full disk it is there, and empty
    }
  }

  /** Does the write while nobody opens. */
  async write<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#writes++;
      try {
        if (this.#writes === 1) this.#mark(RAISED); // on a full disk it may fail
        if (this.#whoseTurn().length === 0) return await write();
      } finally {
        if (--this.#writes === 0) this.#mark(LOWERED);
      }
      await this.#whileAny(() => this.#whoseTurn());
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

  /** Who is in the way of this opener: of those who came before it the one whose turn it is; then whose byte is raised. */
  #inTheWay(): string[] {
    const earlier = this.#whoseTurn(this.#name);
    if (earlier.length > 0) return earlier;
    return [this.#openers, this.#writers].flatMap((directory) =>
      this.#others(directory).filter(
        (name) => isRaised(join(directory, name)) && !this.#isGone(directory, name),
      ),
    );
  }

  /** The first of the openers; nobody where there are none. Many wait for one, so of the others nothing is asked. */
  #whoseTurn(before?: string): string[] {
    const first = this.#queue(before).find((name) => !this.#isGone(this.#openers, name));
    return first === undefined ? [] : [first];
  }

  /** The other openers, or those of them that came before one, in the order of their turns. */
  #queue(before?: string): string[] {
    const openers = this.#others(this.#openers).toSorted();
    return before === undefined ? openers : openers.filter((name) => name < before);
  }

  /** Who is named in the directory, without this process and the ignored. */
  #others(directory: string): string[] {
    return readdirSync(directory).filter((name) => name !== this.#name && !this.#ignored.has(name));
  }

  /** Whether it has died; then its file goes too. */
  #isGone(directory: string, name: string): boolean {
    if (!isDead(name)) return false;
    rmSync(join(directory, name), { force: true });
    return true;
  }

  /**
   * Resolves when there are none but those that have been there for too long. The more have their turn before, the more
   * seldom it looks: of many that wait only the next ones are busy with it.
   */
  async #whileAny(find: () => readonly string[], before?: string): Promise<void> {
    let since = new Map<string, number>();
    for (let found = find(); found.length > 0; found = find()) {
      const now = systemClock.monotonic();
      since = new Map(found.map((name) => [name, since.get(name) ?? now]));
      for (const [name, began] of since) if (now - began > PATIENCE_MS) this.#ignored.add(name);
      const pollMs = POLL_MS * Math.max(1, this.#queue(before).length);
      await new Promise<void>((resolve) => void systemClock.setTimer(resolve, pollMs));
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
