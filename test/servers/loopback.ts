/** A TCP server on the loopback, for what stands between a driver and a server, or in place of one. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface Loopback {
  /** "127.0.0.1:1234". */
  readonly address: string;
  /** How many connections are open. */
  readonly connections: number;
  /** Ends all connections, as a server that is started again. */
  readonly cut: () => void;
  readonly stop: () => Promise<void>;
}

export async function listen(accept: (client: Socket) => void): Promise<Loopback> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    open.add(client);
    client.on("error", () => client.destroy()).on("close", () => open.delete(client));
    accept(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const loopback = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return open.size;
    },
    cut: () => open.forEach((client) => client.destroy()),
    stop: async () => {
      loopback.cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return loopback;
}

/** Lets each of two connections end with the other. */
export function endTogether(client: Socket, upstream: Socket): void {
  client.on("close", () => upstream.destroy());
  upstream.on("error", () => client.destroy()).on("close", () => client.destroy());
}
