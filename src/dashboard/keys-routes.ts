/** `/api/keys`: lists keys, and holds and kills keys over HTTP. */
import type { Context, Hono } from "hono";
import { checkKey, checkPrefix, META_BYTES_MAX } from "../core/checks.ts";
import { internalsOf } from "../presence/context/internals.ts";
import type { KeyState } from "../presence/list.ts";
import { within } from "../lib/timers.ts";
import type { Board } from "./board.ts";
import { type Holds, TTL_MS_MAX, TTL_MS_MIN } from "./holds.ts";
import { Refusal } from "./refusal.ts";

/** A meta, and room for the rest. */
const BODY_BYTES_MAX = 2 * META_BYTES_MAX;
const LIMIT_MAX = 10_000;
const LIMIT_DEFAULT = 1000;
/** How long a request waits until all keys are known, in ms. */
const LOAD_LIMIT_MS = 5000;

export interface KeysRoutes {
  readonly board: Board;
  readonly holds: Holds;
  readonly basePath: string;
  readonly allowWrites: boolean;
}

export function addKeysRoutes(app: Hono, { board, holds, basePath, allowWrites }: KeysRoutes): void {
  const keyOf = (context: Context, end = ""): string => keyIn(context.req.raw, basePath, end);
  const writes = (): void => {
    if (!allowWrites)
      throw new Refusal("WRITES_OFF", "This server only reads: start it with --allow-writes.");
  };

  app.get("/api/keys", async (context) => {
    await loaded(board);
    return context.json(listing(board, context.req.query()));
  });
  app.get("/api/keys/:key{.+}", async (context) => {
    await loaded(board);
    const key = keyOf(context);
    const state = board.get(key);
    if (state === undefined)
      throw new Refusal("NOT_FOUND", "That key is not known: it is dead, if it ever was.");
    return context.json(state);
  });
  app.put("/api/keys/:key{.+}", async (context) => {
    writes();
    const key = keyOf(context);
    const { ttl, meta } = await wantedHold(context);
    const { created } = await holds.put(key, ttl, meta);
    return context.json({ key, session: board.presence.session ?? null, ttl }, created ? 201 : 200);
  });
  app.delete("/api/keys/:key{.+}", async (context) => {
    writes();
    const key = keyOf(context);
    if (!(await holds.remove(key))) {
      throw new Refusal(
        "NOT_FOUND",
        "This server does not hold that key: POST .../kill ends the holds of others.",
      );
    }
    return context.json({ key });
  });
  app.post("/api/keys/:key{.+/kill}", async (context) => {
    writes();
    const key = keyOf(context, "/kill");
    await bodyOf(context.req.raw);
    return context.json({ key, ended: await board.presence.kill(key) });
  });
}

async function loaded(board: Board): Promise<void> {
  if (board.isLoaded) return;
  const { clock } = internalsOf(board.presence);
  await within(clock, LOAD_LIMIT_MS, "load", board.loaded()).catch(() => {});
  if (!board.isLoaded)
    throw new Refusal("NOT_LOADED", "The keys are not loaded yet: the store has not answered.");
}

/**
 * The key as the client wrote it, escaped or with slashes, before `end`. The rest of the path must be literal: the
 * routes also match if it is escaped, or a slash follows, which would yield another key.
 */
function keyIn({ url }: Request, basePath: string, end: string): string {
  const { pathname } = new URL(url);
  const start = `${basePath}/api/keys/`;
  if (!pathname.startsWith(start) || !pathname.endsWith(end))
    throw new Refusal("NOT_FOUND", "There is nothing here.");
  const text = pathname.slice(start.length, pathname.length - end.length);
  try {
    return checkKey(decodeURIComponent(text));
  } catch (error) {
    throw error instanceof URIError ? bad("the key", "UTF-8 with %XX escapes") : error;
  }
}

interface Listing {
  readonly asOf: Date;
  readonly health: Board["health"];
  readonly totals: Board["totals"];
  readonly keys: readonly KeyState[];
  /** If there are more keys: the value of `after` for the next page. */
  readonly next?: string;
}

function listing(board: Board, query: Readonly<Record<string, string>>): Listing {
  const { prefix = "", state = "alive", after = "", limit } = query;
  checkPrefix(prefix);
  if (!["alive", "dead", "all"].includes(state)) throw bad("state", "alive, dead or all");
  const most = limit === undefined ? LIMIT_DEFAULT : Number(limit);
  if (!Number.isInteger(most) || most < 1 || most > LIMIT_MAX) {
    throw bad("limit", `a whole number from 1 to ${LIMIT_MAX}`);
  }
  const sorted = board.sortedKeys();
  const keys: KeyState[] = [];
  for (let at = firstFrom(sorted, prefix > after ? prefix : after); at < sorted.length; at++) {
    const key = sorted[at];
    if (key === undefined || !key.startsWith(prefix)) break;
    const found = board.get(key);
    if (found === undefined || key === after || (state !== "all" && found.alive !== (state === "alive")))
      continue;
    if (keys.length === most) return { ...about(board), keys, next: keys.at(-1)?.key ?? "" };
    keys.push(found);
  }
  return { ...about(board), keys };
}

function about(board: Board): Omit<Listing, "keys"> {
  const { time } = internalsOf(board.presence);
  return { asOf: new Date(time.now), health: board.health, totals: board.totals };
}

/** The index of the first key that is not before the text. */
function firstFrom(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How long to hold a key, in ms, and its meta: in the body, or `ttl` in the query. */
async function wantedHold({ req }: Context): Promise<{ ttl: number; meta: unknown }> {
  const text = await bodyOf(req.raw);
  const body: unknown = text === "" ? {} : parse(text);
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw bad("the body", "an object");
  const { ttl = Number(req.query("ttl")), meta } = body as { ttl?: unknown; meta?: unknown };
  if (typeof ttl !== "number" || !(ttl >= TTL_MS_MIN && ttl <= TTL_MS_MAX)) {
    throw bad("ttl", `a number of ms from ${TTL_MS_MIN} to ${TTL_MS_MAX}`);
  }
  return { ttl, meta };
}

/**
 * The body as text, read up to its maximum length. Hono's own limit is no option: without a Content-Length it
 * constructs a request from a request, which Node refuses for requests of its own server.
 */
async function bodyOf({ body, headers }: Request): Promise<string> {
  checkBytes(Number(headers.get("content-length") ?? 0));
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    checkBytes((bytes += read.value.length));
    text += decoder.decode(read.value, { stream: true });
  }
  return text + decoder.decode();
}

function checkBytes(bytes: number): void {
  if (bytes > BODY_BYTES_MAX)
    throw new Refusal("TOO_LARGE", `The body is larger than ${BODY_BYTES_MAX} bytes.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad("the body", "JSON");
  }
}

function bad(name: string, wanted: string): Refusal {
  return new Refusal("BAD_REQUEST", `${name[0]?.toUpperCase()}${name.slice(1)} must be ${wanted}.`);
}
