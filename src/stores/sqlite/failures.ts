/** What errors of SQLite and the file system mean. */
import { HeartbitError, isHeartbitError } from "../../core/errors.ts";

// SQLite's primary result codes: https://sqlite.org/rescode.html
const [PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, AUTH, NOTADB] = [
  3, 5, 6, 8, 10, 11, 13, 14, 15, 23, 26,
] as const;
/** The file was moved away while it is open. */
const READONLY_DBMOVED = 1032;
/** A file is too short: it was truncated, or removed from beside the others. */
const IOERR_SHORT_READ = 522;

function codeOf(error: unknown): { readonly primary: number; readonly full: number } {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? { primary: errcode & 255, full: errcode } : { primary: 0, full: 0 };
}

/** Another process has the lock now. */
export function isBusy(error: unknown): boolean {
  const { primary } = codeOf(error);
  return primary === BUSY || primary === LOCKED || primary === PROTOCOL;
}

/** The contents of the file are useless. */
export function isDamage(error: unknown): boolean {
  const { primary, full } = codeOf(error);
  if (primary === CORRUPT || primary === NOTADB || full === IOERR_SHORT_READ) return true;
  return /no such table/.test((error as Error).message);
}

/** The connection may have become useless, but not the file: opened again, it may work. */
export function isBroken(error: unknown): boolean {
  const { primary, full } = codeOf(error);
  return primary === IOERR || primary === CANTOPEN || primary === FULL || full === READONLY_DBMOVED;
}

/** The file may be removed or replaced while it is opened: opening it once more is enough. */
export function isPassing(error: unknown): boolean {
  if (isHeartbitError(error)) return false;
  const { primary, full } = codeOf(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || primary === CANTOPEN || primary === IOERR || full === READONLY_DBMOVED;
}

const REASONS: readonly (readonly [RegExp, "NOT_PERMITTED" | "INVALID_OPTION", string])[] = [
  [/^(EACCES|EPERM|EROFS)$/, "NOT_PERMITTED", "may not be used by this user"],
  [/^(ENOTDIR|EEXIST)$/, "INVALID_OPTION", "is not a directory"],
  [/^ENAMETOOLONG$/, "INVALID_OPTION", "is too long a path"],
  [/^ENOENT$/, "INVALID_OPTION", "cannot be made"],
];

/** The error for a failed opening, with the true cause. */
export function openingError(path: string, cause: unknown): HeartbitError {
  if (isHeartbitError(cause)) return cause;
  const { code = "" } = cause as NodeJS.ErrnoException;
  for (const [pattern, errorCode, what] of REASONS)
    if (pattern.test(code))
      return new HeartbitError(errorCode, `${path} ${what}: ${reasonOf(cause)}.`, { cause });
  return operatingError(path, cause);
}

export function operatingError(path: string, cause: unknown): HeartbitError {
  if (isHeartbitError(cause)) return cause;
  const { primary, full } = codeOf(cause);
  const { code = "" } = cause as NodeJS.ErrnoException;
  const isRefused =
    primary === PERM || primary === AUTH || (primary === READONLY && full !== READONLY_DBMOVED);
  if (isRefused || /^(EACCES|EPERM|EROFS)$/.test(code))
    return new HeartbitError("NOT_PERMITTED", `${path} may not be used by this user: ${reasonOf(cause)}.`, {
      cause,
    });
  return new HeartbitError("STORE_UNAVAILABLE", `The SQLite store ${path} failed: ${reasonOf(cause)}.`, {
    cause,
  });
}

function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/\.$/, "");
}
