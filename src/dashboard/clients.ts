/** The client of a request: its address, and when it has gone. */
import { onAbort } from "../lib/abort.ts";

/** A connection. Servers without sockets make one up, which may lack everything. */
interface Connection {
  readonly remoteAddress?: string | undefined;
  readonly destroyed?: boolean;
  readonly once?: (event: "close", listener: () => void) => unknown;
}

const addresses = new WeakMap<Request, string>();
const connections = new WeakMap<Request, AbortSignal>();
/** Aborted when the connection is closed. One for each connection, which may have several requests under way. */
const closings = new WeakMap<Connection, AbortSignal>();

/** Notes the connection on which the request came. */
export function noteConnection(request: Request, connection: Connection): Request {
  const { remoteAddress } = connection;
  if (remoteAddress !== undefined) addresses.set(request, remoteAddress);
  connections.set(request, closingOf(connection));
  return request;
}

/** Undefined if the handler is mounted in another server. */
export function addressOf(request: Request): string | undefined {
  return addresses.get(request);
}

/**
 * Calls `gone` when the client has gone, or at once if it already has. A request that waits behind another one of its
 * connection is not aborted when the connection is closed, so both are listened to. Returns a function that ends it.
 */
export function onGone(request: Request, gone: () => void): () => void {
  const stopListening = [request.signal, connections.get(request)].map((signal) => onAbort(signal, gone));
  return () => {
    for (const stop of stopListening) stop();
  };
}

function closingOf(connection: Connection): AbortSignal {
  const known = closings.get(connection);
  if (known !== undefined) return known;
  const closing = new AbortController();
  if (connection.destroyed === true) closing.abort();
  else connection.once?.("close", () => closing.abort());
  closings.set(connection, closing.signal);
  return closing.signal;
}
