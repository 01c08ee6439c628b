import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Limits the number of a server's connections. For a new one the connection that has been idle longest makes room, so
 * idle clients keep nobody out. If all have a request under way, the new one is closed.
 */
export function boundConnections(server: Server, max: number): void {
  const open = new Set<Socket>();
  /** Connections without a request under way, the longest idle first. */
  const idle = new Set<Socket>();
  /** How many requests are under way. */
  const asking = new Map<Socket, number>();
  const forget = (socket: Socket): void => {
    for (const some of [open, idle, asking]) some.delete(socket);
  };
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    idle.add(socket);
    socket.once("close", () => forget(socket));
    if (open.size <= max) return;
    for (const longest of idle) {
      forget(longest);
      longest.destroy();
      return;
    }
  });
  server.on("request", ({ socket }: IncomingMessage, outgoing: ServerResponse) => {
    idle.delete(socket);
    asking.set(socket, (asking.get(socket) ?? 0) + 1);
    outgoing.once("close", () => {
      const left = (asking.get(socket) ?? 1) - 1;
      if (left > 0) asking.set(socket, left);
      else if (asking.delete(socket) && open.has(socket)) idle.add(socket);
    });
  });
}
