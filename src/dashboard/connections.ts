import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Keeps a server's connections to a number. Where one more comes, the one that has asked for nothing for longest makes
 * room: so those who connect and say nothing keep nobody out. Where all have a request under way, the new one goes.
 */
export function boundConnections(server: Server, max: number): void {
  const open = new Set<Socket>();
  /** Without a request under way, those that have been so for longest first. */
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
