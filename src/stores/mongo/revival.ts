/**
 * Connects a client of ours again where the driver itself never would. (A `Db` of the caller's is the caller's to mend.)
 *
 * A primary says who belongs to its replica set, and the driver forgets whoever does not, as MongoDB's specification
 * of server discovery has it. A server that is shutting down, or that is set up anew, may say that nobody does: then
 * all are forgotten, and the driver never looks for any again.
 *
 * A server logs its connections out when their user is dropped, and does not log them in when the user is created again.
 * The driver logs in only once, when it makes a connection, and goes on using them.
 */
import type { Document, MongoClient, TopologyDescriptionChangedEvent } from "mongodb";
import { systemClock } from "../../lib/system-clock.ts";

const RETRY_MS_MIN = 250;
/** Each try is a login, and servers lock out who fails too often. */
const RETRY_MS_MAX = 5000;

export class Reviver {
  readonly #client: MongoClient;
  #isOver = false;
  #isChecking = false;
  #isReviving = false;

  constructor(client: MongoClient) {
    this.#client = client;
    client.on("topologyDescriptionChanged", this.#onTopology);
  }

  end(): void {
    this.#isOver = true;
    this.#client.off("topologyDescriptionChanged", this.#onTopology);
  }

  /** Connects again if the server has logged the user out. */
  async checkLogin(): Promise<void> {
    if (this.#isChecking || this.#isReviving || this.#client.options.credentials === undefined) return;
    this.#isChecking = true;
    try {
      const { authInfo } = await this.#client.db("admin").command({ connectionStatus: 1 });
      const users: unknown = (authInfo as Document | undefined)?.["authenticatedUsers"];
      if (Array.isArray(users) && users.length === 0) await this.#revive();
    } catch {
      // It is asked again at the next refusal.
    } finally {
      this.#isChecking = false;
    }
  }

  readonly #onTopology = ({ newDescription }: TopologyDescriptionChangedEvent): void => {
    if (newDescription.servers.size === 0) void this.#revive();
  };

  async #revive(): Promise<void> {
    if (this.#isReviving || this.#isOver) return;
    this.#isReviving = true;
    await this.#client.close().catch(() => undefined); // it tells of an empty topology itself, which is not heeded
    for (let pauseMs = RETRY_MS_MIN; !this.#isOver && !(await this.#connects()); pauseMs *= 2) {
      await new Promise<void>((resolve) => systemClock.setTimer(resolve, Math.min(pauseMs, RETRY_MS_MAX)));
    }
    this.#isReviving = false;
    if (this.#isOver) await this.#client.close().catch(() => undefined);
  }

  async #connects(): Promise<boolean> {
    return this.#client.connect().then(
      () => true,
      () => false,
    );
  }
}
