/** A server of its own for the dashboard, with limits on what a connection may cost. */
import { lookup } from "node:dns/promises";
import type { Server } from "node:http";
import { isIPv6 } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { systemClock } from "../lib/system-clock.ts";
import { invalid } from "../lib/arguments.ts";
import { noteAddress } from "./clients.ts";
import { boundConnections } from "./connections.ts";
import type { Dashboard } from "./dashboard.ts";

export const DEFAULT_PORT = 7077;

const LIMITS = {
  /** Of all headers together. */
  maxHeaderSize: 16 * 1024,
  /** How long a client may take to send its headers, and its whole request, in ms. */
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  /** How often those are looked at: so much longer they last at most. */
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 5000,
} as const;
const CONNECTIONS_MAX = 1024;
/** How long a client may take nothing of what it is sent, in ms: four times as long as a stream is silent at most. */
const TAKING_MS_MAX = 60_000;
/** How long closing waits for clients to take what they are sent, in ms. */
const END_LIMIT_MS = 3000;

export interface Serving {
  /** Where browsers find it: `http://127.0.0.1:7077/`. */
  readonly url: string;
  /** Takes no more requests and ends the dashboard, with its streams. Idempotent; never rejects. */
  readonly close: () => Promise<void>;
}

export interface ServeOptions {
  /** A host name or address of this machine. Only a loopback one, unless there is a token. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly hasToken: boolean;
  /** For tests: how long a client may take nothing of what it is sent, in ms. */
  readonly takingMs?: number;
  /** For tests: how many connections are kept. */
  readonly connectionsMax?: number;
}

/**
 * Serves the dashboard. Rejects with `INVALID_OPTION` where the address can be reached from other machines and there is no
 * token, and with Node's error where the port cannot be had.
 */
export async function serve(
  dashboard: Dashboard,
  { host, port, hasToken, takingMs = TAKING_MS_MAX, connectionsMax = CONNECTIONS_MAX }: ServeOptions,
): Promise<Serving> {
  // What is bound is the address that was looked at: a name could mean another one the next time.
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
  const server = createAdaptorServer({
    fetch: (request, { incoming }) => dashboard.handler(noteAddress(request, incoming.socket.remoteAddress)),
    overrideGlobalObjects: false,
    serverOptions: LIMITS,
  }) as Server;
  boundConnections(server, connectionsMax);
  // Else one that takes nothing has its connection, and its stream, for ever.
  server.timeout = takingMs;
  // A client keeps its connection for the next request: when the server closes there is none.
  server.on("request", (_incoming, outgoing) => {
    outgoing.once("close", () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
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

/** What is under way is answered, and the streams end with the dashboard; a client that takes nothing is left. */
async function end(server: Server, dashboard: Dashboard): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cancel = systemClock.setTimer(() => server.closeAllConnections(), END_LIMIT_MS);
  await dashboard.close();
  server.closeIdleConnections();
  await closed;
  cancel();
}
