/**
 * The directory of a store, and the inner one that has the files:
 *
 *   <home>/heartbit-<format>-<boot>/store.sqlite   the file, with SQLite's own files beside it (-wal, -shm)
 *                                   bell           written to after each change: feeds listen to it
 *
 * The inner directory is created elsewhere with all its contents, and renamed into place. So a process always finds it
 * complete, and if several create it at once, one wins.
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

/** Files of an earlier boot are deleted once nobody has written to them for this long, in ms. */
const LEFTOVER_MS_MIN = 24 * 60 * 60 * 1000;

/** Where the store is. */
export interface Place {
  readonly home: string;
  readonly directory: string;
  readonly file: string;
  readonly bell: string;
  /** The inner directory belongs to one boot of the system: files that a crash of the machine leaves are never read. */
  readonly isOfThisRun: boolean;
}

/** Creates the directory if there is none, and returns where in it the store is. */
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
 * Identifies this boot of the system, if the system has an id for it (Linux). No process survives a reboot, so each
 * boot starts with an empty file: nothing is lost, and nothing needs to be flushed to the disk.
 */
async function bootId(): Promise<string | undefined> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).replace(/-.*/s, "");
  } catch {
    return undefined;
  }
}

// ---- the inner directory

/** Creates the inner directory, unless another process was first. */
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
    // SQLite gives the files beside it the mode of the file.
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
    // Another process was first, or somebody removed only the file, and the rest is of no use.
    if (identityOf(place.file)[0] === undefined) discard(place);
  }
}

/** Moves the inner directory away, and deletes it. Processes that have it open notice that it is gone. */
export function discard(place: Place): void {
  const aside = join(place.home, `.old-${randomBytes(6).toString("hex")}`);
  try {
    renameSync(place.directory, aside);
  } catch {
    return; // another process was first, or we have no right to: opening reports it
  }
  void rm(aside, { recursive: true, force: true }).catch(() => {}); // leftovers are deleted a day later
}

/**
 * Rejects with `NOT_PERMITTED` if the inner files may be another user's trap: links that lead elsewhere, or a directory
 * that another user has put into one like /tmp, to which everybody may write.
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

/** Opens the bell, which must not be a link. */
export function openBell({ bell }: Place): number {
  return openSync(bell, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
}

export { closeSync as closeBell };

// ---- which file it is

/** Identifies the file, and the two files beside it while it is open: once they are gone, others get their paths. */
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
 * For this user only, unless the umask lets the group or others write: then they share the store.
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
      `The SQLite directory ${JSON.stringify(directory)} is not a path.`,
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

/** Deletes files of earlier boots, and of openings that were killed, once nobody has used them for a day. */
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
