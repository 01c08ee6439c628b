/** A standalone server for the dashboard, with limits on what a connection may cost. */
import { lookup } from "node:dns/promises";
import { createServer, type Server } from "node:http";
import { isIPv6 } from "node:net";
import { systemClock } from "../lib/system-clock.ts";
import { turn } from "../lib/turn.ts";
import { invalid } from "../core/checks.ts";
import { boundConnections } from "./connections.ts";
import type { Dashboard } from "./dashboard.ts";
import { toNodeListener } from "./node-listener.ts";

export const DEFAULT_PORT = 7077;

const LIMITS = {
  /** The size of all headers together. */
  maxHeaderSize: 16 * 1024,
  /** How long a client may take to send its headers, and its whole request, in ms. */
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  /** How often these limits are checked: they may be exceeded by this much. */
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 5000,
} as const;
const CONNECTIONS_MAX = 1024;
/** How long a client may leave sent data untaken, in ms: four times the longest silence of a stream. */
const TAKING_MS_MAX = 60_000;
/** How long closing waits for clients to take sent data, in ms. */
const END_LIMIT_MS = 3000;

export interface Serving {
  /** Its address for browsers: `http://127.0.0.1:7077/`. */
  readonly url: string;
  /** Accepts no more requests, and ends the dashboard and its streams. Idempotent; never rejects. */
  readonly close: () => Promise<void>;
}

export interface ServeOptions {
  /** A host name or address of this machine. Without a token it must be a loopback address. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly hasToken: boolean;
  /** For tests: how long a client may leave sent data untaken, in ms. */
  readonly takingMs?: number;
  /** For tests: the most connections. */
  readonly connectionsMax?: number;
}

/**
 * Serves the dashboard. Rejects with `INVALID_OPTION` if the address can be reached from other machines and there is no
 * token, and with Node's error if the port is not available.
 */
export async function serve(
  dashboard: Dashboard,
  { host, port, hasToken, takingMs = TAKING_MS_MAX, connectionsMax = CONNECTIONS_MAX }: ServeOptions,
): Promise<Serving> {
  // Bind the address that was checked: a name could resolve to another one the next time.
  const { address } = await lookup(host).catch(() => {
    throw invalid("host", JSON.stringify(host), "a host name or address of this machine");
  });
  if (!hasToken && !isLoopback(address)) {
    throw invalid(
      "host",
      JSON.stringify(host),
      "a loopback address such as 127.0.0.1 where there is no token",
    );
  }
  const server = createServer(LIMITS);
  boundConnections(server, connectionsMax, toNodeListener(dashboard.handler));
  // Otherwise a client that takes nothing keeps its connection and its stream for ever.
  server.timeout = takingMs;
  // A client keeps its connection for the next request; when the server closes, there will be none.
  server.on("request", (_incoming, outgoing) => {
    outgoing.once("close", () => {
      if (!server.listening) void turn().then(() => server.closeIdleConnections());
    });
  });
  await listen(server, port, address);
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${isIPv6(address) ? `[${address}]` : address}:${boundPort}/`,
    close() {
      closing ??= end(server, dashboard);
      return closing;
    },
  };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address.startsWith("::ffff:127.");
}

function listen(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Answers requests under way and ends streams, but does not wait for a client that takes nothing. */
async function end(server: Server, dashboard: Dashboard): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cancel = systemClock.setTimer(() => server.closeAllConnections(), END_LIMIT_MS);
  await dashboard.close();
  server.closeIdleConnections();
  await closed;
  cancel();
}
