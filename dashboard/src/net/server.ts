/** The routes of the server that this page came from. The token is kept until the tab is closed. */
import { recall, remember } from "../storage.ts";

const STORED = "heartbit-token";
let token = recall("sessionStorage", STORED);

/** Where the routes are: beside the page, or below its path if that has no trailing slash. The server says which. */
const ROOT = new URL(document.documentElement.dataset["root"] ?? "./", document.baseURI);

/** The server refused the request, or could not be reached (status 0). */
export class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function setToken(given: string): void {
  token = given;
  remember("sessionStorage", STORED, given);
}

export function hasToken(): boolean {
  return token !== null;
}

/** Requests a path below the page. Rejects with a `RequestError`, or when it is aborted. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  // No header can have it, so no server has such a token.
  if (token !== null && /[^ -~]/.test(token)) throw new RequestError(401, "That is not the token.");
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(new URL(path, ROOT), { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new RequestError(0, "The server does not answer.");
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  throw new RequestError(response.status, body.error?.message ?? `The server answered ${response.status}.`);
}
