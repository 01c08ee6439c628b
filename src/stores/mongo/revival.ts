/**
 * Keeps a client of ours looking for its servers.
 *
 * A primary says who belongs to its replica set, and the driver forgets whoever does not, as MongoDB's specification
 * of server discovery has it. A server that is shutting down, or that is set up anew, may say that nobody does: then
 * all are forgotten, and the driver never looks for any again. The client is connected anew from its connection
 * string. (A `Db` of the caller's is the caller's to mend.)
 */
import type { MongoClient, TopologyDescriptionChangedEvent } from "mongodb";
import { systemClock } from "../../lib/system-clock.ts";

const RETRY_MS = 250;

/** The result ends it. */
export function keepLooking(client: MongoClient): () => void {
  const reviver = new Reviver(client);
  client.on("topologyDescriptionChanged", reviver.onTopology);
  return () => {
    reviver.isOver = true;
    client.off("topologyDescriptionChanged", reviver.onTopology);
  };
}

class Reviver {
  isOver = false;
  readonly #client: MongoClient;
  #isReviving = false;

  constructor(client: MongoClient) {
    this.#client = client;
  }

  readonly onTopology = ({ newDescription }: TopologyDescriptionChangedEvent): void => {
    if (newDescription.servers.size === 0 && !this.#isReviving && !this.isOver) void this.#revive();
  };

  async #revive(): Promise<void> {
    this.#isReviving = true;
    await this.#client.close().catch(() => undefined); // it tells of an empty topology itself, which is not heeded
    while (!this.isOver && !(await this.#connects())) {
      await new Promise<void>((resolve) => systemClock.setTimer(resolve, RETRY_MS));
    }
    this.#isReviving = false;
    if (this.isOver) await this.#client.close().catch(() => undefined);
  }

  async #connects(): Promise<boolean> {
    return this.#client.connect().then(
      () => true,
      () => false,
    );
  }
}
