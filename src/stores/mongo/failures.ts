/**
 * What an error of the driver or of the server means to heartbit. Decided by error codes and labels, which are
 * documented and stable, never by messages; and never by `instanceof`, because the caller's `Db` may come from
 * another copy of the driver.
 */
import { type ErrorCode, HeartbitError, isHeartbitError } from "../../core/errors.ts";

/** UserNotFound, Unauthorized, AuthenticationFailed, MechanismUnavailable, Atlas's own. */
const NOT_PERMITTED_CODES = new Set([11, 13, 18, 334, 8000]);

/**
 * CommandNotFound, CommandNotSupported, ReadConcernMajorityNotEnabled, the three of the Stable API, an unknown
 * aggregation stage, and `$changeStream` on a server that is no member of a replica set.
 */
const UNSUPPORTED_CODES = new Set([59, 115, 148, 322, 323, 324, 40324, 40573]);

/** MaxTimeMSExpired and WriteConcernTimeout: the time is used up, so that a repetition has none left. */
const TIME_OUT_CODES = new Set([50, 64]);

export const DUPLICATE_KEY = 11000;
export const UNAUTHORIZED = 13;
export const NAMESPACE_NOT_FOUND = 26;
/** IndexOptionsConflict and IndexKeySpecsConflict: there is an index over these fields, made by somebody else. */
export const INDEX_CONFLICTS = new Set([85, 86]);

const CAUSES_MAX = 8;

/** What the server said in the body of an answer that the driver takes for a success. */
export class ServerRefusal extends Error {
  override readonly name = "ServerRefusal";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** The server's error code, of the error itself or of the first of its causes that has one. */
export function codeOf(error: unknown): number | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < CAUSES_MAX; at = at.cause, depth++) {
    const code: unknown = "code" in at ? at.code : undefined;
    const number = typeof code === "object" && code !== null ? Number(code) : code; // a Long, an Int32
    if (typeof number === "number" && Number.isInteger(number)) return number;
    if (typeof number === "bigint") return Number(number);
  }
  return undefined;
}

/** The error as a `HeartbitError` whose `cause` it is. `doing` is what was being done: "read the config". */
export function toHeartbitError(error: unknown, doing: string): HeartbitError {
  if (isHeartbitError(error)) return error;
  const told = error instanceof Error ? error.message : String(error);
  const said = told.replace(/\s+/g, " ").replace(/\.$/, "");
  return new HeartbitError(meaningOf(error), `MongoDB could not ${doing}: ${said}.`, { cause: error });
}

/** Whether the same call, made again at once, may well succeed: after a lost connection or a change of primary. */
export function isWorthRepeating(error: unknown): boolean {
  if (isHeartbitError(error)) return false; // also our own giving up
  if (hasLabel(error, "SystemOverloadedError")) return false;
  return meaningOf(error) === "STORE_UNAVAILABLE" && !TIME_OUT_CODES.has(codeOf(error) ?? 0);
}

function meaningOf(error: unknown): ErrorCode {
  const code = codeOf(error);
  if (code !== undefined && NOT_PERMITTED_CODES.has(code)) return "NOT_PERMITTED";
  if (code !== undefined && UNSUPPORTED_CODES.has(code)) return "UNSUPPORTED_SERVER";
  // Neither has a code: a server too old for this driver, and an optional package of the driver's that is missing.
  const name = error instanceof Error ? error.name : "";
  if (name === "MongoCompatibilityError" || name === "MongoMissingDependencyError")
    return "UNSUPPORTED_SERVER";
  return "STORE_UNAVAILABLE";
}

function hasLabel(error: unknown, label: string): boolean {
  if (!(error instanceof Error) || !("errorLabels" in error) || !Array.isArray(error.errorLabels))
    return false;
  return error.errorLabels.includes(label);
}
