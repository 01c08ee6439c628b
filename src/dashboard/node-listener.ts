/** The handler for servers that are not given a `Request`: Node's own, Express, Fastify, Connect. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { invalid, show } from "../core/checks.ts";
import { noteConnection } from "./clients.ts";
import type { Dashboard } from "./dashboard.ts";

/**
 * Stands in for the host name of a request without one, such as a check of a load balancer in HTTP/1.0. Nobody has this
 * name (RFC 2606), so only `/healthz` answers.
 */
const NO_HOST = "none.invalid";

/** What frameworks add to a request. */
interface Mounted {
  /** Express: the whole path, where `url` has only the part below the mount point. */
  readonly originalUrl?: unknown;
  /** The body, where a parser has consumed it. */
  readonly body?: unknown;
  /** The body as it came: read in place of the stream. */
  rawBody?: unknown;
}

/**
 * The handler as a listener of Node's requests, for `http.createServer`, and for `app.use(basePath, listener)` of
 * Express and its like. It may be mounted at the dashboard's `basePath`, or get every request, before or after a parser
 * of bodies. Throws `INVALID_OPTION` if the handler is no function.
 *
 * ```ts
 * const { handler } = dashboard(presence, { basePath: "/presence" });
 * app.use("/presence", toNodeListener(handler));
 * ```
 */
export function toNodeListener(
  handler: Dashboard["handler"],
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  if (typeof handler !== "function") throw invalid("handler", show(handler), "the handler of a dashboard");
  const listener = getRequestListener(
    (request, { incoming }) => handler(noteConnection(request, incoming.socket)),
    { overrideGlobalObjects: false, hostname: NO_HOST },
  );
  return (incoming, outgoing) => {
    const mounted: IncomingMessage & Mounted = incoming;
    if (typeof mounted.originalUrl === "string") incoming.url = mounted.originalUrl;
    if (incoming.readableDidRead) mounted.rawBody ??= toRawBody(mounted.body);
    void listener(incoming, outgoing);
  };
}

/** JSON is what the routes take, so this is what a parser of bodies has taken. */
function toRawBody(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : (JSON.stringify(body) ?? ""));
}
