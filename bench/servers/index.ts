/** All servers that a comparison needs: MongoDB's, and those of the others that are installed. */
import type { PeerName } from "../peers/index.ts";
import type { PeerOptions } from "../peers/peer.ts";
import { startMongo } from "./mongo.ts";
import { type Others, startOthers } from "./others.ts";
import type { BenchServer } from "./server.ts";

export class Servers {
  readonly #mongo: BenchServer;
  readonly #others: Others;

  static async start(): Promise<Servers> {
    return new Servers(await startMongo(), await startOthers());
  }

  private constructor(mongo: BenchServer, others: Others) {
    this.#mongo = mongo;
    this.#others = others;
  }

  /** The names and versions of those that run, and of those that are missing. */
  get names(): { running: string[]; missing: readonly string[] } {
    const running = [this.#mongo, ...Object.values(this.#others.running)].map(({ name }) => name);
    return { running, missing: this.#others.missing };
  }

  /** The server that a peer needs; undefined where it is not installed. */
  of(peer: PeerName): BenchServer | undefined {
    const { redis, etcd, zookeeper } = this.#others.running;
    if (peer.startsWith("Redis")) return redis;
    if (peer === "etcd") return etcd;
    if (peer === "ZooKeeper") return zookeeper;
    return this.#mongo;
  }

  async stop(): Promise<void> {
    await this.#others.stop();
    await this.#mongo.stop();
  }
}

/** What a peer is opened with. */
export function optionsFor({ address, uri }: BenchServer, name: string, periodMs: number): PeerOptions {
  const option = { address, name: name.replaceAll(/\W+/g, "-"), periodMs };
  return uri === undefined ? option : { ...option, uri };
}
