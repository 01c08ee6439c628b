/** What went wrong, for programs. */
export type ErrorCode =
  /** The key is empty, too long, not a string, or not well-formed. */
  | "INVALID_KEY"
  /** An option or argument is out of its bounds. */
  | "INVALID_OPTION"
  /** The meta is over 16 KiB as JSON, or is not plain data. */
  | "INVALID_META"
  /** The pinger already holds its key. */
  | "ALREADY_STARTED"
  /** The listener already watches the target. */
  | "ALREADY_WATCHED"
  /** The watcher was stopped or has failed: its `error` says why. */
  | "WATCHER_STOPPED"
  /** The presence was closed, or is closing. */
  | "PRESENCE_CLOSED"
  /** The namespace has another period or another version of the format, was dropped, or is not heartbit's. */
  | "CONFIG_MISMATCH"
  /** The store did not answer, or cannot serve the call now. The only retryable code. */
  | "STORE_UNAVAILABLE"
  /** The store refuses: wrong credentials, or a right is missing. */
  | "NOT_PERMITTED"
  /** The server lacks something that heartbit needs, or the package that talks to it is not installed. */
  | "UNSUPPORTED_SERVER";

/** Marks the errors of every copy of the module in this process. */
const IS_ERROR = Symbol.for("heartbit.error");

/** Every error that heartbit throws or rejects with. The message is one sentence. */
export class HeartbitError extends Error {
  /** The name of the class. */
  override readonly name = "HeartbitError";
  /** What went wrong. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later, unchanged. True only for `STORE_UNAVAILABLE`. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.retryable = code === "STORE_UNAVAILABLE";
    Object.defineProperty(this, IS_ERROR, { value: true });
  }

  /** @internal Whether it is one, of whichever copy of the module. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== HeartbitError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && IS_ERROR in value;
  }
}

/**
 * @internal An attempt was given up: it had no answer in time, or one that is out of date. Repeated, it may succeed.
 */
export class GivenUp extends HeartbitError {
  constructor(message: string) {
    super("STORE_UNAVAILABLE", message);
  }
}

/** @internal The error of a presence whose namespace is gone. */
export class Dropped extends HeartbitError {
  constructor(name: string) {
    super("CONFIG_MISMATCH", `The namespace "${name}" was dropped.`);
  }
}

/**
 * @internal The store refuses something that it has permitted to this presence before. It may permit it again, since
 * servers also refuse because of passing faults: a router cannot read the users, or a user is created again.
 */
export class PassingRefusal extends HeartbitError {
  constructor(refusal: HeartbitError) {
    super(refusal.code, refusal.message, { cause: refusal });
  }
}

/** @internal The thrown value as an error, since anything can be thrown. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** @internal Whether `error` is a `HeartbitError`, and has `code` if one is given. */
export function isHeartbitError(error: unknown, code?: ErrorCode): error is HeartbitError {
  return error instanceof HeartbitError && (code === undefined || error.code === code);
}

/** @internal Whether the store refuses: the fault passes only if somebody acts. */
export function isRefusal(error: unknown): boolean {
  return isHeartbitError(error, "NOT_PERMITTED") || isHeartbitError(error, "UNSUPPORTED_SERVER");
}

/** @internal Whether the fault cannot pass by waiting. A refusal is final unless the operation was permitted before. */
export function isFinal(error: unknown): boolean {
  if (error instanceof PassingRefusal) return false;
  return (
    isRefusal(error) || isHeartbitError(error, "CONFIG_MISMATCH") || isHeartbitError(error, "PRESENCE_CLOSED")
  );
}

/** @internal The error; if the store did not answer, with the reason if one is known. */
export function withReason(error: unknown, reason: string | undefined): unknown {
  if (reason === undefined || !isHeartbitError(error, "STORE_UNAVAILABLE")) return error;
  return new HeartbitError(error.code, `${error.message.replace(/\.$/, "")}; ${reason}.`, { cause: error });
}

/** @internal The error of a call on a presence that was closed. */
export function closed(name: string, cause?: unknown): HeartbitError {
  const options = cause === undefined ? {} : { cause };
  return new HeartbitError("PRESENCE_CLOSED", `The presence "${name}" is closed.`, options);
}

/** @internal The error of a pinger that holds its key already. */
export function alreadyStarted(key: string): HeartbitError {
  return new HeartbitError(
    "ALREADY_STARTED",
    `The pinger of key ${JSON.stringify(key)} has already been started.`,
  );
}

/** @internal The error of a watcher that has stopped, or failed because of `cause`. */
export function watcherStopped(cause: Error | null): HeartbitError {
  const why = cause === null ? "." : ` because it failed: ${cause.message}`;
  return new HeartbitError("WATCHER_STOPPED", `The watcher has stopped${why}`, { cause });
}
