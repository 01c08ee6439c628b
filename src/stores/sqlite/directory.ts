/**
 * The directory of a store, and the inner one that has the files:
 *
 *   <home>/heartbit-<format>-<run of the system>/store.sqlite   the file, and what SQLite keeps beside it (-wal, -shm)
 *                                                bell           written to after each change: feeds listen to it
 *
 * The inner directory is made aside with all that is in it, and renamed into place: a process that finds it finds it
 * whole, and of several that make it at once one wins.
 */
import {
  chmodSync,
  closeSync,
  type BigIntStats,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type Stats,
} from "node:fs";
import {
  access,
  constants,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { HeartbitError } from "../../core/errors.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { Connection } from "./driver.ts";
import { openingError } from "./failures.ts";
import { SCHEMA, SQLITE_FORMAT } from "./schema.ts";

/** What an earlier run of the system has left is deleted when nobody has written it for so long. */
const LEFTOVER_MS_MIN = 24 * 60 * 60 * 1000;

/** Where the store lies. */
export interface Place {
  readonly home: string;
  readonly directory: string;
  readonly file: string;
  readonly bell: string;
  /** The inner directory belongs to one run of the system: what a crash of the machine leaves is never read. */
  readonly isOfThisRun: boolean;
}

/** Makes the directory if there is none, and says where in it the store lies. */
export async function findPlace(path: string): Promise<Place> {
  const home = await makeHome(path);
  const boot = await bootId();
  const directory = join(home, `heartbit-${SQLITE_FORMAT}${boot === undefined ? "" : `-${boot}`}`);
  return {
    home,
    directory,
    file: join(directory, "store.sqlite"),
    bell: join(directory, "bell"),
    isOfThisRun: boot !== undefined,
  };
}

/**
 * Names this run of the system, where the system tells (Linux). No process outlives its system, so each run begins with
 * an empty file: nothing is lost, and nothing has to be flushed to the disk.
 */
async function bootId(): Promise<string | undefined> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).replace(/-.*/s, "");
  } catch {
    return undefined;
  }
}

// ---- the inner directory

/** Makes the inner directory, unless another process was first. */
export async function makeStore(place: Place, connect: (path: string) => Connection): Promise<void> {
  mkdirSync(place.home, { recursive: true, mode: modes().directory });
  const aside = join(place.home, `.new-${randomBytes(6).toString("hex")}`);
  try {
    mkdirSync(aside, { mode: 0o700 });
    const connection = connect(join(aside, "store.sqlite"));
    try {
      connection.exec("PRAGMA journal_mode = WAL");
      if (place.isOfThisRun) connection.exec("PRAGMA synchronous = OFF");
      connection.exec(`BEGIN; ${SCHEMA} COMMIT`);
    } finally {
      connection.close();
    }
    await writeFile(join(aside, "bell"), "!");
    // SQLite gives what it keeps beside the file the file's mode.
    for (const name of ["store.sqlite", "bell"]) chmodSync(join(aside, name), modes().file);
    chmodSync(aside, modes().directory);
    putInPlace(place, aside);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function putInPlace(place: Place, aside: string): void {
  try {
    renameSync(aside, place.directory);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["ENOTEMPTY", "EEXIST", "EPERM"].includes(code)) throw error;
    // Another was first; or somebody has taken the file alone, and what is left is of no use.
    if (identityOf(place.file)[0] === undefined) putAway(place);
  }
}

/** Takes the inner directory out of its place, and deletes it. Processes that have it open see that it is gone. */
export function putAway(place: Place): void {
  const aside = join(place.home, `.old-${randomBytes(6).toString("hex")}`);
  try {
    renameSync(place.directory, aside);
  } catch {
    return; // another was first, or does not let us: opening says what is wrong
  }
  void rm(aside, { recursive: true, force: true }).catch(() => {}); // left over: deleted a day later
}

/**
 * Rejects with `NOT_PERMITTED` where the inner files may be another user's trap: links that lead elsewhere, or a
 * directory that somebody else has put into one like /tmp, which everybody may write to.
 */
export async function checkInner(place: Place): Promise<void> {
  for (const path of [place.directory, place.file, `${place.file}-wal`, `${place.file}-shm`, place.bell]) {
    const found = await lstatOrNothing(path);
    if (found?.isSymbolicLink() === true) throw refused(path, "is a symbolic link, which is not followed");
    const isDirectory = path === place.directory;
    if (found !== undefined && !(isDirectory ? found.isDirectory() : found.isFile()))
      throw refused(path, isDirectory ? "is not a directory" : "is not a plain file");
  }
  const [home, inner] = [await lstatOrNothing(place.home), await lstatOrNothing(place.directory)];
  const own = process.getuid?.();
  if (home === undefined || inner === undefined || own === undefined) return;
  const isOpenToAll = (home.mode & 0o1002) === 0o1002;
  if (isOpenToAll && ![own, 0, home.uid].includes(inner.uid))
    throw refused(
      place.directory,
      `belongs to user ${inner.uid}, in a directory that every user may write to`,
    );
}

async function lstatOrNothing(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function refused(path: string, what: string): HeartbitError {
  return new HeartbitError("NOT_PERMITTED", `${path} ${what}.`);
}

/** Opens the bell, which must be no link. */
export function openBell({ bell }: Place): number {
  return openSync(bell, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
}

export { closeSync as closeBell };

// ---- which file it is

/** Names the file itself, and the two that lie beside it while it is open: others have their paths once they are gone. */
export type Identity = readonly (string | undefined)[];

export function identityOf(file: string): Identity {
  return ["", "-wal", "-shm"].map((suffix) => {
    const found: BigIntStats | undefined = lstatSync(file + suffix, { bigint: true, throwIfNoEntry: false });
    return found && `${found.dev}.${found.ino}`;
  });
}

export function isSame(one: Identity, other: Identity): boolean {
  return one[0] === other[0] && one[1] === other[1] && one[2] === other[2];
}

/** The inode of the file that has the locks. */
export function lockInode({ file }: Place): bigint | undefined {
  return lstatSync(`${file}-shm`, { bigint: true, throwIfNoEntry: false })?.ino;
}

// ---- the outer directory

/**
 * For this user alone. A umask that lets the group, or others, write is how somebody says that they share the store.
 */
function modes(): { readonly directory: number; readonly file: number } {
  const umask = process.umask();
  const group = (umask & 0o020) === 0;
  const others = (umask & 0o002) === 0;
  return {
    directory: 0o700 | (group ? 0o070 : 0) | (others ? 0o007 : 0),
    file: 0o600 | (group ? 0o060 : 0) | (others ? 0o006 : 0),
  };
}

async function makeHome(directory: string): Promise<string> {
  if (directory === "" || directory.includes("\0"))
    throw new HeartbitError(
      "INVALID_OPTION",
      `The SQLite directory ${JSON.stringify(directory)} is no path.`,
    );
  const path = resolve(directory);
  try {
    await makeDirectories(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return await realpath(path);
  } catch (error) {
    throw openingError(path, error);
  }
}

/** One level at a time: with `recursive: true` Node never ends where a file system takes no folders, as in /proc. */
async function makeDirectories(path: string, mode = modes().directory): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path, { mode }).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST" || !(await stat(path)).isDirectory()) throw error;
    });
  try {
    await make();
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || parent === path) throw error;
    await makeDirectories(parent, 0o777);
    await make();
  }
}

/** Deletes what earlier runs of the system have left, and openings that were killed, once nobody has used them for a day. */
export async function deleteLeftovers({ home, directory }: Place): Promise<void> {
  for (const name of await readdir(home)) {
    const path = join(home, name);
    if (!/^(heartbit-\d+(-[0-9a-f]+)?|\.(new|old)-[0-9a-f]+)$/.test(name) || path === directory) continue;
    const usedMs = await lastUse(path).catch(() => Infinity);
    if (usedMs < systemClock.now() - LEFTOVER_MS_MIN) await rm(path, { recursive: true, force: true });
  }
}

/** When the directory, or a file in it, was last written, in ms. */
async function lastUse(path: string): Promise<number> {
  const found = await lstat(path);
  if (!found.isDirectory()) return found.mtimeMs;
  const files = await Promise.all((await readdir(path)).map((name) => lstat(join(path, name))));
  return Math.max(found.mtimeMs, ...files.map(({ mtimeMs }) => mtimeMs));
}
