/** The LMDB file of a directory, opened once in a process however many stores use it. */
import { closeSync, openSync, readSync } from "node:fs";
import { access, constants, mkdir, readdir, readFile, realpath, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type * as Lmdb from "lmdb";
import { HeartbitError, isHeartbitError } from "../../core/errors.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { Gate } from "./gate.ts";
import type { KeyRange } from "./keys.ts";

export interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** 0xBEEFC0DE, in the header of the first page. */
const LMDB_MAGIC = Buffer.from([0xde, 0xc0, 0xef, 0xbe]);
/** Readers at one time, over all processes: two a process, and some that died. 64 bytes each in the lock file. */
const READERS_MAX = 2000;
/** What an earlier run of the system left is deleted when nobody has written it for so long. */
const LEFTOVER_MS_MIN = 24 * 60 * 60 * 1000;

/**
 * One LMDB file.
 *
 * Writes are done by LMDB's own thread: it alone takes the lock that all processes share, after all that it shall
 * write is known, and lets go of it without waiting for the disk. So no process holds the lock while its program is
 * busy; and when one is stopped by a signal just then, the others' writes wait, but their programs go on.
 */
export class Environment {
  readonly path: string;
  readonly #db: Lmdb.RootDatabase<Buffer, Buffer>;
  readonly #gate: Gate;
  readonly #queues = new Map<string, Promise<void>>();
  #isClosed = false;

  constructor(path: string, db: Lmdb.RootDatabase<Buffer, Buffer>, gate: Gate) {
    this.path = path;
    this.#db = db;
    this.#gate = gate;
  }

  /** Runs `body`, which must not wait for anything, on one fresh view of the file. */
  view<T>(body: () => T): T {
    if (this.#isClosed)
      throw new HeartbitError("STORE_UNAVAILABLE", `The LMDB store ${this.path} is closed.`);
    this.#db.resetReadTxn();
    try {
      return body();
    } finally {
      // Let go of at once: a process that is stopped while it holds a view makes the file grow.
      this.#db.resetReadTxn();
    }
  }

  /** Inside `view`: the value of the key, and its version. */
  entry(key: Buffer): { value: Buffer; version: number } | undefined {
    const entry = this.#db.getEntry(key);
    return entry && { value: entry.value, version: entry.version ?? 0 };
  }

  /** Inside `view`: the value of the key. */
  get(key: Buffer): Buffer | undefined {
    return this.#db.get(key);
  }

  /** Inside `view`: at most `limit` entries of the range, in order. */
  range({ start, end }: KeyRange, limit: number): Entry[] {
    return [...this.#db.getRange({ start, end, limit })];
  }

  /** Inside `view`: the keys of at most `limit` entries of the range, in order. */
  keys({ start, end }: KeyRange, limit: number): Buffer[] {
    return [...this.#db.getKeys({ start, end, limit })];
  }

  /** Sets the keys to the value, in one transaction, whatever is stored. */
  put(keys: readonly Buffer[], value: Buffer): Promise<void> {
    return this.#batch(keys, (key) => this.#db.put(key, value));
  }

  /** Removes the keys, in one transaction, whatever is stored. */
  remove(keys: readonly Buffer[]): Promise<void> {
    return this.#batch(keys, (key) => this.#db.remove(key));
  }

  /**
   * In one transaction: if `guard.key` still has the version `guard.version` (undefined: still is absent), gives it the
   * value and the version `next` (undefined: removes it), and makes the changes. Whether it did.
   */
  commit(
    guard: { readonly key: Buffer; readonly version: number | undefined },
    next: { readonly value: Buffer; readonly version: number } | undefined,
    changes: Iterable<{ readonly key: Buffer; readonly value: Buffer | undefined }>,
  ): Promise<boolean> {
    const db = this.#db;
    const apply = (): void => {
      withTheRest(next === undefined ? db.remove(guard.key) : db.put(guard.key, next.value, next.version));
      for (const { key, value } of changes)
        withTheRest(value === undefined ? db.remove(key) : db.put(key, value));
    };
    const { key: head, version } = guard;
    return this.#write(() =>
      version === undefined ? db.ifNoExists(head, apply) : db.ifVersion(head, version, apply),
    );
  }

  /** Runs the tasks of one queue one after the other, so that this process does not compete with itself. */
  queue<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(name) ?? Promise.resolve();
    const run = before.then(task);
    const settled: Promise<void> = run.then(
      () => this.#leave(name, settled),
      () => this.#leave(name, settled),
    );
    this.#queues.set(name, settled);
    return run;
  }

  async #batch(keys: readonly Buffer[], act: (key: Buffer) => Promise<boolean>): Promise<void> {
    if (keys.length === 0) return;
    await this.#write(() => this.#db.batch(() => keys.forEach((key) => withTheRest(act(key)))));
  }

  async #write<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await this.#gate.write(write);
    } catch (error) {
      throw await whyNotCommitted(error);
    }
  }

  /** Forgets the queue where its last task has settled. */
  #leave(name: string, settled: Promise<void>): void {
    if (this.#queues.get(name) === settled) this.#queues.delete(name);
  }

  /** Frees what readers hold that died. */
  freeDeadReaders(): void {
    this.#db.readerCheck();
  }

  /** Waits for the writes under way. */
  async close(): Promise<void> {
    await Promise.all(this.#queues.values());
    this.#isClosed = true;
    await this.#db.close();
    this.#gate.close();
  }
}

/** One write of a transaction: it fails with all of it, which is told of the whole. */
function withTheRest(write: Promise<boolean>): void {
  write.catch(() => {});
}

/**
 * The reason of a commit that failed, as of one that found no space. It comes as a promise in the error, which rejects:
 * where nobody looked at it, it would end the program.
 */
async function whyNotCommitted(failure: unknown): Promise<unknown> {
  try {
    const reason = (failure as { commitError?: Promise<never> }).commitError;
    return await Promise.race([reason ?? failure, failure]);
  } catch (reason) {
    return reason;
  }
}

// ---- one environment a directory

interface Shared {
  readonly opened: Promise<Environment>;
  users: number;
}

const shared = new Map<string, Shared>();
/** Those that are being closed: a directory is opened again only after that. */
const closing = new Map<string, Promise<void>>();

/** Opens the directory's file, or shares it. The result of `release` lets go of it. */
export async function acquire(
  directory: string,
): Promise<{ environment: Environment; release: () => Promise<void> }> {
  const home = await makeDirectory(directory);
  let entry = shared.get(home);
  if (entry === undefined) {
    const opened = (closing.get(home) ?? Promise.resolve()).then(() => openIn(home));
    entry = { opened, users: 0 };
    shared.set(home, entry);
  }
  const own = entry;
  own.users++;
  const letGo = async (): Promise<void> => {
    if (--own.users > 0) return;
    shared.delete(home);
    const closed = own.opened.then((environment) => environment.close()).catch(() => {});
    closing.set(home, closed);
    await closed;
    if (closing.get(home) === closed) closing.delete(home);
  };
  try {
    const environment = await own.opened;
    let released: Promise<void> | undefined;
    return { environment, release: () => (released ??= letGo()) };
  } catch (error) {
    await letGo();
    throw error;
  }
}

async function openIn(home: string): Promise<Environment> {
  const { open } = await loadPackage();
  const boot = await bootId();
  const path = join(home, boot === undefined ? "heartbit.mdb" : `heartbit-${boot}.mdb`);
  try {
    const options = {
      path,
      noSubdir: true,
      keyEncoding: "binary" as const,
      encoding: "binary" as const,
      useVersions: true,
      maxReaders: READERS_MAX,
      // All of a transaction is written down before LMDB's thread takes the lock for it.
      batchStartThreshold: Infinity,
      // Else a commit that fails, as on a full disk, rejects a promise of the package's own, which ends the program.
      eventTurnBatching: false,
      // Nothing is flushed to the disk: what a crash of the system leaves behind is never read, see `bootId`.
      ...(boot === undefined ? {} : { noSync: true, overlappingSync: false }),
    };
    const gate = new Gate(`${path}-gate`);
    const db = await gate.open(() => {
      checkFile(path);
      return open<Buffer, Buffer>(options);
    });
    await deleteLeftovers(home, basename(path));
    return new Environment(path, db, gate);
  } catch (error) {
    throw openingError(path, error);
  }
}

async function loadPackage(): Promise<typeof Lmdb> {
  try {
    return await import("lmdb");
  } catch (cause) {
    const message =
      "The LMDB store needs the package lmdb, which could not be loaded: run `npm install lmdb`.";
    throw new HeartbitError("UNSUPPORTED_SERVER", message, { cause });
  }
}

/**
 * Names this run of the system, where the system tells (Linux). It is part of the file's name, so that each run
 * begins with an empty file: no process outlives its system, so nothing is lost, and a file that a crash of the
 * system has torn is never read. Undefined elsewhere: there LMDB flushes what it writes.
 */
async function bootId(): Promise<string | undefined> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).replace(/-.*/s, "");
  } catch {
    return undefined;
  }
}

/** Deletes the files of earlier runs of the system, where nobody has used them for a day. */
async function deleteLeftovers(home: string, current: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!/^heartbit-[0-9a-f]+\.mdb(-lock|-gate)?$/.test(name) || name.startsWith(current)) continue;
    const path = join(home, name);
    const isOld = await stat(path).then(
      ({ mtimeMs }) => mtimeMs < systemClock.now() - LEFTOVER_MS_MIN,
      () => false,
    );
    if (isOld) await rm(path, { recursive: true, force: true });
  }
}

// ---- what may be wrong with the directory

async function makeDirectory(directory: string): Promise<string> {
  if (directory === "" || directory.includes("\0"))
    throw new HeartbitError("INVALID_OPTION", `The LMDB directory ${JSON.stringify(directory)} is no path.`);
  const path = resolve(directory);
  try {
    await makeDirectories(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return await realpath(path);
  } catch (error) {
    throw openingError(path, error);
  }
}

/** One level at a time: with `recursive: true` Node tries for ever where a file system takes no folders, as in /proc. */
async function makeDirectories(path: string): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST" || !(await stat(path)).isDirectory()) throw error;
    });
  try {
    await make();
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || parent === path) throw error;
    await makeDirectories(parent);
    await make();
  }
}

/** LMDB itself takes the whole process down with it when it is given another kind of file. */
function checkFile(path: string): void {
  const header = Buffer.alloc(32);
  let length: number;
  try {
    const file = openSync(path, "r");
    length = readSync(file, header);
    closeSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (length > 0 && !header.includes(LMDB_MAGIC))
    throw new HeartbitError("INVALID_OPTION", `${path} is no LMDB file.`);
}

/** What the reason was, as LMDB and the system name it. */
const REASONS: readonly (readonly [RegExp, "NOT_PERMITTED" | "INVALID_OPTION", string])[] = [
  [/EACCES|EPERM|EROFS|permission denied|not permitted|read-only/i, "NOT_PERMITTED", "may not be written"],
  [/ENOTDIR|EEXIST|not a directory/i, "INVALID_OPTION", "is not a directory"],
  [/ENAMETOOLONG|too long/i, "INVALID_OPTION", "is too long a path"],
  [/MDB_INVALID|MDB_VERSION_MISMATCH|MDB_CORRUPTED/, "INVALID_OPTION", "is no LMDB file of this version"],
  [/^ENOENT/, "INVALID_OPTION", "cannot be made"],
];

function openingError(path: string, cause: unknown): HeartbitError {
  if (isHeartbitError(cause)) return cause;
  const { code = "", message = String(cause) } = cause as Partial<NodeJS.ErrnoException>;
  for (const [pattern, errorCode, what] of REASONS) {
    if (pattern.test(`${code} ${message}`))
      return new HeartbitError(errorCode, `${path} ${what}.`, { cause });
  }
  return new HeartbitError("STORE_UNAVAILABLE", `${path} could not be opened as LMDB store: ${message}.`, {
    cause,
  });
}
