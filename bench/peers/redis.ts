/**
 * Redis: one key a process, which expires and is set again in each period, and a set of the keys that it holds. Joins
 * and leaves are published; of a process that has expired Redis itself notifies. The other way, with a key that
 * expires for each key, sets all of them again in each period, those of a process in one pipeline.
 */
import { createClient } from "redis";
import { forMany } from "./many.ts";
import { repeat } from "./poll.ts";
import {
  type Fleet,
  type FleetSize,
  keysOf,
  type Member,
  type Peer,
  type PeerOptions,
  silenceMs,
} from "./peer.ts";

type Client = Awaited<ReturnType<typeof connect>>;

/** What expires: a key for each process, or one for each key. */
type Expires = "processes" | "keys";

const CONNECTIONS = 100;
const MEMBERS_AT_ONCE = 1000;

export async function openRedis(options: PeerOptions, expires: Expires): Promise<Peer> {
  return new Redis(options, expires, await connect(options));
}

async function connect({ address }: PeerOptions) {
  return createClient({ socket: { host: address.host, port: address.port } }).connect();
}

class Redis implements Peer {
  readonly #options: PeerOptions;
  readonly #expires: Expires;
  readonly #client: Client;
  readonly #others: Client[] = [];
  readonly #ends = new Set<() => void>();

  constructor(options: PeerOptions, expires: Expires, client: Client) {
    this.#options = options;
    this.#expires = expires;
    this.#client = client;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const clients: Client[] = [];
    const count = size.ownClients === true ? size.processes : Math.min(size.processes, CONNECTIONS);
    await forMany(count, 10, async (index) => {
      clients[index] = await connect(this.#options);
    });
    const ping = async (process: number): Promise<void> => {
      const client = clients[process % clients.length];
      if (client === undefined) return;
      if (this.#expires === "processes") await this.#ping(client, `${process}`);
      else await this.#setAll(client, keysOf(process, size));
    };
    await forMany(size.processes, CONNECTIONS, async (process) => {
      if (this.#expires === "processes") await this.#hold(`${process}`, keysOf(process, size));
      await ping(process);
    });
    return {
      ping,
      close: async () => {
        await this.#client.flushAll();
        for (const client of clients) client.destroy();
      },
    };
  }

  async join(key: string): Promise<Member> {
    await this.#hold(key, [key]);
    await this.#ping(this.#client, key);
    await this.#client.publish(this.#name("joined"), key);
    const end = await repeat(() => this.#ping(this.#client, key), this.#options.periodMs);
    this.#ends.add(end);
    return {
      kill: async () => {
        end();
        await this.#client
          .multi()
          .del([this.#name(`process:${key}`), this.#name(`keys:${key}`)])
          .publish(this.#name("left"), key)
          .exec();
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    const client = await connect(this.#options);
    this.#others.push(client);
    const prefix = this.#name("process:");
    const expired = async (name: string): Promise<void> => {
      if (!name.startsWith(prefix)) return;
      const keys = await this.#client.sMembers(this.#name(`keys:${name.slice(prefix.length)}`));
      for (const key of keys) told(key, false);
    };
    await client.subscribe(this.#name("joined"), (key) => told(key, true));
    await client.subscribe(this.#name("left"), (key) => told(key, false));
    await client.subscribe("__keyevent@0__:expired", (name) => void expired(name));
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    for (const client of [this.#client, ...this.#others]) client.destroy();
  }

  #name(rest: string): string {
    return `${this.#options.name}:${rest}`;
  }

  async #hold(process: string, keys: readonly string[]): Promise<void> {
    for (let first = 0; first < keys.length; first += MEMBERS_AT_ONCE)
      await this.#client.sAdd(this.#name(`keys:${process}`), keys.slice(first, first + MEMBERS_AT_ONCE));
  }

  async #ping(client: Client, process: string): Promise<void> {
    await client.set(this.#name(`process:${process}`), "", { PX: silenceMs(this.#options) });
  }

  async #setAll(client: Client, keys: readonly string[]): Promise<void> {
    const pipeline = client.multi();
    for (const key of keys) pipeline.set(this.#name(`key:${key}`), "", { PX: silenceMs(this.#options) });
    await pipeline.execAsPipeline();
  }
}
