/**
 * Keeps our own client searching for its servers.
 *
 * A primary lists the members of its replica set, and the driver forgets all other servers, as MongoDB's specification
 * of server discovery says. A server that is shutting down or being set up may list no members. Then the driver forgets
 * all servers and never searches again, so the client must be connected again from its connection string. (The caller
 * repairs its own `Db`.)
 */
import type { MongoClient, TopologyDescriptionChangedEvent } from "mongodb";
import { systemClock } from "../../lib/system-clock.ts";

const RETRY_MS = 250;

/** Returns a function that ends it. */
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
    await this.#client.close().catch(() => undefined); // this reports an empty topology too, which is ignored
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
