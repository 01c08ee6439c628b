/**
 * The routes:
 *
 *   GET /, /assets/...                          the page
 *   GET /healthz                                for monitoring: needs no token, and accepts any host name
 *   GET /metrics                                if there are any
 *   GET /api/changes                            changes as server-sent events
 *   GET /api/pulse                              which sessions pinged when
 *   GET, PUT, DELETE, POST /api/keys/...        the keys
 */
import { randomBytes } from "node:crypto";
import { type Context, Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { HeartbitError } from "../core/errors.ts";
import { internalsOf } from "../presence/internals.ts";
import { ChangeStream } from "./change-stream.ts";
import { addressOf, onGone } from "./clients.ts";
import { DATA_HEADERS } from "./headers.ts";
import { addKeysRoutes } from "./keys-routes.ts";
import type { Board } from "./board.ts";
import type { Holds } from "./holds.ts";
import type { CheckedDashboardOptions } from "./options.ts";
import { servePage, servePageAt } from "./page.ts";
import { Pace } from "./pieces.ts";
import { Pulse } from "./pulse.ts";
import { bad, queryOf } from "./query.ts";
import { answerTo, answerToBug, refuse, Refusal } from "./refusal.ts";
import { checkBearer, checkHost, checkOrigin, checkUrl } from "./security.ts";

/** The most open streams of changes: in total, and from one address. */
const STREAMS_MAX = 256;
const STREAMS_OF_ADDRESS_MAX = 64;

/** Nothing on the way may keep events back: no proxy, and no middleware that compresses answers. */
const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};

export interface RoutesOptions extends CheckedDashboardOptions {
  readonly board: Board;
  readonly holds: Holds;
  /** Called with unexpected errors. */
  readonly failed: (error: Error) => void;
}

export function makeRoutes(options: RoutesOptions): Hono {
  const { basePath, board, hosts, token } = options;
  const app = new Hono({ strict: false }).basePath(basePath);
  app.onError((error) => {
    const answer = answerTo(error);
    if (answer === undefined) options.failed(error);
    return answer ?? answerToBug();
  });
  app.notFound(() => refuse(new Refusal("NOT_FOUND", "There is nothing here.")));

  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (_context, methods) => {
        const allow = methods.join(", ");
        return refuse(new Refusal("METHOD_NOT_ALLOWED", `This takes ${allow}.`, { allow }));
      },
    }),
  );
  app.get("/healthz", (context) => healthOf(context, board, options.staleAfterMs));
  app.use(async ({ req }, next) => {
    checkUrl(req.raw);
    checkHost(req.raw, hosts);
    await next();
  });
  for (const path of ["/api/*", "/metrics"]) {
    app.use(path, async ({ req, header }, next) => {
      checkOrigin(req.raw);
      checkBearer(req.raw, token);
      for (const [name, value] of Object.entries(DATA_HEADERS)) header(name, value);
      await next();
    });
  }
  app.use("/api/*", async (_context, next) => {
    if (board.isClosed) throw new HeartbitError("PRESENCE_CLOSED", "The dashboard is closed.");
    await next();
  });
  const pace = new Pace(internalsOf(board.presence).clock);
  app.get("/metrics", metricsRoute(options.metrics, pace));
  app.all("/api/changes", changes(options, pace));
  const pulse = new Pulse(board, pace);
  app.get("/api/pulse", async ({ req, body }) => {
    const after = queryOf(req.raw, ["after"]).one("after") ?? "0";
    if (!/^\d{1,15}$/.test(after)) throw bad("after", "the number of a read");
    return body(await pulse.view(Number(after)), 200, { "content-type": "application/json" });
  });
  addKeysRoutes(app, { ...options, pace });
  const start = basePath.length + 1;
  app.get("/*", ({ req }) => {
    const { pathname } = new URL(req.url);
    if (pathname.length < start) return servePageAt(basePath.slice(basePath.lastIndexOf("/") + 1));
    return servePage(pathname.slice(start));
  });
  return app;
}

/** 200, or 503 if it has been stale for too long, failed or was closed. Omits the reason, which may name hosts. */
function healthOf(context: Context, board: Board, staleAfterMs: number): Response {
  const { state, since } = board.health;
  const { clock } = internalsOf(board.presence);
  const isStale = state === "stale" && since !== undefined && clock.now() - since.getTime() > staleAfterMs;
  const isWell = state !== "failed" && !isStale;
  for (const [name, value] of Object.entries(DATA_HEADERS)) context.header(name, value);
  return context.json({ state, ...(since === undefined ? {} : { since }) }, isWell ? 200 : 503);
}

/** Requests that come meanwhile get the same text, so that many at once cost little. */
function metricsRoute(
  metrics: RoutesOptions["metrics"],
  pace: Pace,
): (context: Context) => Promise<Response> {
  let underWay: Promise<string> | undefined;
  return async ({ body }) => {
    if (metrics === undefined) throw new Refusal("NOT_FOUND", "This server has no metrics.");
    underWay ??= pace
      .next()
      .then(metrics)
      .finally(() => (underWay = undefined));
    return body(await underWay, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  };
}

/** Counts the open streams. Throws a refusal at the limits; returns a function that counts the stream as ended. */
function countStreams(): (address: string | undefined) => () => void {
  let streams = 0;
  const ofAddress = new Map<string, number>();
  return (address) => {
    const count = address === undefined ? 0 : (ofAddress.get(address) ?? 0);
    if (count >= STREAMS_OF_ADDRESS_MAX) {
      const limit = `${STREAMS_OF_ADDRESS_MAX} streams of your address are open: the limit.`;
      throw new Refusal("TOO_MANY_STREAMS", limit);
    }
    if (streams >= STREAMS_MAX) {
      throw new Refusal("TOO_MANY_STREAMS", `${STREAMS_MAX} streams are open: the limit.`);
    }
    streams++;
    if (address !== undefined) ofAddress.set(address, count + 1);
    return () => {
      streams--;
      if (address === undefined) return;
      const left = (ofAddress.get(address) ?? 1) - 1;
      if (left > 0) ofAddress.set(address, left);
      else ofAddress.delete(address);
    };
  };
}

function changes({ board, allowWrites }: RoutesOptions, pace: Pace): (context: Context) => Response {
  const instance = randomBytes(6).toString("hex");
  const enter = countStreams();
  return ({ req, body }) => {
    if (req.raw.method !== "GET")
      throw new Refusal("METHOD_NOT_ALLOWED", "This takes GET.", { allow: "GET" });
    const query = queryOf(req.raw, ["lastEventId"]);
    const leave = enter(addressOf(req.raw));
    let stopListening: (() => void) | undefined;
    const ended = (): void => {
      stopListening?.();
      leave();
    };
    const lastEventId = req.header("last-event-id") ?? query.one("lastEventId");
    const stream = new ChangeStream({ board, pace, allowWrites, instance, lastEventId, ended });
    // For a client that goes before it has taken anything, only this fires.
    stopListening = onGone(req.raw, () => stream.end());
    return body(stream.readable(), 200, STREAM_HEADERS);
  };
}
