/**
 * Connects our own client again where the driver never would. (The caller repairs its own `Db`.)
 *
 * A primary lists the members of its replica set, and the driver forgets all other servers, as MongoDB's specification
 * of server discovery says. A server that is shutting down or being set up may list no members. Then the driver forgets
 * all servers and never searches again.
 *
 * A server logs its connections out when their user is dropped, and does not log them in when the user is created
 * again. The driver logs in only once, when it makes a connection, and keeps using the logged-out connections.
 */
import type { Document, MongoClient, TopologyDescriptionChangedEvent } from "mongodb";
import { quietly } from "../../lib/handled.ts";
import { systemClock } from "../../lib/system-clock.ts";

const RETRY_MS_MIN = 250;
/** Each attempt is a login, and a server may lock out a user who fails too often. */
const RETRY_MS_MAX = 5000;

export class Reconnector {
  readonly #client: MongoClient;
  /** Whether it is not begun, or has ended. */
  #isOver = true;
  #isChecking = false;
  #isReconnecting = false;

  constructor(client: MongoClient) {
    this.#client = client;
  }

  /** Begins, once the client has connected: what is wrong before that is for the caller to know. */
  begin(): void {
    this.#isOver = false;
    this.#client.on("topologyDescriptionChanged", this.#onTopology);
  }

  end(): void {
    this.#isOver = true;
    this.#client.off("topologyDescriptionChanged", this.#onTopology);
  }

  /** Connects again if the server has logged the user out. */
  async checkLogin(): Promise<void> {
    if (
      this.#isOver ||
      this.#isChecking ||
      this.#isReconnecting ||
      this.#client.options.credentials === undefined
    )
      return;
    this.#isChecking = true;
    try {
      const { authInfo } = await this.#client.db("admin").command({ connectionStatus: 1 });
      const users: unknown = (authInfo as Document | undefined)?.["authenticatedUsers"];
      if (Array.isArray(users) && users.length === 0) await this.#reconnect();
    } catch {
      // The next refusal checks again.
    } finally {
      this.#isChecking = false;
    }
  }

  readonly #onTopology = ({ newDescription }: TopologyDescriptionChangedEvent): void => {
    if (newDescription.servers.size === 0) void this.#reconnect();
  };

  async #reconnect(): Promise<void> {
    if (this.#isReconnecting || this.#isOver) return;
    this.#isReconnecting = true;
    await quietly(this.#client.close()); // this reports an empty topology too, which is ignored
    for (let pauseMs = RETRY_MS_MIN; !this.#isOver && !(await this.#connects()); pauseMs *= 2) {
      await new Promise<void>((resolve) => systemClock.setTimer(resolve, Math.min(pauseMs, RETRY_MS_MAX)));
    }
    this.#isReconnecting = false;
    if (this.#isOver) await quietly(this.#client.close());
  }

  async #connects(): Promise<boolean> {
    return this.#client.connect().then(
      () => true,
      () => false,
    );
  }
}
