/** The peers by their names, for whoever starts them in a process of their own. */
import { openDesign2014 } from "./design2014.ts";
import { openEtcd } from "./etcd.ts";
import { openHeartbit } from "./heartbit.ts";
import { openNaive } from "./naive.ts";
import type { Peer, PeerOptions } from "./peer.ts";
import { openRawStream } from "./raw-stream.ts";
import { openRedis } from "./redis.ts";
import { openZookeeper } from "./zookeeper.ts";

export const PEERS = {
  heartbit: (options: PeerOptions) => openHeartbit(options),
  "heartbit, polling": (options: PeerOptions) => openHeartbit(options, "poll"),
  "naive MongoDB": openNaive,
  "2014 design": openDesign2014,
  "raw change stream": openRawStream,
  Redis: (options: PeerOptions) => openRedis(options, "processes"),
  "Redis, a key each": (options: PeerOptions) => openRedis(options, "keys"),
  etcd: openEtcd,
  ZooKeeper: openZookeeper,
} satisfies Readonly<Record<string, (options: PeerOptions) => Promise<Peer>>>;

export type PeerName = keyof typeof PEERS;
