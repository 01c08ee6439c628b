/** A namespace in a MongoDB database. */
import type { Document } from "mongodb";
import type { PingRecord } from "../../core/bits.ts";
import { HeartbitError, isHeartbitError } from "../../core/errors.ts";
import { type Config, mergeConfigs } from "../../core/records.ts";
import type { Selection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type {
  Feed,
  FeedSink,
  Finding,
  Namespace,
  Page,
  Pruned,
  PruneQuery,
  ReadQuery,
  StoreNotice,
  Write,
} from "../../core/store.ts";
import type { Context } from "./context.ts";
import { CONFIG_ID, COUNTER_ID, toConfig, toSeq } from "./documents.ts";
import { examine } from "./examine.ts";
import {
  codeOf,
  DUPLICATE_KEY,
  NAMESPACE_NOT_FOUND,
  ServerRefusal,
  toHeartbitError,
  TYPE_MISMATCH,
} from "./failures.ts";
import { openFeed } from "./feed.ts";
import { createIndexes } from "./indexes.ts";
import { prune } from "./pruning.ts";
import { find, pings, read } from "./reading.ts";
import { askServer } from "./server.ts";
import { kill, ping, write } from "./writing.ts";

const ATTEMPTS_MAX = 10;

export class MongoNamespace implements Namespace {
  readonly #context: Context;
  readonly #closers = new Set<() => unknown>();

  constructor(context: Context) {
    this.#context = context;
  }

  async config(): Promise<Config | undefined> {
    const { meta } = this.#context.names;
    for await (const [document] of find(this.#context, meta, { _id: CONFIG_ID })) {
      if (document !== undefined) return this.#understood(document);
    }
    return undefined;
  }

  async configure(wanted: Config): Promise<Config> {
    const config = await this.config();
    // Who may only read opens a namespace as it is. The indexes are there since the first to open it made them.
    const asItIs = (error: unknown): Config => {
      if (config === undefined || !isHeartbitError(error, "NOT_PERMITTED")) throw error;
      return config;
    };
    await createIndexes(this.#context.calls, this.#context.names).catch(asItIs);
    return this.#hold(config, wanted).catch(asItIs); // also without the right to make indexes
  }

  /** Stores what holds when `wanted` opens it and `config` was found. */
  async #hold(config: Config | undefined, wanted: Config): Promise<Config> {
    if (config !== undefined && mergeConfigs(config, wanted) === config) return config;
    const { version, periodMs, offset, retentionSlots, base } = wanted;
    const update = {
      $setOnInsert: { version, period: periodMs, offset, base },
      $max: { retention: retentionSlots },
    };
    return this.#understood(await this.#modifyMeta("set its config", { _id: CONFIG_ID }, update));
  }

  async raiseOffset(from: number, to: number): Promise<number> {
    const { calls, limits, names } = this.#context;
    const updates = [{ q: { _id: CONFIG_ID, offset: from }, u: { $set: { offset: to } } }];
    await calls.write("raise the offset", { update: names.meta, updates }, limits.openingMs);
    const config = await this.config();
    return config?.offset ?? from;
  }

  async time(): Promise<number> {
    const { calls, limits, monitor } = this.#context;
    await this.#context.server();
    const { localTimeMs } = await askServer(calls, limits.quickMs);
    monitor.clock.sample(localTimeMs);
    return localTimeMs;
  }

  /** A number is lost where the call that took it fails; none is given twice. */
  async nextSeq(): Promise<number> {
    const increment = { $inc: { seq: 1 } };
    const counter = await this.#modifyMeta("number a session", { _id: COUNTER_ID }, increment).catch(
      (error: unknown) => {
        if (codeOf(error) === TYPE_MISMATCH) return {}; // what is there is no number
        throw error;
      },
    );
    const seq = toSeq(counter);
    if (seq !== undefined) return seq;
    throw notOurs(`The counter in ${this.#context.names.meta}`);
  }

  async write(writes: readonly Write[]): Promise<void> {
    await write(this.#context, writes);
  }

  async ping(slot: Slot, seqs: readonly number[]): Promise<void> {
    await ping(this.#context, slot, seqs);
  }

  async kill(key: string): Promise<void> {
    await kill(this.#context, key);
  }

  async pings(from: Slot): Promise<PingRecord[]> {
    return pings(this.#context, from);
  }

  read(query: ReadQuery): AsyncIterable<Page> {
    return read(this.#context, query);
  }

  async prune(query: PruneQuery): Promise<Pruned> {
    return prune(this.#context, query);
  }

  async drop(): Promise<void> {
    const { calls, limits, names } = this.#context;
    for (const collection of Object.values(names)) {
      try {
        await calls.write("drop the namespace", { drop: collection }, limits.openingMs);
      } catch (error) {
        if (codeOf(error) !== NAMESPACE_NOT_FOUND) throw error;
      }
    }
  }

  feed(select: Selection, sink: FeedSink): Feed {
    const feed = openFeed(this.#context, select, sink);
    const close = async (): Promise<void> => {
      this.#closers.delete(close);
      await feed.close();
    };
    this.#closers.add(close);
    return { ready: feed.ready, close };
  }

  notices(listener: (notice: StoreNotice) => void): () => void {
    const end = this.#context.monitor.listen(listener);
    const close = (): void => {
      this.#closers.delete(close);
      end();
    };
    this.#closers.add(close);
    return close;
  }

  async examine(beforeSlot: Slot): Promise<Finding[]> {
    return examine(this.#context, beforeSlot);
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#closers, (close) => close()));
  }

  /**
   * Updates a document of `meta`, made if it is not there, and gives it as it is then. Of many that make it at once
   * all but one may fail with E11000, as MongoDB documents: repeated, they find it.
   */
  async #modifyMeta(doing: string, query: Document, update: Document): Promise<Document> {
    const { calls, limits, names } = this.#context;
    await this.#context.server();
    const command = { findAndModify: names.meta, query, update, upsert: true, new: true };
    for (let attempt = 1; ; attempt++) {
      try {
        const { value }: Document = await calls.write(doing, command, limits.openingMs);
        if (typeof value === "object" && value !== null) return value as Document;
        // Some servers of other makers answer so where MongoDB answers E11000.
        if (attempt === ATTEMPTS_MAX) throw new ServerRefusal(DUPLICATE_KEY, `${names.meta} is contended`);
      } catch (error) {
        if (codeOf(error) !== DUPLICATE_KEY || attempt === ATTEMPTS_MAX) throw toHeartbitError(error, doing);
      }
    }
  }

  #understood(document: Document): Config {
    const config = toConfig(document);
    if (config !== undefined) return config;
    throw notOurs(`The config in ${this.#context.names.meta}`);
  }
}

/** No waiting can heal it. */
function notOurs(what: string): HeartbitError {
  return new HeartbitError("CONFIG_MISMATCH", `${what} is not one of heartbit's.`);
}
