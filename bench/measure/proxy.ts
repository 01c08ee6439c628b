/** A proxy on the loopback that counts the bytes that pass. It costs time: never in the way of what is timed. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class CountingProxy {
  readonly port: number;
  /** From clients to the server, and back. */
  sent = 0;
  received = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  static async start(target: { readonly host: string; readonly port: number }): Promise<CountingProxy> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy has no port");
    const proxy = new CountingProxy(server, address.port, sockets);
    server.on("connection", (client) => {
      const upstream = connect({ ...target, noDelay: true });
      client.on("data", (data) => (proxy.sent += data.length));
      upstream.on("data", (data) => (proxy.received += data.length));
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
      }
    });
    return proxy;
  }

  private constructor(server: Server, port: number, sockets: Set<Socket>) {
    this.#server = server;
    this.port = port;
    this.#sockets = sockets;
  }

  /** The bytes that pass while `work` runs, both ways. */
  async during(work: () => unknown): Promise<number> {
    const before = this.sent + this.received;
    await work();
    return this.sent + this.received - before;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
