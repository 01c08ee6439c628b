/**
 * Naive MongoDB: a document a key with the time at which it was last seen, stamped by the server; an index over that
 * time; readers that poll. Two ways to write: a process updates each of its keys by itself, or all in one bulk.
 */
import type { AnyBulkWriteOperation, Collection } from "mongodb";
import { AT_ONCE, connectTo } from "./mongo-peer.ts";
import { pollAlive, repeat } from "./poll.ts";
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

interface Seen {
  readonly _id: string;
  readonly lastSeen: Date;
}

/** In one command; more are no faster. */
const BULK_MAX = 1000;
/** How often a reader looks: as often as heartbit does where a server has no change streams. */
const POLL_MS = 1000;
/** The broom: what has not been seen for ten minutes goes. */
const EXPIRES_SECONDS = 600;

const SEEN = { $currentDate: { lastSeen: true } } as const;

export async function openNaive(options: PeerOptions, writes: "single" | "bulk"): Promise<Peer> {
  const db = await connectTo(options);
  const seen = db.collection<Seen>("naive");
  await seen.createIndex({ lastSeen: 1 }, { expireAfterSeconds: EXPIRES_SECONDS });
  return new Naive(options, seen, writes);
}

class Naive implements Peer {
  readonly #options: PeerOptions;
  readonly #seen: Collection<Seen>;
  readonly #writes: "single" | "bulk";
  /** End what it does again and again. */
  readonly #ends = new Set<() => void>();

  constructor(options: PeerOptions, seen: Collection<Seen>, writes: "single" | "bulk") {
    this.#options = options;
    this.#seen = seen;
    this.#writes = writes;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    await forMany(size.processes, AT_ONCE, (process) => this.#bulk(keysOf(process, size)));
    return {
      ping: async (process) => {
        const keys = keysOf(process, size);
        if (this.#writes === "bulk") await this.#bulk(keys);
        else for (const key of keys) await this.#single(key);
      },
      close: async () => {
        await this.#seen.deleteMany({});
      },
    };
  }

  async join(key: string): Promise<Member> {
    const end = await repeat(() => this.#single(key), this.#options.periodMs);
    this.#ends.add(end);
    return {
      kill: async () => {
        end();
        await this.#seen.deleteOne({ _id: key });
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    this.#ends.add(await pollAlive(() => this.#alive(), Math.min(POLL_MS, this.#options.periodMs), told));
  }

  async who(): Promise<number> {
    return (await this.#alive()).length;
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    await this.#seen.db.client.close();
  }

  async #single(key: string): Promise<void> {
    await this.#seen.updateOne({ _id: key }, SEEN, { upsert: true });
  }

  async #bulk(keys: readonly string[]): Promise<void> {
    for (let first = 0; first < keys.length; first += BULK_MAX) {
      const updates = keys.slice(first, first + BULK_MAX).map((key): AnyBulkWriteOperation<Seen> => ({
        updateOne: { filter: { _id: key }, update: SEEN, upsert: true },
      }));
      await this.#seen.bulkWrite(updates, { ordered: false });
    }
  }

  /** By the index alone would not do: the keys stand in the documents. */
  async #alive(): Promise<string[]> {
    const after = new Date(Date.now() - silenceMs(this.#options));
    const found = await this.#seen.find({ lastSeen: { $gte: after } }, { projection: { _id: 1 } }).toArray();
    return found.map(({ _id }) => _id);
  }
}
