/** ZooKeeper: a session a process, which its client keeps alive; an ephemeral node a key; readers watch the parent. */
import { promisify } from "node:util";
import zookeeper, { type Client } from "node-zookeeper-client";
import { forMany } from "./many.ts";
import {
  type Fleet,
  type FleetSize,
  keysOf,
  type Member,
  type Peer,
  type PeerOptions,
  silenceMs,
} from "./peer.ts";

const CREATES_AT_ONCE = 100;
const AT_ONCE = 20;

export async function openZookeeper(options: PeerOptions): Promise<Peer> {
  const peer = new Zookeeper(options);
  await peer.begin();
  return peer;
}

class Zookeeper implements Peer {
  readonly #options: PeerOptions;
  readonly #clients = new Set<Client>();
  #reader?: Client;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  async begin(): Promise<void> {
    this.#reader = await this.#connect(silenceMs(this.#options));
    await promisified(this.#reader).mkdirp(this.#root);
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const clients: Client[] = [];
    await forMany(size.processes, AT_ONCE, async (process) => {
      // The client keeps its session alive three times in the session's time-out: once a period.
      const client = await this.#connect(3 * this.#options.periodMs);
      clients.push(client);
      await this.#create(client, keysOf(process, size));
    });
    return {
      close: async () => {
        for (const client of clients) client.close();
      },
    };
  }

  async join(key: string): Promise<Member> {
    const client = await this.#connect(silenceMs(this.#options));
    await this.#create(client, [key]);
    return {
      kill: async () => {
        await promisified(client).remove(this.#path(key));
        client.close();
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    let known: ReadonlySet<string> | undefined;
    const look = async (): Promise<void> => {
      const names = await this.#children(() => void look().catch(() => {}));
      const now = new Set(names.map(decodeURIComponent));
      for (const key of known ?? []) if (!now.has(key)) told(key, false);
      if (known !== undefined) for (const key of now) if (!known.has(key)) told(key, true);
      known = now;
    };
    await look();
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
  }

  get #root(): string {
    return `/${this.#options.name}`;
  }

  #path(key: string): string {
    return `${this.#root}/${encodeURIComponent(key)}`;
  }

  #connect(sessionTimeout: number): Promise<Client> {
    const { host, port } = this.#options.address;
    const client = zookeeper.createClient(`${host}:${port}`, { sessionTimeout, retries: 3 });
    this.#clients.add(client);
    return new Promise((resolve) => {
      client.once("connected", () => resolve(client));
      client.connect();
    });
  }

  async #create(client: Client, keys: readonly string[]): Promise<void> {
    for (let first = 0; first < keys.length; first += CREATES_AT_ONCE) {
      const transaction = client.transaction();
      for (const key of keys.slice(first, first + CREATES_AT_ONCE)) {
        transaction.create(this.#path(key), Buffer.alloc(0), zookeeper.CreateMode.EPHEMERAL);
      }
      await promisify((done: (error: unknown) => void) => transaction.commit(done))();
    }
  }

  /** The names of the nodes there are; `changed` is called once, when they are no longer these. */
  #children(changed?: () => void): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const done = (error: unknown, names: string[]): void => (error ? reject(error) : resolve(names));
      if (changed === undefined) this.#reader?.getChildren(this.#root, done);
      else this.#reader?.getChildren(this.#root, changed, done);
    });
  }
}

/** What is used of a client, with promises. */
function promisified(client: Client): {
  mkdirp(path: string): Promise<unknown>;
  remove(path: string): Promise<unknown>;
} {
  return {
    mkdirp: promisify((path: string, done: (error: unknown) => void) => client.mkdirp(path, done)),
    remove: promisify((path: string, done: (error: unknown) => void) => client.remove(path, -1, done)),
  };
}
