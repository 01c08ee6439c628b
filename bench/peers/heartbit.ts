/** heartbit itself, by its public API: each process is a presence. They share one client. */
import type { Db } from "mongodb";
import { type Clock, Presence } from "../../src/index.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { fill, persist } from "./fill.ts";
import { RETENTION_SLOTS } from "./heartbit-port.ts";
import { forMany } from "./many.ts";
import { AT_ONCE, connectTo, STREAMS_POOL } from "./mongo-peer.ts";
import { type Fleet, type FleetSize, keysOf, type Member, type Peer, type PeerOptions } from "./peer.ts";

/** Above so many keys in all, a process starts one pinger, and its other keys are written through the store's port. */
const PINGERS_MAX = 20_000;
/** Each of these writes a thousand keys and more: a server answers a few such calls in their time, not fifty. */
const FILLED_AT_ONCE = 4;
/**
 * By chance nothing is pruned in the first retention. The stand-in goes through all keys for that, whatever the limit: of
 * a million it would do nothing else.
 */
const LATE_PRUNING: Clock = { ...systemClock, random: () => (1 + Math.random()) / 2 };

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
    const asPingers = size.processes * size.keysEach <= PINGERS_MAX;
    await forMany(size.processes, asPingers ? AT_ONCE : FILLED_AT_ONCE, async (process) => {
      const clock = asPingers ? systemClock : LATE_PRUNING;
      const presence = await persist(() => this.#open(this.#db, clock));
      presences.push(presence);
      const keys = keysOf(process, size);
      const started = asPingers ? keys : keys.slice(0, 1);
      await Promise.all(started.map((key) => presence.pinger(key).start()));
      await this.#fill(presence, keys.slice(started.length));
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

  async who(): Promise<number> {
    const { keys } = await (await this.#presence()).list();
    return keys.filter(({ alive }) => alive).length;
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

  async #open(db = this.#db, clock = systemClock): Promise<Presence> {
    const { name, periodMs } = this.#options;
    const presence = await Presence.open(db, {
      name,
      periodMs,
      retentionSlots: RETENTION_SLOTS,
      feed: this.#feed,
      clock,
    });
    this.#presences.push(presence);
    return presence;
  }

  async #fill({ session }: Presence, keys: readonly string[]): Promise<void> {
    if (keys.length === 0 || session === undefined) return;
    const { name, periodMs } = this.#options;
    const namespace = mongoStore(this.#db).namespace(name, { periodMs, retentionSlots: RETENTION_SLOTS });
    const slot = Math.floor(Date.now() / periodMs);
    await fill(namespace, [{ session, slot, keys, firstPinger: 1 }]);
  }
}
