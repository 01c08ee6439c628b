/**
 * What an error of the driver or the server means to heartbit. This depends on the server's error codes or, without
 * one, on the names of the driver's errors, which are stable. It never depends on messages, nor on `instanceof`,
 * because the caller's `Db` may come from another copy of the driver.
 */
import { type ErrorCode, HeartbitError, isHeartbitError } from "../../core/errors.ts";

/** UserNotFound, Unauthorized, AuthenticationFailed, MechanismUnavailable. */
const NOT_PERMITTED_CODES = new Set([11, 13, 18, 334]);
/** AtlasError: a refused login, among many other errors, such as a full disk. */
const ATLAS_ERROR = 8000;

/**
 * CommandNotFound, CommandNotSupported, ReadConcernMajorityNotEnabled, the three of the Stable API, an unknown
 * aggregation stage, and `$changeStream` on a server that is no member of a replica set.
 */
const UNSUPPORTED_CODES = new Set([59, 115, 148, 322, 323, 324, 40324, 40573]);

/** Only servers before 5.0 can be started so. */
const MAJORITY_READS_OFF = 148;
const TURN_MAJORITY_READS_ON =
  "heartbit needs reads of what a majority has: start every member without enableMajorityReadConcern: false";

/** The codes that MongoDB's specification of retryable writes names: the connection or the primary was lost. */
const LOST_CODES = new Set([6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436]);

/** Errors of the driver that have no code. */
const LOST_NAMES = new Set([
  "MongoNetworkError",
  "MongoNetworkTimeoutError",
  "MongoPoolClearedError",
  "PoolClearedOnNetworkError",
]);
/** A server too old for this driver; an optional package of the driver's that is missing. */
const UNSUPPORTED_NAMES = new Set(["MongoCompatibilityError", "MongoMissingDependencyError"]);

/**
 * InvalidNamespace: the name of the database or a collection is too long, or has an invalid character.
 * DatabaseDifferCase: there is a database whose name differs in nothing but upper and lower case.
 */
const INVALID_NAME_CODES = new Set([73, 13297]);

export const BAD_VALUE = 2;
export const DUPLICATE_KEY = 11000;
export const UNAUTHORIZED = 13;
export const TYPE_MISMATCH = 14;
export const NAMESPACE_NOT_FOUND = 26;
/** IndexOptionsConflict and IndexKeySpecsConflict: somebody else made an index over these fields. */
export const INDEX_CONFLICTS = new Set([85, 86]);
/**
 * CannotCreateIndex, CommandNotSupported, InvalidIndexSpecificationOption; Amazon DocumentDB uses 303 if it lacks a
 * feature.
 */
export const PARTIAL_INDEX_REFUSALS = new Set([67, 115, 197, 303]);

/**
 * BadValue, FailedToParse, IDLUnknownField, and 303 of Amazon DocumentDB. MongoDB 4.4 answers the first one while its
 * feature compatibility version is 4.2, as it is after an upgrade until an operator raises it.
 */
export const COMMIT_QUORUM_REFUSALS = new Set([BAD_VALUE, 9, 303, 40415]);

/** Node's codes for a folder in place of a file, and for a file without a certificate or key. */
const FILE_CODES = /^(?:EISDIR|ERR_OSSL_PEM_\w+)$/;

const CAUSES_MAX = 8;

/** An error in the body of an answer that the driver considers a success. */
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
  for (const one of withCauses(error)) {
    const code: unknown = "code" in one ? one.code : undefined;
    const number = typeof code === "object" && code !== null ? Number(code) : code; // a Long, an Int32
    if (typeof number === "number" && Number.isInteger(number)) return number;
    if (typeof number === "bigint") return Number(number);
  }
  return undefined;
}

function withCauses(error: unknown): Error[] {
  const errors: Error[] = [];
  for (let at = error; at instanceof Error && errors.length < CAUSES_MAX; at = at.cause) errors.push(at);
  return errors;
}

/** Wraps the error in a `HeartbitError`, as its `cause`. `doing` is the attempted operation: "read the config". */
export function toHeartbitError(error: unknown, doing: string): HeartbitError {
  if (isHeartbitError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const said = message.replace(/\s+/g, " ").replace(/[. ]+$/, "");
  const advice = codeOf(error) === MAJORITY_READS_OFF ? `; ${TURN_MAJORITY_READS_ON}` : "";
  return new HeartbitError(meaningOf(error), `MongoDB could not ${doing}: ${said}${advice}.`, {
    cause: error,
  });
}

/** Whether the same call may well succeed if repeated at once: the connection or the primary was lost. */
export function isWorthRepeating(error: unknown): boolean {
  if (!(error instanceof Error) || isHeartbitError(error)) return false;
  const code = codeOf(error);
  return code === undefined ? LOST_NAMES.has(error.name) : LOST_CODES.has(code);
}

function meaningOf(error: unknown): ErrorCode {
  const code = codeOf(error);
  if (code !== undefined && NOT_PERMITTED_CODES.has(code)) return "NOT_PERMITTED";
  if (code === ATLAS_ERROR && withCauses(error).some(isOfLogin)) return "NOT_PERMITTED";
  if (code !== undefined && UNSUPPORTED_CODES.has(code)) return "UNSUPPORTED_SERVER";
  if (code !== undefined && INVALID_NAME_CODES.has(code)) return "INVALID_OPTION";
  if (withCauses(error).some(isOfFile)) return "INVALID_OPTION";
  const isUnsupported = withCauses(error).some(({ name }) => UNSUPPORTED_NAMES.has(name));
  return isUnsupported ? "UNSUPPORTED_SERVER" : "STORE_UNAVAILABLE";
}

/** The driver marks errors that occur before a connection can be used. */
function isOfLogin(error: Error): boolean {
  return (
    "errorLabels" in error && Array.isArray(error.errorLabels) && error.errorLabels.includes("HandshakeError")
  );
}

/** A file that the connection string names cannot be opened, or holds no certificate or key. */
function isOfFile(error: Error): boolean {
  if ("syscall" in error && error.syscall === "open") return true;
  return "code" in error && FILE_CODES.test(String(error.code));
}
