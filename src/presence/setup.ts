/** The set-up of a namespace: its config, which all must agree on, and what becomes of it. */
import { HeartbitError } from "../core/errors.ts";
import { type Config, FORMAT_VERSION } from "../core/store.ts";
import { bulk, type Shared } from "./shared.ts";

/** For so long after the store was found again, a config that is missing was lost, and not dropped. */
const RESTORE_PERIODS = 5;

export class Setup {
  readonly #shared: Shared;
  #isWanted = false;
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
    const { namespace, periodMs, time } = this.#shared;
    const config = await namespace.configure({ version: FORMAT_VERSION, periodMs, offset: 0 });
    const error = mismatch(this.#shared, config);
    if (error !== undefined) throw error;
    await time.follow(config.offset);
  }

  /** The namespace has been dropped: it is set up again when something is held or watched again. */
  lost(): void {
    this.#isWanted = true;
  }

  /** Sets the namespace up again, where it has been dropped since. */
  async ensure(): Promise<void> {
    if (!this.#isWanted) return;
    await bulk(this.#shared, "open", this.configure());
    this.#isWanted = false;
  }

  /** The store was found again: what had not been journaled may be lost, the config too. */
  async restore(): Promise<void> {
    this.#restoredAt = this.#shared.clock.monotonic();
    await bulk(this.#shared, "open", this.configure());
  }

  /** Why the namespace is not ours any more: dropped, or set up anew by another. Undefined where it still is. */
  async check(): Promise<HeartbitError | undefined> {
    const { clock, periodMs, namespace, name } = this.#shared;
    const config = await bulk(this.#shared, "config", namespace.config());
    if (config !== undefined) return mismatch(this.#shared, config);
    // Lately lost with the server, rather than dropped: it is set up again.
    const wasLost = clock.monotonic() - this.#restoredAt < periodMs * RESTORE_PERIODS;
    return wasLost ? undefined : dropped(name);
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
