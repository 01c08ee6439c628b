/** A proxy on the loopback that knows where one message of MongoDB's wire protocol ends and the next begins. */
import { createServer, type Socket } from "node:net";
import { findUpstream } from "./upstream.ts";
import { withOptions } from "./uri.ts";

export interface WireProxyOptions {
  /** Sees each message that a client sends, as it passes. */
  readonly sent?: (message: Buffer) => void;
  /** Gives what a client gets in place of a message of the server's. */
  readonly received?: (message: Buffer) => Buffer;
}

export interface WireProxy {
  /** A connection string without a database. Clients that use it know no other way to the server. */
  readonly uri: string;
  /** How many connections are open. */
  readonly connections: number;
  stop(): Promise<void>;
}

export async function startWireProxy(uri: string, options: WireProxyOptions = {}): Promise<WireProxy> {
  const { sent = () => {}, received = (message) => message } = options;
  const open = new Set<Socket>();
  const to = await findUpstream(uri);
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = to.connect().setNoDelay();
    open.add(client);
    const close = (): void => {
      open.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", close).on("close", close);
    client.on(
      "data",
      inMessages((message) => {
        sent(message);
        upstream.write(message);
      }),
    );
    upstream.on(
      "data",
      inMessages((message) => void client.write(received(message))),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    uri: withOptions(to.uriAt(`127.0.0.1:${address.port}`), "directConnection=true"),
    get connections() {
      return open.size;
    },
    async stop() {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Each message begins with its length. */
function inMessages(pass: (message: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
      const message = rest.subarray(0, rest.readInt32LE(0));
      rest = rest.subarray(message.length);
      pass(message);
    }
  };
}
