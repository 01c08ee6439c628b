/** `/api/keys`: lists keys, and holds and kills keys over HTTP. */
import type { Context, Hono } from "hono";
import { checkKey, checkPrefix, META_BYTES_MAX } from "../core/checks.ts";
import { after } from "../core/sorted-keys.ts";
import { internalsOf } from "../presence/internals.ts";
import type { KeyState } from "../core/listing.ts";
import { within } from "../lib/timers.ts";
import type { Board } from "./board.ts";
import { type Holds, TTL_MS_MAX, TTL_MS_MIN } from "./holds.ts";
import { inPieces, type Pace } from "./pieces.ts";
import { bad, type Query, queryOf } from "./query.ts";
import { Refusal } from "./refusal.ts";

/** A meta, and room for the rest. */
const BODY_BYTES_MAX = 2 * META_BYTES_MAX;
const LIMIT_MAX = 10_000;
const LIMIT_DEFAULT = 1000;
/** A listing ends early at this many characters, and says where to continue. */
const LISTING_CHARS_MAX = 4 * 1024 * 1024;
/** A listing is sent in pieces of about this many characters. */
const PIECE_CHARS = 32 * 1024;
/** How many keys are processed at a time. */
const STEP_KEYS = 500;
/** How long a request waits until all keys are known, in ms. */
const LOAD_LIMIT_MS = 5000;

export interface KeysRoutes {
  readonly board: Board;
  readonly holds: Holds;
  readonly pace: Pace;
  readonly basePath: string;
  readonly allowWrites: boolean;
}

/** Any character, even a line break. */
const ANY = ":key{[\\s\\S]+}";

export function addKeysRoutes(app: Hono, { board, holds, pace, basePath, allowWrites }: KeysRoutes): void {
  const keyOf = (context: Context, end = ""): string => keyIn(context.req.raw, basePath, end);
  const writes = (): void => {
    if (!allowWrites)
      throw new Refusal("WRITES_OFF", "This server only reads: start it with --allow-writes.");
  };
  const oneKey = async (context: Context, key: string): Promise<Response> => {
    await loaded(board);
    const state = board.get(key);
    if (state === undefined)
      throw new Refusal("NOT_FOUND", "That key is not known: it is dead, if it ever was.");
    return context.json({ ...state, ...staleness(board) });
  };
  const put = async (context: Context, key: string, ask: Asked): Promise<Response> => {
    const { ttl, meta } = wantedHold(ask);
    const { created } = await holds.put(key, ttl, meta);
    return context.json({ key, session: board.presence.session ?? null, ttl }, created ? 201 : 200);
  };
  const remove = async (context: Context, key: string): Promise<Response> => {
    if (!(await holds.remove(key))) {
      throw new Refusal(
        "NOT_FOUND",
        "This server does not hold that key: POST .../kill ends the holds of others.",
      );
    }
    return context.json({ key });
  };
  const kill = async (context: Context, key: string): Promise<Response> =>
    context.json({ key, ended: await board.presence.kill(key) });

  app.get("/api/keys", async (context) => {
    const query = queryOf(context.req.raw, ["key", "keys", "prefix", "state", "limit", "after"]);
    if (query.has("key")) {
      if (query.size > 1) throw bad("key", "alone: it asks for one key");
      return oneKey(context, checkKey(query.one("key")));
    }
    await loaded(board);
    return context.body(listing(board, pace, query), 200, { "content-type": "application/json" });
  });
  app.get(`/api/keys/${ANY}`, async (context) => {
    queryOf(context.req.raw, []);
    return oneKey(context, keyOf(context));
  });
  for (const path of ["/api/keys", `/api/keys/${ANY}`]) {
    const isNamed = path !== "/api/keys";
    app.put(path, async (context) => {
      writes();
      const named = isNamed ? keyOf(context) : undefined;
      const ask = await askedOf(context, ["key", "ttl", "meta"]);
      return put(context, askedKey(ask, named), ask);
    });
    app.delete(path, async (context) => {
      writes();
      const named = isNamed ? keyOf(context) : undefined;
      return remove(context, askedKey(await askedOf(context, ["key"]), named));
    });
  }
  for (const path of ["/api/keys/kill", "/api/keys/:key{[\\s\\S]+/kill}"]) {
    const isNamed = path !== "/api/keys/kill";
    app.post(path, async (context) => {
      writes();
      const named = isNamed ? keyOf(context, "/kill") : undefined;
      return kill(context, askedKey(await askedOf(context, ["key"]), named));
    });
  }
}

/** What a request that writes has in addition to its path. */
interface Asked {
  readonly query: Query;
  readonly body: { readonly key?: unknown; readonly ttl?: unknown; readonly meta?: unknown };
}

/** `fields`: those that the body may have; the query may have all but the meta. Throws a refusal for any other. */
async function askedOf({ req }: Context, fields: readonly (keyof Asked["body"])[]): Promise<Asked> {
  const query = queryOf(
    req.raw,
    fields.filter((field) => field !== "meta"),
  );
  const text = await bodyOf(req.raw);
  const body: unknown = text === "" ? {} : parse(text);
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw bad("the body", "an object");
  if (Object.keys(body).some((name) => !fields.some((field) => field === name))) {
    throw bad("the body", `an object with no other fields than ${fields.join(", ")}`);
  }
  return { query, body };
}

/** The requested key, which must be given in one place only. */
function askedKey({ query, body }: Asked, named: string | undefined): string {
  const given = [named, query.one("key"), body.key].filter((key) => key !== undefined);
  if (given.length !== 1) throw bad("the key", "given once: in the path, in the query or in the body");
  return checkKey(given[0]);
}

/** Resolves when the board's state can be sent; rejects if there is none. */
async function loaded(board: Board): Promise<void> {
  if (board.isLoaded) return;
  if (board.health.state === "failed")
    throw new Refusal("NOT_WATCHING", "The keys are not known: the namespace is gone, or has been lost.");
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

/** The requested keys as JSON; if there are more, with `next`, from which to continue. */
function listing(board: Board, pace: Pace, query: Query): ReadableStream<Uint8Array> {
  const prefix = checkPrefix(query.one("prefix") ?? "");
  const state = query.one("state") ?? "alive";
  const from = query.one("after");
  const limit = query.one("limit");
  if (!["alive", "dead", "all"].includes(state)) throw bad("state", "alive, dead or all");
  const most = limit === undefined ? LIMIT_DEFAULT : Number(limit);
  if (!Number.isInteger(most) || most < 1 || most > LIMIT_MAX) {
    throw bad("limit", `a whole number from 1 to ${LIMIT_MAX}`);
  }
  const named = query.has("keys") ? new Set(query.all("keys").map(checkKey)) : undefined;
  const wanted = wantedKeys(board, pace, named, prefix, from);
  const pieces = piecesOf(
    board,
    wanted,
    ({ alive }) => state === "all" || alive === (state === "alive"),
    most,
  );
  return inPieces(pace, async () => {
    const { done, value } = await pieces.next();
    return done === true ? undefined : value;
  });
}

/**
 * The listing, each piece with the state as of when it is made. If the namespace is gone before the last one, it ends
 * without its brackets, so that nobody takes it for a whole listing.
 */
async function* piecesOf(
  board: Board,
  wanted: AsyncIterable<string>,
  isWanted: (state: KeyState) => boolean,
  most: number,
): AsyncGenerator<string, void> {
  let piece = `${JSON.stringify(about(board)).slice(0, -1)},"keys":[`;
  let end = "]}";
  let [count, chars, last] = [0, 0, ""];
  for await (const key of wanted) {
    const state = board.get(key);
    if (state === undefined || !isWanted(state)) continue;
    if (count === most || chars > LISTING_CHARS_MAX) {
      end = `],"next":${JSON.stringify(last)}}`;
      break;
    }
    const text = JSON.stringify(state);
    piece += count === 0 ? text : `,${text}`;
    count++;
    chars += text.length;
    last = key;
    if (piece.length < PIECE_CHARS) continue;
    if (!board.isLoaded) return;
    yield piece;
    piece = "";
  }
  if (board.isLoaded) yield piece + end;
}

/** The named keys, or all with the prefix, in order, after `from`. In slices. */
async function* wantedKeys(
  board: Board,
  pace: Pace,
  named: ReadonlySet<string> | undefined,
  prefix: string,
  from: string | undefined,
): AsyncGenerator<string> {
  if (named !== undefined) {
    yield* [...named]
      .toSorted()
      .filter((key) => key.startsWith(prefix) && (from === undefined || key > from));
    return;
  }
  let start = from === undefined ? "" : after(from);
  for (;;) {
    const some: string[] = [];
    for (const key of board.keysWith(prefix, start)) if (some.push(key) === STEP_KEYS) break;
    yield* some;
    if (some.length < STEP_KEYS) return;
    start = after(some.at(-1) ?? "");
    await pace.next();
  }
}

function about(board: Board): object {
  const { time } = internalsOf(board.presence);
  return { asOf: new Date(time.now), health: board.health, totals: board.totals, ...staleness(board) };
}

/** Sent if the state may be out of date: since how many ms. */
function staleness(board: Board): { readonly stale?: true; readonly staleMs?: number } {
  const { state, since } = board.health;
  if (state === "healthy") return {};
  const { clock } = internalsOf(board.presence);
  return { stale: true, staleMs: Math.max(0, clock.now() - (since?.getTime() ?? clock.now())) };
}

/** How long to hold a key, in ms, and its meta: in the body, or `ttl` in the query. */
function wantedHold({ query, body }: Asked): { ttl: number; meta: unknown } {
  const { ttl = Number(query.one("ttl")), meta } = body;
  if (body.ttl !== undefined && query.has("ttl")) throw bad("ttl", "given once: in the query or in the body");
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
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    checkBytes((bytes += read.value.length));
    chunks.push(read.value);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw bad("the body", "UTF-8"); // anything else would name another key
  }
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
