/** heartbit itself, by its public API: each process is a presence. */
import type { Db } from "mongodb";
import { type Clock, Presence } from "../../src/index.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { benchDatabase } from "../servers/database.ts";
import { persist } from "./fill.ts";
import { RETENTION_SLOTS } from "./heartbit-port.ts";
import { forMany } from "./many.ts";
import { AT_ONCE, connectTo, STREAMS_POOL } from "./mongo-peer.ts";
import { type Fleet, type FleetSize, keysOf, type Member, type Peer, type PeerOptions } from "./peer.ts";

/** With a thousand keys or more each, so many processes start at a time. */
const FEW_AT_ONCE = 4;
const MANY_KEYS = 1000;
/**
 * By chance nothing is pruned in the first retention. The stand-in goes through all keys for that, whatever the limit: of
 * a million it would do nothing else.
 */
export const LATE_PRUNING: Clock = { ...systemClock, random: () => (1 + Math.random()) / 2 };

/** `feed`: `poll` as on a server without change streams. */
export async function openHeartbit(options: PeerOptions, feed: "auto" | "poll" = "auto"): Promise<Peer> {
  return new Heartbit(options, await connectTo(options), feed);
}

class Heartbit implements Peer {
  readonly #options: PeerOptions;
  readonly #db: Db;
  readonly #feed: "auto" | "poll";
  readonly #presences: Presence[] = [];
  #own: Promise<Presence> | undefined;
  #watching: Promise<Db> | undefined;

  constructor(options: PeerOptions, db: Db, feed: "auto" | "poll") {
    this.#options = options;
    this.#db = db;
    this.#feed = feed;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const presences: Presence[] = [];
    await forMany(size.processes, size.keysEach < MANY_KEYS ? AT_ONCE : FEW_AT_ONCE, async (process) => {
      const clock = size.processes * size.keysEach < MANY_KEYS * MANY_KEYS ? systemClock : LATE_PRUNING;
      // As README shows: a connection string, so a client of its own.
      const target =
        size.ownClients === true ? benchDatabase(this.#options.uri ?? "", this.#options.name) : this.#db;
      const presence = await persist(() => this.#open(target, clock));
      presences.push(presence);
      await presence.hold(keysOf(process, size));
    });
    return {
      close: async () => {
        await forMany(presences.length, AT_ONCE, (index) => presences[index]!.close());
      },
    };
  }

  async join(key: string): Promise<Member> {
    const pinger = (await this.#presence()).pinger(key);
    await pinger.start();
    let news = 0;
    return { update: () => pinger.update({ news: ++news }), kill: () => pinger.kill() };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    this.#watching ??= connectTo(this.#options, STREAMS_POOL);
    const watcher = (await this.#open(await this.#watching)).watcher();
    watcher.watch({ all: true }, ({ key, alive }) => told(key, alive));
    await watcher.sync();
  }

  async close(): Promise<void> {
    await Promise.all(this.#presences.map((presence) => presence.close({ linger: true })));
    await this.#db.client.close();
    await (await this.#watching)?.client.close();
  }

  /** The one in which this process joins and reads. */
  #presence(): Promise<Presence> {
    return (this.#own ??= this.#open());
  }

  async #open(target: Db | string = this.#db, clock = systemClock): Promise<Presence> {
    const { name, periodMs } = this.#options;
    const presence = await Presence.open(target, {
      name,
      periodMs,
      retentionSlots: RETENTION_SLOTS,
      feed: this.#feed,
      clock,
    });
    this.#presences.push(presence);
    return presence;
  }
}
