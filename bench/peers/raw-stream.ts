/**
 * A change stream of MongoDB's as the driver gives it, over a collection with a document a key: the soonest that a
 * client can be told of a write. It keeps nobody alive, so it has no fleet and knows no crash.
 */
import type { ChangeStream, Collection } from "mongodb";
import { connectTo, STREAMS_POOL } from "./mongo-peer.ts";
import type { Fleet, Member, Peer, PeerOptions } from "./peer.ts";

interface Key {
  readonly _id: string;
  readonly news?: number;
}

export async function openRawStream(options: PeerOptions): Promise<Peer> {
  const db = await connectTo(options, STREAMS_POOL);
  return new RawStream(db.collection<Key>("raw"));
}

class RawStream implements Peer {
  readonly #keys: Collection<Key>;
  readonly #streams: ChangeStream<Key>[] = [];

  constructor(keys: Collection<Key>) {
    this.#keys = keys;
  }

  fleet(): Promise<Fleet> {
    return Promise.reject(new Error("a raw change stream keeps nobody alive"));
  }

  async join(key: string): Promise<Member> {
    await this.#keys.insertOne({ _id: key }, { writeConcern: { w: "majority" } });
    return {
      update: async () => {
        await this.#keys.updateOne({ _id: key }, { $inc: { news: 1 } }, { writeConcern: { w: "majority" } });
      },
      kill: async () => {
        await this.#keys.deleteOne({ _id: key }, { writeConcern: { w: "majority" } });
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    const stream = this.#keys.watch<Key>();
    stream.on("change", (change) => {
      if (!("documentKey" in change)) return;
      const { _id: key } = change.documentKey;
      told(key, change.operationType !== "delete");
    });
    this.#streams.push(stream);
    await new Promise((resolve) => stream.once("resumeTokenChanged", resolve));
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) await stream.close();
    await this.#keys.db.client.close();
  }
}
