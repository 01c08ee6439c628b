/**
 * Reports what the driver's own monitoring finds: the loss and the return of a primary, and how many connections are
 * in use. There is one listener for each client, however many presences use it.
 */
import type {
  ConnectionClosedEvent,
  Document,
  MongoClient,
  ServerDescription,
  TopologyDescriptionChangedEvent,
} from "mongodb";
import type { StoreNotice } from "../../core/store.ts";
import { quietly } from "../../lib/handled.ts";
import { Semaphore } from "../../lib/queue.ts";
import { setLimit, systemClock } from "../../lib/system-clock.ts";
import { afterClosings } from "../../lib/turn.ts";

type Listener = (notice: StoreNotice) => void;

/** How long the driver looks, if its servers are as they were. */
const LOOK_MS = 1000;
/** A server that is only slow must not be asked more for that. */
const LOOK_AGAIN_MS = 5000;

/** The share of the client's connections that operations of the program may have, in all its presences together. */
const SHARE_OF_POOL = 0.3;

/** Connections that many writes together leave to pings: a ping may be sent once more. */
const LEFT_TO_PINGS = 2;

/** The kinds of servers that take writes. */
const WRITABLE = new Set(["RSPrimary", "Standalone", "Mongos", "LoadBalancer"]);

const monitors = new WeakMap<MongoClient, Monitor>();

/** Returns the monitor of a client: always the same one. */
export function monitorOf(client: MongoClient): Monitor {
  let monitor = monitors.get(client);
  if (monitor === undefined) monitors.set(client, (monitor = new Monitor(client)));
  return monitor;
}

export class Monitor {
  /** Limits how many operations of the program run at a time. */
  readonly semaphore: Semaphore;
  /** How many change streams are open on the client: each occupies a connection. */
  streams = 0;
  readonly #client: MongoClient;
  readonly #listeners = new Set<Listener>();
  #found = 0;
  /** When the driver was made to look: a monotonic time, in ms. */
  #looked = -Infinity;
  /** How many connections are in use, by the address of their server. */
  readonly #inUse = new Map<string, number>();
  /** How many writes are under way, in all presences together. */
  #writes = 0;

  constructor(client: MongoClient) {
    this.#client = client;
    const { maxPoolSize } = client.options;
    const most = maxPoolSize === 0 ? Infinity : Math.floor(SHARE_OF_POOL * maxPoolSize);
    this.semaphore = new Semaphore(Math.max(1, most));
  }

  /** How many times a server was found or a connection lost while somebody listened: its kind may have changed. */
  get found(): number {
    return this.#found;
  }

  /** How many connections to one server are in use at most, by whoever uses the client. */
  get inUse(): number {
    return Math.max(0, ...this.#inUse.values());
  }

  /**
   * Takes the next writes that go to the server together, as many of `most` as there are connections for, and awaits
   * them. One write always goes: the driver lets it wait for its turn.
   */
  async together<T>(most: number, take: (most: number) => Promise<T>[]): Promise<T[]> {
    const { maxPoolSize } = this.#client.options;
    const free = maxPoolSize === 0 ? most : maxPoolSize - LEFT_TO_PINGS - this.streams - this.#writes;
    const writes = take(Math.min(Math.max(free, 1), most));
    this.#writes += writes.length;
    return Promise.all(writes).finally(() => (this.#writes -= writes.length));
  }

  /**
   * Has the driver look at its servers now: otherwise it does so only every 10 s, and since 7.1 it does not conclude
   * from a refused connection that the primary has gone. The driver has no call for that. But while an
   * operation waits for a server that does not exist, it looks at all servers twice a second: so we make one wait.
   */
  look(): void {
    const now = systemClock.monotonic();
    if (now - this.#looked < LOOK_AGAIN_MS) return;
    this.#looked = now;
    const nobody = { mode: "secondary", tags: [{ heartbit: "nobody" }] };
    const over = new AbortController();
    const cancel = setLimit(() => over.abort(), LOOK_MS);
    const options: Document = { readPreference: nobody, signal: over.signal };
    void quietly(this.#client.db("admin").command({ ping: 1 }, options)).finally(cancel);
  }

  /** Calls the listener with each notice from now on. Returns a function that ends it. */
  listen(listener: Listener): () => void {
    const own: Listener = (notice) => listener(notice); // the same function may be added twice
    if (this.#listeners.size === 0) this.#attach();
    this.#listeners.add(own);
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#detach();
    };
  }

  #attach(): void {
    this.#client.on("topologyDescriptionChanged", this.#onTopology);
    this.#client.on("connectionClosed", this.#onClosed);
    this.#client.on("connectionCheckedOut", this.#onTaken);
    this.#client.on("connectionCheckedIn", this.#onReturned);
  }

  #detach(): void {
    this.#client.off("topologyDescriptionChanged", this.#onTopology);
    this.#client.off("connectionClosed", this.#onClosed);
    this.#client.off("connectionCheckedOut", this.#onTaken);
    this.#client.off("connectionCheckedIn", this.#onReturned);
    this.#inUse.clear();
  }

  /** The driver looks at its servers every 10 s only: one that was started again meanwhile shows in its connections. */
  readonly #onClosed = ({ reason }: ConnectionClosedEvent): void => {
    if (reason === "error") this.#found++;
  };

  readonly #onTaken = ({ address }: { readonly address: string }): void => {
    this.#inUse.set(address, (this.#inUse.get(address) ?? 0) + 1);
  };

  /** One that was taken before this listened does not count. */
  readonly #onReturned = ({ address }: { readonly address: string }): void => {
    this.#inUse.set(address, Math.max(0, (this.#inUse.get(address) ?? 0) - 1));
  };

  /** Another kind of server answers than before. */
  noteOtherKind(): void {
    void this.#notify({ kind: "lost", reason: "the server has become another kind of deployment" });
    void this.#notify({ kind: "found" });
  }

  readonly #onTopology = ({ previousDescription, newDescription }: TopologyDescriptionChangedEvent): void => {
    const before = primaryOf(previousDescription.servers.values());
    const now = primaryOf(newDescription.servers.values());
    if (before === now) return;
    if (before !== undefined)
      void this.#notify({ kind: "lost", reason: reasonOf(newDescription.servers.values()) });
    if (now === undefined) return;
    this.#found++;
    void this.#notify({ kind: "found" });
  };

  /** Later, since listeners call the server at once: see `Calls.twice`. */
  async #notify(notice: StoreNotice): Promise<void> {
    await afterClosings();
    for (const listener of this.#listeners) listener(notice);
  }
}

/**
 * Identifies the server that takes the writes: by its address, its election and its process, so that a restart between
 * two checks counts as a loss. (Any of several routers will do, so the first one counts.)
 */
function primaryOf(servers: Iterable<ServerDescription>): string | undefined {
  for (const { type, address, electionId, topologyVersion } of servers) {
    if (!WRITABLE.has(type)) continue;
    const process = topologyVersion?.processId.toHexString() ?? "";
    return `${address} ${electionId?.toHexString() ?? ""} ${process}`;
  }
  return undefined;
}

function reasonOf(servers: Iterable<ServerDescription>): string {
  for (const { error } of servers) if (error) return `the primary was lost: ${error.message}`;
  return "the primary was lost";
}
