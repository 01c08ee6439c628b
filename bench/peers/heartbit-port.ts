/** heartbit by the port of its store: what presences write, for more processes than fit into this one as presences. */
import { type Db, Int32 } from "mongodb";
import { groupBits } from "../../src/core/bits.ts";
import { FORMAT_VERSION } from "../../src/core/records.ts";
import type { Namespace, Store } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { wait } from "../measure/time.ts";
import { fill, fillSessions } from "./fill.ts";
import { connectTo } from "./mongo-peer.ts";
import { type FleetSize, keysOf, type PeerOptions } from "./peer.ts";

export const RETENTION_SLOTS = 120;

/** Opens a namespace of the store and sets it up. */
export async function setUp(store: Store, name: string, periodMs: number): Promise<Namespace> {
  const namespace = store.namespace(name, { periodMs, retentionSlots: RETENTION_SLOTS });
  await namespace.configure({
    version: FORMAT_VERSION,
    periodMs,
    offset: 0,
    retentionSlots: RETENTION_SLOTS,
    base: 0,
  });
  return namespace;
}
export class PortFleet {
  readonly namespace: Namespace;
  readonly seqs: readonly number[];
  readonly db: Db;
  readonly #options: PeerOptions;

  static async open(options: PeerOptions, size: FleetSize): Promise<PortFleet> {
    const db = await connectTo(options);
    const { name, periodMs } = options;
    const namespace = await setUp(mongoStore(db), name, periodMs);
    const slot = Math.floor(Date.now() / periodMs);
    const seqs = await fillSessions(namespace, size.processes, slot);
    await fill(
      namespace,
      seqs.map((session, process) => ({ session, slot, keys: keysOf(process, size) })),
    );
    const fleet = new PortFleet(db, namespace, seqs, options);
    await fleet.pingAll();
    return fleet;
  }

  private constructor(db: Db, namespace: Namespace, seqs: readonly number[], options: PeerOptions) {
    this.db = db;
    this.namespace = namespace;
    this.seqs = seqs;
    this.#options = options;
  }

  get slot(): number {
    return Math.floor(Date.now() / this.#options.periodMs);
  }

  /** One process's ping, as its presence makes it. */
  async ping(process: number): Promise<void> {
    await this.namespace.ping(this.slot, this.seqs[process]!);
  }

  /** As if all, or some, had pinged in this slot and in the one before: to keep alive what is only read. */
  async pingAll(seqs = this.seqs): Promise<void> {
    for (const slot of [this.slot - 1, this.slot]) await pingTogether(this.db, this.#options, slot, seqs);
  }

  /** Waits for the next slot, where this one ends in less than this many ms. */
  async withinSlot(leastMs: number): Promise<void> {
    const leftMs = this.#options.periodMs - (Date.now() % this.#options.periodMs);
    if (leftMs < leastMs) await wait(leftMs + 1);
  }

  async close(): Promise<void> {
    await this.namespace.close();
    await this.db.client.close();
  }
}

/** What is stored when these sessions have pinged in the slot: one write for each segment. */
export async function pingTogether(
  db: Db,
  { name, periodMs }: PeerOptions,
  slot: number,
  seqs: readonly number[],
): Promise<void> {
  const pings = db.collection<{ _id: string }>(`${name}.pings`);
  const expireAt = new Date(Date.now() + 2 * RETENTION_SLOTS * periodMs);
  for (const [segment, words] of groupBits(seqs)) {
    const bits = Object.fromEntries(Array.from(words, ([word, mask]) => [word, { or: new Int32(mask) }]));
    const stamped = {
      $inc: { count: 1 },
      $currentDate: { now: true as const },
      $setOnInsert: { slot, expireAt },
    };
    await pings.updateOne({ _id: `${slot}.${segment}` }, { $bit: bits, ...stamped }, { upsert: true });
  }
}
