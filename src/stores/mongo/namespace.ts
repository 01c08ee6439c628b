/** A namespace in a MongoDB database. */
import type { Document } from "mongodb";
import type { PingRecord } from "../../core/bits.ts";
import { HeartbitError, isHeartbitError, toError } from "../../core/errors.ts";
import { type Config, mergeConfigs } from "../../core/records.ts";
import type { Selection } from "../../core/selection.ts";
import type { Slot } from "../../core/slots.ts";
import type {
  Feed,
  FeedSink,
  Finding,
  Namespace,
  OpenRecords,
  Page,
  Pong,
  Pruned,
  PruneQuery,
  ReadQuery,
  StoreNotice,
  Write,
} from "../../core/store.ts";
import type { Context } from "./context.ts";
import { CONFIG_ID, COUNTER_ID, toConfig, toSeq } from "./documents.ts";
import { examine } from "./examine.ts";
import { codeOf, NAMESPACE_NOT_FOUND, TYPE_MISMATCH } from "./failures.ts";
import { openFeed } from "./feed.ts";
import { find } from "./find.ts";
import { createIndexes, INDEXES_VERSION } from "./indexes.ts";
import { prune } from "./pruning.ts";
import { countOpen, pings, read } from "./reading.ts";
import { askTime } from "./time.ts";
import { upsert } from "./upsert.ts";
import { kill, mail, ping, write } from "./writing.ts";

/** BadValue, FailedToParse, InvalidOptions, CommandNotSupported, ReadConcernMajorityNotEnabled, NotImplemented. */
const READ_CONCERN_REFUSALS = new Set([2, 9, 72, 115, 148, 238]);

export class MongoNamespace implements Namespace {
  readonly #context: Context;
  #hasLinearizable = true;
  readonly #closers = new Set<() => unknown>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * A linearizable read waits until a majority has confirmed that the primary is still the primary: one that is cut off
   * cannot answer it. Not every maker's server has it.
   */
  async config(): Promise<Config | undefined> {
    const { topology } = await this.#context.server();
    const isLinearizable = this.#hasLinearizable && topology !== "standalone";
    const reading = isLinearizable ? this.#stored({ level: "linearizable" }) : this.#stored();
    const stored = await reading.catch((error: unknown) => {
      if (!isLinearizable || !READ_CONCERN_REFUSALS.has(codeOf(error) ?? 0)) throw error;
      this.#hasLinearizable = false;
      return this.#stored();
    });
    return stored && this.#understood(stored);
  }

  async configure(wanted: Config): Promise<Config> {
    const stored = await this.#stored();
    if (stored === undefined) {
      // Indexes first: on empty collections the server builds them at once.
      await this.#createIndexes();
      return this.#hold(wanted);
    }
    const config = this.#understood(stored);
    // Opening an existing namespace never waits for an index build, which may take as long as a member is away. A
    // presence without the right to create indexes leaves it to others.
    if (!(stored["indexes"] >= INDEXES_VERSION)) void this.#completeIndexes();
    if (mergeConfigs(config, wanted) === config) return config;
    return this.#hold(wanted).catch((error: unknown) => {
      if (isHeartbitError(error, "NOT_PERMITTED")) return config; // a user who may only read opens it as it is
      throw error;
    });
  }

  async #stored(readConcern?: { readonly level: "linearizable" }): Promise<Document | undefined> {
    const { meta } = this.#context.names;
    const options = readConcern === undefined ? {} : { readConcern };
    for await (const [document] of find(this.#context, meta, { _id: CONFIG_ID }, options)) {
      if (document === undefined) continue;
      this.#context.clock.isSetUp = true;
      return document;
    }
    return undefined;
  }

  /** Stores the config merged with `wanted`, and returns the result. */
  async #hold({ version, periodMs, offset, retentionSlots, base }: Config): Promise<Config> {
    const update = {
      $setOnInsert: { version, period: periodMs, offset, base, indexes: INDEXES_VERSION },
      $max: { retention: retentionSlots },
    };
    const stored = await this.#modifyMeta("set its config", CONFIG_ID, update);
    this.#context.clock.isSetUp = true;
    return this.#understood(stored);
  }

  async #createIndexes(): Promise<void> {
    const { calls, names } = this.#context;
    await createIndexes(calls, names, await this.#context.server());
  }

  /** Creates the missing indexes of a namespace, and notes that they are there. */
  async #completeIndexes(): Promise<void> {
    const { limits, names, send, warn } = this.#context;
    try {
      await this.#createIndexes();
      const updates = [{ q: { _id: CONFIG_ID }, u: { $max: { indexes: INDEXES_VERSION } } }];
      await send("note its indexes", { update: names.meta, updates }, limits.openingMs);
    } catch (error) {
      if (!isHeartbitError(error, "NOT_PERMITTED")) warn(`Indexes may be missing: ${toError(error).message}`);
    }
  }

  async raiseOffset(from: number, to: number): Promise<number> {
    const { limits, names, send } = this.#context;
    const updates = [{ q: { _id: CONFIG_ID, offset: from }, u: { $set: { offset: to } } }];
    await send("raise the offset", { update: names.meta, updates }, limits.openingMs);
    const config = await this.config();
    return config?.offset ?? from;
  }

  async time(): Promise<number> {
    return askTime(this.#context);
  }

  /** If a call fails, its number is lost; no number is given twice. */
  async nextSeq(): Promise<number> {
    const increment = { $inc: { seq: 1 } };
    const counter = await this.#modifyMeta("number a session", COUNTER_ID, increment).catch(
      (error: unknown) => {
        if (codeOf(error) === TYPE_MISMATCH) return {}; // the stored counter is not a number
        throw error;
      },
    );
    const seq = toSeq(counter);
    if (seq !== undefined) return seq;
    throw notOurs(`The counter in ${this.#context.names.meta}`);
  }

  async write(writes: readonly Write[], signal?: AbortSignal): Promise<void> {
    await write(this.#context, writes, signal);
  }

  async ping(slot: Slot, seq: number): Promise<Pong> {
    return ping(this.#context, slot, seq);
  }

  async mail(slot: Slot, seqs: readonly number[]): Promise<void> {
    await mail(this.#context, slot, seqs);
  }

  async countOpen(session: number): Promise<OpenRecords> {
    return countOpen(this.#context, session);
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
    const { limits, names, send } = this.#context;
    for (const collection of Object.values(names)) {
      try {
        await send("drop the namespace", { drop: collection }, limits.openingMs);
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

  delay(): string | undefined {
    const { calls, monitor } = this.#context;
    const { maxPoolSize } = calls.db.client.options;
    if (maxPoolSize === 0 || monitor.inUse < maxPoolSize) return undefined; // 0: as many as are needed
    return `no connection of the client is free: all ${maxPoolSize} of its maxPoolSize are in use`;
  }

  inTurn<T>(act: () => Promise<T>): Promise<T> {
    return this.#context.monitor.semaphore.run(act);
  }

  async examine(beforeSlot: Slot): Promise<Finding[]> {
    return examine(this.#context, beforeSlot);
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#closers, (close) => close()));
  }

  async #modifyMeta(doing: string, id: string, update: Document): Promise<Document> {
    const { limits, names, send } = this.#context;
    return upsert(send, doing, { findAndModify: names.meta, query: { _id: id }, update }, limits.openingMs);
  }

  #understood(document: Document): Config {
    const config = toConfig(document);
    if (config !== undefined) return config;
    throw notOurs(`The config in ${this.#context.names.meta}`);
  }
}

/** A fault that cannot pass by waiting. */
function notOurs(what: string): HeartbitError {
  return new HeartbitError("CONFIG_MISMATCH", `${what} is not one of heartbit's.`);
}
