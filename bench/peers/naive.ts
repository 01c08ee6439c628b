/**
 * Naive MongoDB: a document a process with the time at which it was last seen, stamped by the server, and an index over
 * that time. The keys of a process stand in another document, which is written once, so that a ping updates little.
 * Readers poll: they read which processes are alive, and the keys of those that they do not know yet.
 */
import type { Collection } from "mongodb";
import { AT_ONCE, connectTo, MAJORITY } from "./mongo-peer.ts";
import { pollAlive, repeat } from "./poll.ts";
import { forMany } from "./many.ts";
import {
  type Fleet,
  type FleetSize,
  keysOf,
  type Member,
  type PeerOptions,
  type Polled,
  silenceMs,
} from "./peer.ts";

interface Seen {
  readonly _id: string;
  readonly lastSeen: Date;
}

interface Keys {
  readonly _id: string;
  readonly keys: readonly string[];
}

/** How often a reader looks: as often as heartbit does where a server has no change streams. */
const POLL_MS = 1000;
/** What has not been seen for ten minutes is removed. */
const EXPIRES_SECONDS = 600;

const SEEN = { $currentDate: { lastSeen: true } } as const;

export async function openNaive(options: PeerOptions): Promise<Polled> {
  const db = await connectTo(options);
  const seen = db.collection<Seen>("seen");
  await seen.createIndex({ lastSeen: 1 }, { expireAfterSeconds: EXPIRES_SECONDS });
  return new Naive(options, seen, db.collection<Keys>("keys"));
}

class Naive implements Polled {
  readonly #options: PeerOptions;
  readonly #seen: Collection<Seen>;
  readonly #keys: Collection<Keys>;
  /** Of processes that this reader knows. */
  readonly #known = new Map<string, readonly string[]>();
  /** End what it does again and again. */
  readonly #ends = new Set<() => void>();

  constructor(options: PeerOptions, seen: Collection<Seen>, keys: Collection<Keys>) {
    this.#options = options;
    this.#seen = seen;
    this.#keys = keys;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const own: Collection<Seen>[] = [];
    const ping = async (process: number): Promise<void> => this.#ping(`${process}`, own[process]);
    await forMany(size.processes, AT_ONCE, async (process) => {
      if (size.ownClients === true) own[process] = (await connectTo(this.#options)).collection<Seen>("seen");
      await this.#register(`${process}`, keysOf(process, size));
      await ping(process);
    });
    return {
      ping,
      close: async () => {
        await this.#seen.deleteMany({});
        await this.#keys.deleteMany({});
        await Promise.all(own.map((seen) => seen.db.client.close()));
      },
    };
  }

  async join(key: string): Promise<Member> {
    await this.#register(key, [key]);
    const end = await repeat(() => this.#ping(key), this.#options.periodMs);
    this.#ends.add(end);
    return {
      kill: async () => {
        end();
        await this.#seen.deleteOne({ _id: key }, MAJORITY);
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    this.#ends.add(await pollAlive(() => this.#alive(), Math.min(POLL_MS, this.#options.periodMs), told));
  }

  async who(): Promise<number> {
    this.#known.clear();
    return this.whoAgain();
  }

  async whoAgain(): Promise<number> {
    return (await this.#alive()).length;
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    await this.#seen.db.client.close();
  }

  async #register(process: string, keys: readonly string[]): Promise<void> {
    await this.#keys.insertOne({ _id: process, keys }, MAJORITY);
  }

  async #ping(process: string, seen = this.#seen): Promise<void> {
    await seen.updateOne({ _id: process }, SEEN, { upsert: true, ...MAJORITY });
  }

  async #alive(): Promise<string[]> {
    const after = new Date(Date.now() - silenceMs(this.#options));
    const found = await this.#seen.find({ lastSeen: { $gte: after } }, { projection: { _id: 1 } }).toArray();
    const unknown = found.map(({ _id }) => _id).filter((process) => !this.#known.has(process));
    if (unknown.length > 0) {
      for await (const { _id, keys } of this.#keys.find({ _id: { $in: unknown } }))
        this.#known.set(_id, keys);
    }
    return found.flatMap(({ _id }) => this.#known.get(_id) ?? []);
  }
}
