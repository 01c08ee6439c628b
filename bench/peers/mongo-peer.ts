/** What the ways of using MongoDB share: a client and a database. */
import { type Db, MongoClient } from "mongodb";
import { benchDatabase } from "../servers/database.ts";
import type { PeerOptions } from "./peer.ts";

/** As many as the driver opens by default. */
const CONNECTIONS = 100;
/** Where many change streams are open: each takes a connection, and heartbit wants as many for its other calls. */
export const STREAMS_POOL = 1000;
/** How many calls are made at once where many are: enough to keep a server of two cores busy. */
export const AT_ONCE = 50;

/** As safe as heartbit's writes: a peer that is acknowledged by one server does less. */
export const MAJORITY = { writeConcern: { w: "majority" } } as const;

export async function connectTo({ uri, name }: PeerOptions, maxPoolSize = CONNECTIONS): Promise<Db> {
  if (uri === undefined) throw new Error("a MongoDB peer needs a uri");
  const client = new MongoClient(benchDatabase(uri, name), { maxPoolSize });
  await client.connect();
  return client.db();
}
