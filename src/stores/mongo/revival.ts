/**
 * Keeps a client of ours looking for its servers.
 *
 * A primary says who belongs to its replica set, and the driver forgets whoever does not, as MongoDB's specification
 * of server discovery has it. A server that is shutting down, or that is set up anew, may say that nobody does: then
 * all are forgotten, and the driver never looks for any again. The client is connected anew from its connection
 * string. (A `Db` of the caller's is the caller's to mend.)
 */
import type { MongoClient, TopologyDescriptionChangedEvent } from "mongodb";
import { systemClock } from "../../system-clock.ts";

const RETRY_MS = 250;

/** The result ends it. */
export function keepLooking(client: MongoClient): () => void {
  let isOver = false;
  let isReviving = false;

  const revive = async (): Promise<void> => {
    isReviving = true;
    await client.close().catch(() => undefined); // it tells of an empty topology itself, which is not heeded
    while (!isOver) {
      const isConnected = await client.connect().then(
        () => true,
        () => false,
      );
      if (isConnected) break;
      await new Promise<void>((resolve) => systemClock.setTimer(resolve, RETRY_MS));
    }
    isReviving = false;
    if (isOver) await client.close().catch(() => undefined);
  };

  const onTopology = ({ newDescription }: TopologyDescriptionChangedEvent): void => {
    if (newDescription.servers.size === 0 && !isReviving && !isOver) void revive();
  };
  client.on("topologyDescriptionChanged", onTopology);
  return () => {
    isOver = true;
    client.off("topologyDescriptionChanged", onTopology);
  };
}
