/** Many keys that are held together, without a handle for each: a gateway holds 100,000. */
import { checkKey, encodeMeta } from "../core/checks.ts";
import { Dropped } from "../core/errors.ts";
import { Registration, successionOf } from "../core/registration.ts";
import type { Steps } from "../core/steps.ts";
import { checkIterable, checkOptionsObject } from "../lib/arguments.ts";
import { handled } from "../lib/handled.ts";
import { InOrder } from "../lib/queue.ts";
import { Slices } from "../lib/timers.ts";
import type { HoldingSide } from "./holding/holding-side.ts";

/** A key to hold, with its meta if it has one. */
export type HeldKey<Meta = unknown> = string | { readonly key: string; readonly meta?: Meta };

/**
 * Keys that are held together. Made by `presence.hold(keys)`. If another process kills one of them, it is taken up
 * again. Long lists are worked through in slices, so that nothing else waits. Calls take effect in their order.
 */
export class Holding<Meta = unknown> {
  readonly #side: HoldingSide;
  readonly #held = new Map<string, Registration>();
  readonly #calls = new InOrder();
  /** How many times the namespace had been lost when this began. */
  readonly #timesLost: number;

  /** @internal Use `presence.hold(keys)`. */
  constructor(side: HoldingSide) {
    this.#side = side;
    this.#timesLost = side.registrations.timesLost;
  }

  /** How many keys are held. */
  get size(): number {
    return this.#side.isClosed ? 0 : this.#held.size;
  }

  /**
   * Holds these keys too. A key that is held already gets the new meta. Resolves when others can see them; waits for a
   * store that is away. Rejects with `INVALID_KEY`, `INVALID_META`, `INVALID_OPTION` before it holds any of them, and
   * with `PRESENCE_CLOSED`, `NOT_PERMITTED` or `CONFIG_MISMATCH` (the namespace was dropped meanwhile).
   */
  add(keys: Iterable<HeldKey<Meta>>): Promise<void> {
    return this.#write((written) => this.#addInSteps(keys, written));
  }

  /**
   * Stops holding these keys, or all, and reports them dead at once unless they have another holder. Keys that are not
   * held are ignored. Resolves when that is written; waits for a store that is away. Rejects with `INVALID_OPTION`,
   * `PRESENCE_CLOSED`, `NOT_PERMITTED`, `CONFIG_MISMATCH` (the namespace was dropped).
   */
  leave(keys?: Iterable<string>): Promise<void> {
    return this.#write((written) => this.#leaveInSteps(keys, written));
  }

  /**
   * Replaces the meta of a held key. Resolves when others can see it, at once if the key is not held. Rejects with
   * `INVALID_KEY`, `INVALID_META`, `PRESENCE_CLOSED`, `NOT_PERMITTED`, `CONFIG_MISMATCH`.
   */
  async update(key: string, meta: Meta): Promise<void> {
    const text = encodeMeta(meta);
    checkKey(key);
    await this.#calls.run(async () => {
      this.#side.checkOpen();
      const registration = this.#held.get(key);
      if (registration === undefined) return;
      await this.#side.registrations.update(registration, text);
    });
  }

  /** Leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#side.isClosed) await this.leave();
  }

  /**
   * Does the steps in slices, before the next call takes effect. Resolves when all their writes are acknowledged, and
   * reports a rejection only when every key was begun.
   */
  async #write(steps: (written: Promise<void>[]) => Steps): Promise<void> {
    this.#side.checkOpen();
    const written: Promise<void>[] = [];
    await this.#calls.runAlone(() => new Slices(this.#side.context.clock).doAll(steps(written)));
    await Promise.all(written);
  }

  *#addInSteps(keys: Iterable<HeldKey<Meta>>, written: Promise<void>[]): Steps {
    const metas = new Map<string, string>();
    for (const held of checkIterable("keys", keys)) {
      const { key, meta } =
        typeof held === "string" ? { key: held, meta: undefined } : checkOptionsObject(held, ["key", "meta"]);
      metas.set(checkKey(key), encodeMeta(meta));
      yield;
    }
    for (const [key, meta] of metas) {
      written.push(handled(this.#addOrUpdate(key, meta)));
      yield;
    }
  }

  *#leaveInSteps(keys: Iterable<string> | undefined, written: Promise<void>[]): Steps {
    for (const key of keys === undefined ? [...this.#held.keys()] : checkIterable("keys", keys)) {
      const registration = this.#held.get(key);
      this.#held.delete(key);
      if (registration !== undefined)
        written.push(handled(this.#side.registrations.end(registration, "killed")));
      yield;
    }
  }

  async #addOrUpdate(key: string, meta: string): Promise<void> {
    const { context, registrations } = this.#side;
    this.#side.checkOpen();
    if (this.#timesLost !== registrations.timesLost) throw new Dropped(context.name);
    const earlier = this.#held.get(key);
    if (earlier !== undefined) return registrations.update(earlier, meta);
    await this.#start(key, registrations.nextPinger(), meta);
  }

  /** `ended`: the start that another process has ended, if there is one. */
  async #start(key: string, pinger: number, meta: string, ended?: Registration): Promise<void> {
    const { context, registrations } = this.#side;
    const succession = successionOf(ended, true, context.time);
    const registration = new Registration(this, key, pinger, meta, succession);
    this.#held.set(key, registration);
    try {
      await registrations.start(registration);
    } catch (error) {
      if (this.#held.get(key) === registration) this.#held.delete(key);
      throw error;
    }
  }

  /** @internal Another process has ended this registration: the key is taken up again. */
  endedByOther(registration: Registration): void {
    const { key, pinger, meta } = registration;
    if (this.#held.get(key)?.pinger !== pinger || this.#side.isClosed) return;
    this.#side.takeUpAgain(key, () => this.#start(key, pinger, meta, registration));
  }

  /** @internal The namespace is gone, and the keys with it. */
  lost(): void {
    this.#held.clear();
  }
}
