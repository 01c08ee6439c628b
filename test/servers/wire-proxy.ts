/** A proxy on the loopback that knows where one message of MongoDB's wire protocol ends and the next begins. */
import { endTogether, listen } from "./loopback.ts";
import { findUpstream } from "./upstream.ts";
import { withOptions } from "./uri.ts";
import { onMessage } from "./wire.ts";

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
  const to = await findUpstream(uri);
  const loopback = await listen((client) => {
    const upstream = to.connect().setNoDelay();
    endTogether(client, upstream);
    onMessage(client, (message) => {
      sent(message);
      upstream.write(message);
    });
    onMessage(upstream, (message) => void client.write(received(message)));
  });
  return {
    uri: withOptions(to.uriAt(loopback.address), "directConnection=true"),
    get connections() {
      return loopback.connections;
    },
    stop: loopback.stop,
  };
}
