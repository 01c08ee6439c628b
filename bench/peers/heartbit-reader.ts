/** heartbit's reading by the port of its store and the roster: what a watcher does at its start, and in each period. */
import type { Db } from "mongodb";
import { forEachSession } from "../../src/core/bits.ts";
import { Roster } from "../../src/core/roster.ts";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Cursor, Namespace } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { RETENTION_SLOTS } from "./heartbit-port.ts";
import { connectTo } from "./mongo-peer.ts";
import type { PeerOptions } from "./peer.ts";

/** How far back a watcher looks at its start. */
const FIRST_LOOK_SLOTS = 4;

export class PortReader {
  readonly #db: Db;
  readonly #namespace: Namespace;
  readonly #periodMs: number;
  #roster = new Roster();
  #cursor: Cursor | undefined;
  #periods = 0;

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
    await this.#read(FIRST_LOOK_SLOTS);
    return this.#roster.changes().length; // joins alone
  }

  /**
   * As in quiet times: reads who has pinged in this slot, and in every other call what has changed; gives how many have
   * pinged.
   */
  async period(): Promise<number> {
    this.#periods++;
    const pinged = await this.#read(0, this.#periods % 2 === 0);
    this.#roster.changes();
    return pinged;
  }

  async close(): Promise<void> {
    await this.#namespace.close();
    await this.#db.client.close();
  }

  /** The pings of so many slots back, too. Gives how many there are in all. */
  async #read(slotsBack: number, changes = true): Promise<number> {
    const slot = Math.floor(Date.now() / this.#periodMs);
    const [records] = await Promise.all([
      this.#namespace.pings(slot - slotsBack),
      changes ? this.#readChanges() : undefined,
    ]);
    let pinged = 0;
    for (const record of records) forEachSession(record, () => pinged++);
    this.#roster.addPings(records);
    this.#roster.evaluate(slot, slot - RETENTION_SLOTS);
    return pinged;
  }

  async #readChanges(): Promise<void> {
    const query = { select: EVERYTHING, since: this.#cursor };
    for await (const { sessions, registrations, cursor } of this.#namespace.read(query)) {
      for (const session of sessions) this.#roster.addSession(session);
      for (const registration of registrations) this.#roster.addRegistration(registration);
      this.#cursor = cursor ?? this.#cursor;
    }
  }
}
