/** Every unsuccessful answer: a status, and `{ error: { code, message } }` as JSON. */
import { isHeartbitError, type ErrorCode } from "../core/errors.ts";
import { DATA_HEADERS } from "./headers.ts";

/** Codes of this server's own refusals; errors of the library keep their codes. */
export type RefusalCode =
  | "BAD_REQUEST"
  | "UNAUTHORIZED"
  | "FORBIDDEN_ORIGIN"
  | "FORBIDDEN_HOST"
  | "WRITES_OFF"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "TOO_LARGE"
  | "TOO_MANY_HELD"
  | "TOO_MANY_STREAMS"
  | "NOT_LOADED"
  | "NOT_WATCHING";

const STATUS: Readonly<Record<RefusalCode, number>> = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN_ORIGIN: 403,
  FORBIDDEN_HOST: 421,
  WRITES_OFF: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  TOO_LARGE: 413,
  TOO_MANY_HELD: 429,
  TOO_MANY_STREAMS: 503,
  NOT_LOADED: 503,
  NOT_WATCHING: 503,
};

const STATUS_OF_ERROR: Partial<Record<ErrorCode, number>> = {
  INVALID_KEY: 400,
  INVALID_META: 400,
  INVALID_OPTION: 400,
  NOT_PERMITTED: 403,
  STORE_UNAVAILABLE: 503,
  PRESENCE_CLOSED: 503,
  WATCHER_STOPPED: 503,
};

/** How long a client should wait before it tries again, in s. */
const RETRY_AFTER_S = 2;

/** Thrown to refuse a request. The message says what to do instead. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: RefusalCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.headers = headers;
  }
}

/** The answer for a thrown error; undefined if it is unexpected. */
export function answerTo(error: unknown): Response | undefined {
  if (error instanceof Refusal) return refuse(error);
  if (isHeartbitError(error)) return answer(STATUS_OF_ERROR[error.code] ?? 500, error.code, error.message);
  return undefined;
}

export function refuse({ code, message, headers }: Refusal): Response {
  return answer(STATUS[code], code, message, headers);
}

/** The answer for an unexpected error: it reveals no internals. */
export function answerToBug(): Response {
  return answer(500, "INTERNAL", "Something went wrong in the server.");
}

function answer(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const retry = status === 503 || status === 429 ? { "retry-after": String(RETRY_AFTER_S) } : {};
  return Response.json(
    { error: { code, message } },
    { status, headers: { ...DATA_HEADERS, ...retry, ...headers } },
  );
}
