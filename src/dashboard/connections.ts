import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** A client that sends requests without waiting for answers may have this many under way. */
const UNDER_WAY_MAX = 4;

/**
 * Limits the number of a server's connections, and what each of them may ask for at a time, and passes the requests on
 * to the listener. For a new connection the one that has been idle longest makes room, so idle clients keep nobody out.
 * If all have a request under way, the new one is closed. One with too many requests under way is closed, too.
 */
export function boundConnections(server: Server, max: number, listener: RequestListener): void {
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
  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { socket } = incoming;
    const underWay = asking.get(socket) ?? 0;
    if (underWay === UNDER_WAY_MAX) {
      socket.destroy();
      return;
    }
    idle.delete(socket);
    asking.set(socket, underWay + 1);
    outgoing.once("close", () => {
      const left = (asking.get(socket) ?? 1) - 1;
      if (left > 0) asking.set(socket, left);
      else if (asking.delete(socket) && open.has(socket)) idle.add(socket);
    });
    listener(incoming, outgoing);
  });
}
