/** heartbit's reading by the port of its store and the roster: what a watcher does at its start, and in each period. */
import type { Db } from "mongodb";
import { Roster } from "../../src/core/roster.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Cursor, Namespace } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { RETENTION_SLOTS } from "./heartbit-port.ts";
import { connectTo } from "./mongo-peer.ts";
import type { PeerOptions } from "./peer.ts";

export class PortReader {
  readonly #db: Db;
  readonly #namespace: Namespace;
  readonly #periodMs: number;
  #roster = new Roster();
  #cursor: Cursor | undefined;

  static async open(options: PeerOptions): Promise<PortReader> {
    return new PortReader(options, await connectTo(options));
  }

  private constructor({ name, periodMs }: PeerOptions, db: Db) {
    this.#db = db;
    this.#namespace = mongoStore(db).namespace(name, { periodMs, retentionSlots: RETENTION_SLOTS });
    this.#periodMs = periodMs;
  }

  /** Reads all anew; gives how many keys are alive. */
  async start(): Promise<number> {
    this.#roster = new Roster();
    this.#cursor = undefined;
    await this.#read();
    return [...this.#roster.keys()].filter((key) => this.#roster.isAlive(key)).length;
  }

  /** Reads who has pinged, and what has changed; gives how many keys have. */
  async period(): Promise<number> {
    await this.#read();
    return this.#roster.changes().length;
  }

  async close(): Promise<void> {
    await this.#namespace.close();
    await this.#db.client.close();
  }

  async #read(): Promise<void> {
    const slot = Math.floor(Date.now() / this.#periodMs);
    const [records] = await Promise.all([this.#namespace.pings(slot - 1), this.#readChanges()]);
    for (const record of records) this.#roster.bits(record);
    this.#roster.judge(slot, slot - RETENTION_SLOTS);
  }

  async #readChanges(): Promise<void> {
    const query = { select: EVERYTHING, since: this.#cursor };
    for await (const { sessions, beings, cursor } of this.#namespace.read(query)) {
      for (const session of sessions) this.#roster.session(session);
      for (const being of beings) this.#roster.being(being);
      this.#cursor = cursor ?? this.#cursor;
    }
  }
}
