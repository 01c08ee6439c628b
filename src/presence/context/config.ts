/** The set-up of a namespace: its config, which all must agree on, and what becomes of it. */
import { HeartbitError } from "../../core/errors.ts";
import type { Config } from "../../core/records.ts";
import { FORMAT_VERSION } from "../../core/store.ts";
import { bulk, type Shared } from "./context.ts";

/** For so long after the store was found again, a config that is missing was lost, and not dropped. */
const RESTORE_PERIODS = 5;
/** See `Config.base`. */
const BASE_EPOCH_MS = Date.UTC(2026, 0, 1);
const BASES = 2 ** 30;

export class Setup {
  readonly #shared: Shared;
  #base = 0;
  /** When the store was found again for the last time: a monotonic time, in ms. */
  #restoredAt = -Infinity;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /**
   * Sets the namespace up, where nobody has, and takes over its offset. Rejects with `CONFIG_MISMATCH` where it was set
   * up with another period, or by another version.
   */
  async configure(): Promise<void> {
    const { namespace, periodMs, retentionSlots, clock } = this.#shared;
    const base = Math.max(0, Math.floor(clock.now() - BASE_EPOCH_MS)) % BASES;
    const wanted = { version: FORMAT_VERSION, periodMs, offset: 0, retentionSlots, base };
    await this.#goBy(await namespace.configure(wanted));
  }

  /** The number of a new session. Rejects when the store does not give one. */
  async nextSeq(): Promise<number> {
    return this.#base + (await bulk(this.#shared, "open a session", this.#shared.namespace.nextSeq()));
  }

  /** Before a session is opened: sets the namespace up again, where it has been dropped since, by us or by another. */
  async ensure(): Promise<void> {
    if ((await this.#read()) === undefined) await bulk(this.#shared, "open", this.configure());
  }

  /** The store was found again: what had not been journaled may be lost, the config too. */
  async restore(): Promise<void> {
    this.#restoredAt = this.#shared.clock.monotonic();
    await bulk(this.#shared, "open", this.configure());
  }

  /**
   * Takes over the offset of the namespace, which others may have raised. Rejects with `CONFIG_MISMATCH` where it is not
   * ours any more: dropped, or set up anew by another.
   */
  async check(): Promise<void> {
    const { clock, periodMs, name } = this.#shared;
    if ((await this.#read()) !== undefined) return;
    // Lately lost with the server, rather than dropped: it is set up again.
    const wasLost = clock.monotonic() - this.#restoredAt < periodMs * RESTORE_PERIODS;
    if (!wasLost) throw dropped(name);
  }

  /** Goes by the config that holds, if there is one. */
  async #read(): Promise<Config | undefined> {
    const config = await bulk(this.#shared, "config", this.#shared.namespace.config());
    if (config !== undefined) await this.#goBy(config);
    return config;
  }

  async #goBy(config: Config): Promise<void> {
    const error = mismatch(this.#shared, config);
    if (error !== undefined) throw error;
    this.#base = config.base;
    await this.#shared.time.follow(config.offset);
  }
}

export function dropped(name: string): HeartbitError {
  return new HeartbitError("CONFIG_MISMATCH", `The namespace "${name}" was dropped.`);
}

function mismatch({ name, periodMs }: Shared, config: Config): HeartbitError | undefined {
  if (config.version !== FORMAT_VERSION) {
    const message = `The namespace "${name}" has format version ${config.version}, but this heartbit knows version ${FORMAT_VERSION}.`;
    return new HeartbitError("CONFIG_MISMATCH", message);
  }
  if (config.periodMs === periodMs) return undefined;
  const message = `The namespace "${name}" has a period of ${config.periodMs} ms, but was opened with periodMs ${periodMs}.`;
  return new HeartbitError("CONFIG_MISMATCH", message);
}
