/** The server behind a proxy of the tests. */
import { connect as connectPlainly, type Socket } from "node:net";
import { connect as connectByTls } from "node:tls";
import { MongoClient } from "mongodb";
import { addressOf, isAlone, withHost, withOptions } from "./uri.ts";

export interface Upstream {
  /** A connection to where writes go, of all the hosts that the connection string names; by TLS if it says so. */
  connect(): Socket;
  /** The connection string for clients of a proxy at this address, which need no TLS. */
  uriAt(address: string): string;
}

export async function findUpstream(uri: string): Promise<Upstream> {
  const client = await new MongoClient(uri).connect();
  try {
    const { primary } = await client.db("admin").command({ hello: 1 });
    // As connected: read from the files that the connection string names, and from the DNS.
    const { hosts, tls, ca, cert, key, rejectUnauthorized, credentials } = client.options;
    const { host, port } = addressOf(
      `mongodb://${typeof primary === "string" ? primary : String(hosts[0])}/`,
    );
    const name = host.replace(/^\[(.*)\]$/, "$1");
    const secrets = { ca, cert, key, rejectUnauthorized };
    const source = credentials === undefined || isAlone(uri) ? "" : `authSource=${credentials.source}`;
    return {
      connect: () =>
        tls
          ? connectByTls({ host: name, port, servername: host === name ? host : "", ...secrets })
          : connectPlainly(port, name),
      uriAt: (address) => withOptions(withHost(uri, address), uri.includes("authSource=") ? "" : source),
    };
  } finally {
    await client.close();
  }
}
