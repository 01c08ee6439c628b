/**
 * The store in an LMDB file: embedded, shared by the processes of one machine. Each change is one transaction; a
 * process may be killed at any moment, in the middle of a write too, without harm to the others.
 *
 * The file lives as long as the system runs: after a restart of the machine, which no process survives, there is an
 * empty one. It must lie on a local file system.
 */
import { stat } from "node:fs/promises";
import type { Clock } from "../core/clock.ts";
import { groupBits, type PingRecord, SEGMENT_WORDS } from "../core/bits.ts";
import { KILLED } from "../core/alive.ts";
import { HeartbitError, isHeartbitError } from "../core/errors.ts";
import { type Config, mergeConfigs } from "../core/records.ts";
import type { Slot } from "../core/slots.ts";
import type { Finding, Namespace, Page, Pruned, PruneQuery, ReadQuery, Store, Write } from "../core/store.ts";
import { OLD_MAX, storageFinding } from "./storage.ts";
import { systemClock } from "../lib/system-clock.ts";
import { change, type Draft, readHead } from "./lmdb/draft.ts";
import { acquire, type Environment } from "./lmdb/environment.ts";
import { Keys, NAME_BYTES_MAX } from "./lmdb/keys.ts";
import { prune } from "./lmdb/prune.ts";
import { readPages } from "./lmdb/read.ts";

/** How many records are written in one transaction: more are cut into several, so that others have their turn. */
const TRANSACTION_RECORDS = 500;

export interface LmdbOptions {
  /** The store's time, and the clock of the presences that open it without one. Default: the machine's. */
  readonly clock?: Clock;
}

/**
 * Opens the LMDB store in a directory, which is made if there is none. The same directory may be opened several times
 * in one process. `lmdb` is loaded here, and only here.
 *
 * Rejects with `UNSUPPORTED_SERVER` when the package `lmdb` is not installed, with `NOT_PERMITTED` when the directory
 * may not be made or written, with `INVALID_OPTION` when it is not a directory or holds another kind of file, and with
 * `STORE_UNAVAILABLE` for what may heal (no space, too many open files).
 */
export async function openLmdb(directory: string, options: LmdbOptions = {}): Promise<LmdbStore> {
  const { environment, release } = await acquire(directory);
  return new LmdbStore(environment, release, options.clock ?? systemClock);
}

export class LmdbStore implements Store {
  readonly kind = "lmdb";
  readonly clock: Clock;
  readonly #environment: Environment;
  readonly #release: () => Promise<void>;

  /** @internal Use `openLmdb`. */
  constructor(environment: Environment, release: () => Promise<void>, clock: Clock) {
    this.#environment = environment;
    this.#release = release;
    this.clock = clock;
  }

  /** The data file, for `doctor`. */
  get path(): string {
    return this.#environment.path;
  }

  /** Throws `INVALID_OPTION` for a name of more than 800 bytes. */
  namespace(name: string): Namespace {
    const bytes = Buffer.byteLength(name);
    if (bytes > NAME_BYTES_MAX)
      throw new HeartbitError(
        "INVALID_OPTION",
        `The namespace's name has ${bytes} bytes, more than the ${NAME_BYTES_MAX} that LMDB can take.`,
      );
    return new LmdbNamespace(this.#environment, name, this.clock);
  }

  /** Waits for the writes under way. */
  close(): Promise<void> {
    return this.#release();
  }
}

class LmdbNamespace implements Namespace {
  readonly #environment: Environment;
  readonly #name: string;
  readonly #keys: Keys;
  readonly #clock: Clock;

  constructor(environment: Environment, name: string, clock: Clock) {
    this.#environment = environment;
    this.#name = name;
    this.#keys = new Keys(name);
    this.#clock = clock;
  }

  config(): Promise<Config | undefined> {
    return this.#do(() => this.#environment.view(() => readHead(this.#environment, this.#keys)?.config));
  }

  configure(wanted: Config): Promise<Config> {
    return this.#change((draft) => {
      const { config } = draft.head;
      const holds = mergeConfigs(config ?? wanted, wanted);
      if (holds !== config) draft.setHead({ config: holds });
      return holds;
    });
  }

  raiseOffset(from: number, to: number): Promise<number> {
    return this.#change((draft) => {
      const { config } = draft.head;
      if (config?.offset !== from) return config?.offset ?? from;
      draft.setHead({ config: { ...config, offset: to } });
      return to;
    });
  }

  async time(): Promise<number> {
    return this.#clock.now();
  }

  nextSeq(): Promise<number> {
    return this.#change((draft) => {
      const seq = draft.head.seq + 1;
      draft.setHead({ seq });
      return seq;
    });
  }

  write(writes: readonly Write[]): Promise<void> {
    return this.#do(async () => {
      for (let first = 0; first < writes.length; first += TRANSACTION_RECORDS) {
        const some = writes.slice(first, first + TRANSACTION_RECORDS);
        await this.#change((draft) => {
          for (const one of some) apply(draft, one, this.#clock.now());
        });
      }
    });
  }

  ping(slot: Slot, seqs: readonly number[]): Promise<void> {
    return this.#do(() =>
      this.#environment.put(
        seqs.map((seq) => this.#keys.ping(slot, seq)),
        Buffer.alloc(1),
      ),
    );
  }

  kill(key: string): Promise<void> {
    return this.#change((draft) => {
      for (const entry of this.#environment.keys(this.#keys.ofKey(key), Infinity)) {
        const { id, keyBytes } = this.#keys.found(entry);
        if (keyBytes === Buffer.byteLength(key)) draft.endRegistration(id, KILLED, this.#clock.now());
      }
    });
  }

  pings(from: Slot): Promise<PingRecord[]> {
    return this.#do(() => {
      const keys = this.#environment.view(() => this.#environment.keys(this.#keys.pingsFrom(from), Infinity));
      const slots = new Map<Slot, number[]>();
      for (const key of keys) {
        const { slot, seq } = this.#keys.pingOf(key);
        const seqs = slots.get(slot);
        if (seqs === undefined) slots.set(slot, [seq]);
        else seqs.push(seq);
      }
      return [...slots].flatMap(([slot, seqs]) => recordsOf(slot, seqs));
    });
  }

  async *read(query: ReadQuery): AsyncIterable<Page> {
    try {
      yield* readPages(this.#environment, this.#keys, query);
    } catch (error) {
      throw operatingError(error);
    }
  }

  prune(query: PruneQuery): Promise<Pruned> {
    return this.#do(() => prune(this.#environment, this.#name, this.#keys, query));
  }

  drop(): Promise<void> {
    return this.#do(async () => {
      for (let gone = false; !gone;) {
        gone = await this.#change((draft) => {
          const keys = this.#environment.keys(this.#keys.everything, TRANSACTION_RECORDS * 2);
          const last = keys.length < TRANSACTION_RECORDS * 2;
          draft.removeAll(keys, last);
          return last;
        });
      }
    });
  }

  /** The bytes are those of the file, which all namespaces of the directory share. */
  examine(beforeSlot: Slot): Promise<Finding[]> {
    return this.#do(async () => {
      const { size } = await stat(this.#environment.path);
      const range = this.#keys.pingsBefore(beforeSlot);
      const old = this.#environment.view(() => this.#environment.keys(range, OLD_MAX)).length;
      return [storageFinding({ bytes: size, old })];
    });
  }

  async close(): Promise<void> {}

  #change<T>(work: (draft: Draft) => T): Promise<T> {
    return this.#do(() => change(this.#environment, this.#name, this.#keys, work));
  }

  async #do<T>(act: () => T | Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw operatingError(error);
    }
  }
}

function apply(draft: Draft, write: Write, now: number): void {
  if (write.kind === "session") draft.putSession(write.session, now);
  else if (write.kind === "registration") draft.putRegistration(write.registration, now);
  else if (write.kind === "meta") draft.updateRegistration(write.registration, write, now);
  else if (write.kind === "end") draft.endRegistration(write.registration, write.last, now);
  else if (write.kind === "raiseSession") draft.raiseSession(write.session, write.slot);
  else draft.endSession(write.session, write.last, now);
}

function recordsOf(slot: Slot, seqs: readonly number[]): PingRecord[] {
  return [...groupBits(seqs)].map(([segment, masks]) => {
    const words = new Int32Array(SEGMENT_WORDS);
    for (const [word, mask] of masks) words[word] = mask;
    return { slot, segment, words };
  });
}

function operatingError(cause: unknown): HeartbitError {
  if (isHeartbitError(cause)) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new HeartbitError("STORE_UNAVAILABLE", `The LMDB store failed: ${message.replace(/\.$/, "")}.`, {
    cause,
  });
}
