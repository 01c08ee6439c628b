/** heartbit by the port of its store: what presences write, for more processes than fit into this one as presences. */
import type { Db } from "mongodb";
import { FORMAT_VERSION } from "../../src/core/records.ts";
import type { Namespace, Store } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { wait } from "../measure/time.ts";
import { fill, fillSessions } from "./fill.ts";
import { connectTo } from "./mongo-peer.ts";
import { type FleetSize, keysOf, type Peer, type PeerOptions } from "./peer.ts";

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
/** So many pings are under way at a time. */
const PINGS_AT_ONCE = 32;

/** What of heartbit its pings are: a fleet that does nothing besides. How many keys a process has makes no difference to it. */
export function openPings(options: PeerOptions): Pick<Peer, "fleet" | "close"> {
  return {
    fleet: async ({ processes }) => {
      const fleet = await PortFleet.open(options, { processes, keysEach: 1 });
      return { ping: (process) => fleet.ping(process), close: () => fleet.close() };
    },
    close: () => Promise.resolve(),
  };
}

export class PortFleet {
  readonly namespace: Namespace;
  readonly seqs: readonly number[];
  readonly db: Db;
  readonly #periodMs: number;

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
    const fleet = new PortFleet(db, namespace, seqs, periodMs);
    await fleet.pingAll();
    return fleet;
  }

  private constructor(db: Db, namespace: Namespace, seqs: readonly number[], periodMs: number) {
    this.db = db;
    this.namespace = namespace;
    this.seqs = seqs;
    this.#periodMs = periodMs;
  }

  get slot(): number {
    return Math.floor(Date.now() / this.#periodMs);
  }

  /** One process's ping, as its presence makes it. */
  async ping(process: number): Promise<void> {
    await this.namespace.ping(this.slot, this.seqs[process]!);
  }

  /** Pings of all, or of some, in this slot and the one before: to keep alive what is only read. */
  async pingAll(seqs = this.seqs): Promise<void> {
    for (const slot of [this.slot - 1, this.slot]) await pingTogether(this.namespace, slot, seqs);
  }

  /** Waits for the next slot, where this one ends in less than this many ms. */
  async withinSlot(leastMs: number): Promise<void> {
    const leftMs = this.#periodMs - (Date.now() % this.#periodMs);
    if (leftMs < leastMs) await wait(leftMs + 1);
  }

  async close(): Promise<void> {
    await this.namespace.close();
    await this.db.client.close();
  }
}

/** The pings of some sessions in a slot, many at a time. */
export async function pingTogether(
  namespace: Pick<Namespace, "ping">,
  slot: number,
  seqs: readonly number[],
): Promise<void> {
  for (let first = 0; first < seqs.length; first += PINGS_AT_ONCE) {
    await Promise.all(seqs.slice(first, first + PINGS_AT_ONCE).map((seq) => namespace.ping(slot, seq)));
  }
}
