/**
 * Redis: a key that expires for each key, set anew in each period, all of a process's in one pipeline. Joins are
 * published; ends are Redis' own notifications of what has expired or was deleted.
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

const CONNECTIONS = 100;
const JOINED = "joined";
const SCAN_COUNT = 1000;

export async function openRedis(options: PeerOptions): Promise<Peer> {
  return new Redis(options, await connect(options));
}

async function connect({ address }: PeerOptions) {
  return createClient({ socket: { host: address.host, port: address.port } }).connect();
}

class Redis implements Peer {
  readonly #options: PeerOptions;
  readonly #client: Client;
  readonly #others: Client[] = [];
  readonly #ends = new Set<() => void>();

  constructor(options: PeerOptions, client: Client) {
    this.#options = options;
    this.#client = client;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const clients: Client[] = [];
    await forMany(Math.min(size.processes, CONNECTIONS), 10, async () => {
      clients.push(await connect(this.#options));
    });
    const ping = async (process: number): Promise<void> => {
      const client = clients[process % clients.length];
      if (client !== undefined) await this.#set(client, keysOf(process, size));
    };
    await forMany(size.processes, CONNECTIONS, ping);
    return {
      ping,
      close: async () => {
        await this.#client.flushAll();
        for (const client of clients) client.destroy();
      },
    };
  }

  async join(key: string): Promise<Member> {
    await this.#client
      .multi()
      .set(this.#name(key), "", { PX: silenceMs(this.#options) })
      .publish(this.#name(JOINED), key)
      .exec();
    const end = await repeat(() => this.#set(this.#client, [key]), this.#options.periodMs);
    this.#ends.add(end);
    return {
      kill: async () => {
        end();
        await this.#client.del(this.#name(key));
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    const client = await connect(this.#options);
    this.#others.push(client);
    const prefix = this.#name("");
    const gone = (name: string): void => {
      if (name.startsWith(prefix)) told(name.slice(prefix.length), false);
    };
    await client.subscribe(this.#name(JOINED), (key) => told(key, true));
    await client.subscribe(["__keyevent@0__:expired", "__keyevent@0__:del"], gone);
  }

  async who(): Promise<number> {
    let count = 0;
    const pages = this.#client.scanIterator({ MATCH: `${this.#name("")}*`, COUNT: SCAN_COUNT });
    for await (const names of pages) count += names.length;
    return count;
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    for (const client of [this.#client, ...this.#others]) client.destroy();
  }

  /** Of a key, in Redis. */
  #name(key: string): string {
    return `${this.#options.name}:${key}`;
  }

  async #set(client: Client, keys: readonly string[]): Promise<void> {
    const pipeline = client.multi();
    for (const key of keys) pipeline.set(this.#name(key), "", { PX: silenceMs(this.#options) });
    await pipeline.execAsPipeline();
  }
}
