/**
 * The handle with which a program holds one key.
 *
 *   stopped --start--> started --stop--> stopped --start--> started
 *                      started --kill--> killed  --start--> started
 *
 * A key that another has reported dead is taken up again: the pinger stays `started`, and `killed` is emitted.
 *
 * Each start is a registration of its own. What it makes of the one before:
 *
 *   the start before                             held since                it ends that one
 *   none                                         now                       -
 *   killed by whomever, or the namespace lost    now                       no, it is over
 *   stopped, and its time has run out            now                       yes
 *   refused                                      now                       yes: it may be written all the same
 *   stopped, and still vouched for               as long as that one       yes
 *
 * So a restart in time is not noticed: the key has been held all along.
 */
import { deathPosition, KILLED } from "../core/alive.ts";
import { encodeMeta } from "../core/checks.ts";
import { HeartbitError } from "../core/errors.ts";
import type { Slot } from "../core/slots.ts";
import { Emitter, type Listener } from "../lib/emitter.ts";
import type { Held, Holdings } from "./holding/registrations.ts";
import { InOrder } from "../lib/queue.ts";
import { checkHoldMs, checkOptionsObject } from "./options.ts";
import { dropped } from "./context/config.ts";
import type { Shared } from "./context/context.ts";
import { closed } from "./holding/write-queue.ts";

/** Whether a pinger holds its key, and how it ended. */
export type PingerState = "stopped" | "started" | "killed";

/** A pinger's events. */
export interface PingerEvents {
  /**
   * Fires when another has reported the key dead while this pinger held it. When its listeners have run, the pinger
   * takes the key up again, unless one has stopped or killed it. Also when another has dropped the namespace: then the
   * pinger is `killed`, until it is started again. Does not fire for its own `stop` and `kill`, nor for `presence.drop`.
   */
  killed: [];
}

/** @internal What a pinger's presence does for it. It knows the started ones only: programs make many, and let them go. */
export interface PingerHost {
  readonly shared: Shared;
  readonly holdings: Holdings;
  /** The presence is closing, or closed. */
  isClosed(): boolean;
  /** How many times the namespace was lost: what was held before is gone. */
  losses(): number;
  /** While the presence drops the namespace: settles when that is over. */
  dropping(): Promise<void> | undefined;
  kill(key: string): Promise<unknown>;
  started(pinger: Pinger): void;
  ended(pinger: Pinger): void;
}

/** The handle with which a program holds one key. Made by `presence.pinger(key)`. */
export class Pinger {
  /** The key that it holds, or would. */
  readonly key: string;
  readonly #host: PingerHost;
  readonly #holdings: Holdings;
  readonly #shared: Shared;
  readonly #number: number;
  readonly #events: Emitter<PingerEvents>;
  /** A kill by key, or a drop of the namespace, must be over before the next call takes effect. */
  readonly #calls: InOrder;
  #state: PingerState = "stopped";
  #meta: string;
  /** The latest start. */
  #held: Held | undefined;
  /** The slot until which that is vouched for, once it has ended: `KILLED` where it is over. */
  #vouchedUntil: Slot | undefined;
  /** How many times the namespace had been lost before it. */
  #lossesBefore = 0;
  /** How many times the key was lost with the namespace. */
  #timesLost = 0;
  /** The write of the end, which a `stop` or `kill` that is repeated waits for too. */
  #ending: Promise<void> = Promise.resolve();

  /** @internal Use `presence.pinger(key)`. */
  constructor(host: PingerHost, number: number, key: string, meta: unknown) {
    const { shared, holdings } = host;
    this.key = key;
    this.#host = host;
    this.#shared = shared;
    this.#holdings = holdings;
    this.#number = number;
    this.#calls = new InOrder(() => host.dropping());
    this.#meta = encodeMeta(meta);
    this.#events = new Emitter((error, event) => shared.log.error(`a listener of ${event} threw`, error));
  }

  /** `started` from the call of `start` on, before others can see it. */
  get state(): PingerState {
    return this.#state;
  }

  /**
   * Starts to hold the key. Resolves when others can see it, which takes as long as the store is away. Rejects with
   * `ALREADY_STARTED`, `PRESENCE_CLOSED`, `NOT_PERMITTED`, or `CONFIG_MISMATCH` (the namespace was dropped meanwhile, or has
   * another period); the key is not held then.
   */
  start(): Promise<void> {
    if (this.#host.isClosed()) return Promise.reject(closed(this.#shared.name));
    if (this.#state === "started") {
      const message = `The pinger of key ${JSON.stringify(this.key)} is started already.`;
      return Promise.reject(new HeartbitError("ALREADY_STARTED", message));
    }
    this.#state = "started";
    this.#host.started(this);
    const timesLost = this.#timesLost;
    return this.#calls.run(() => this.#take(timesLost));
  }

  /**
   * Stops to hold the key. Watchers tell it dead when its last ping, which is now, has run out; with `holdMs`, a planned
   * absence, not before so many ms, up to 30 days. Idempotent. Resolves when it is written, which takes as long as the
   * store is away. Rejects with `INVALID_OPTION`; and with `NOT_PERMITTED` or `PRESENCE_CLOSED` where it can never be
   * written.
   */
  async stop(options: { readonly holdMs?: number } = {}): Promise<void> {
    const { holdMs: wanted } = checkOptionsObject(options);
    const holdMs = wanted === undefined ? 0 : checkHoldMs(wanted);
    if (this.#state !== "started") return this.#ending;
    const { time, periodMs, clock } = this.#shared;
    const called = clock.monotonic();
    const leftMs = (): number => holdMs - (clock.monotonic() - called);
    return this.#end("stopped", () => Math.floor(time.position + leftMs() / periodMs));
  }

  /**
   * Stops to hold the key and reports it dead at once, unless another holds it too. On a pinger that is stopped it
   * reports the key dead whoever holds it, and rejects, as `presence.kill` does. Idempotent. Resolves when it is written,
   * which on a started pinger takes as long as the store is away. Rejects with `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async kill(): Promise<void> {
    if (this.#state === "killed") return this.#ending;
    if (this.#state === "started") return this.#end("killed", () => KILLED);
    if (this.#host.isClosed()) throw closed(this.#shared.name);
    this.#state = "killed";
    this.#ending = this.#calls.runAlone(() => this.#killKey());
    return this.#ending;
  }

  /**
   * Gives the key another meta, in place of the one before. Resolves when others can see it; at once on a pinger that
   * is not started, whose next start has it. Rejects with `INVALID_META`; and with `NOT_PERMITTED` or `PRESENCE_CLOSED` where
   * it can never be written.
   */
  async update(meta: unknown): Promise<void> {
    const text = encodeMeta(meta);
    this.#meta = text;
    await this.#calls.run(async () => {
      if (this.#held === undefined || this.#state !== "started") return;
      this.#held.meta = text;
      this.#held.revision++;
      await this.#holdings.update(this.#held);
    });
  }

  /** Calls the listener at each event, until `off`. What it throws, or rejects with, is logged. */
  on<Name extends keyof PingerEvents>(event: Name, listener: Listener<PingerEvents[Name]>): this {
    this.#events.on(event, listener);
    return this;
  }

  /** Calls the listener at the next event alone. */
  once<Name extends keyof PingerEvents>(event: Name, listener: Listener<PingerEvents[Name]>): this {
    this.#events.on(event, listener, true);
    return this;
  }

  /** Calls the listener no more; where it was added several times, once less. */
  off<Name extends keyof PingerEvents>(event: Name, listener: Listener<PingerEvents[Name]>): this {
    this.#events.off(event, listener);
    return this;
  }

  /** Kills, where it is started. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "started") await this.kill();
  }

  /** @internal The presence closes: the key ends with its session. */
  close(state: "stopped" | "killed"): void {
    this.#leave(state);
    this.#held = undefined;
  }

  /** @internal The namespace is gone, and the key with it. */
  lose(): void {
    this.#timesLost++;
    this.#leave("killed");
  }

  /** @internal It was another who has dropped the namespace. */
  tellKilled(): void {
    this.#events.emit("killed");
  }

  async #killKey(): Promise<void> {
    try {
      await this.#host.kill(this.key);
      this.#vouchedUntil = KILLED;
    } catch (error) {
      if (this.#state === "killed") {
        this.#state = "stopped";
        this.#ending = Promise.resolve();
      }
      throw error;
    }
  }

  /** `timesLost`: as it was when this was called for. */
  async #take(timesLost: number): Promise<void> {
    if (this.#host.isClosed()) throw closed(this.#shared.name);
    if (timesLost !== this.#timesLost) throw dropped(this.#shared.name);
    const held: Held = {
      ...this.#succession(),
      key: this.key,
      pinger: this.#number,
      meta: this.#meta,
      revision: 0,
      killed: () => this.#takeUpAgain(held),
    };
    this.#held = held;
    this.#vouchedUntil = undefined;
    this.#lossesBefore = this.#host.losses();
    try {
      await this.#holdings.hold(held);
    } catch (error) {
      if (this.#held === held && this.#state === "started") this.#leave("stopped");
      throw error;
    }
  }

  /** What a new start makes of the one before: see the table above. */
  #succession(): Pick<Held, "start" | "since" | "endsEarlier"> {
    const now = Math.round(this.#shared.time.now);
    const earlier = this.#held;
    if (earlier === undefined) return { start: 1, since: now, endsEarlier: false };
    const start = earlier.start + 1;
    const isOver = this.#vouchedUntil === KILLED || this.#lossesBefore !== this.#host.losses();
    if (isOver) return { start, since: now, endsEarlier: false };
    return { start, since: this.#isVouched() ? earlier.since : now, endsEarlier: true };
  }

  /** Whether the latest start, which has ended, is vouched for still. */
  #isVouched(): boolean {
    if (this.#vouchedUntil === undefined) return false;
    // A slot less than the rule allows: another clock may be a little ahead of ours.
    return this.#shared.time.position < deathPosition(this.#vouchedUntil) - 1;
  }

  #leave(state: "stopped" | "killed"): void {
    if (this.#state === "started") this.#state = state;
    this.#host.ended(this);
  }

  /** `until` gives the slot until which it is vouched for: it is asked again when that is written, and the slots are known. */
  #end(state: "stopped" | "killed", until: () => Slot): Promise<void> {
    this.#leave(state);
    this.#ending = this.#calls.run(async () => {
      const held = this.#held;
      const last = (): Slot => {
        const slot = until();
        if (this.#held === held) this.#vouchedUntil = slot; // else it has been started again
        return slot;
      };
      last();
      const isLost = this.#lossesBefore !== this.#host.losses(); // dropped meanwhile: to end it would set all up again
      if (held !== undefined && !isLost) await this.#holdings.release(held, last);
    });
    return this.#ending;
  }

  #takeUpAgain(held: Held): void {
    if (this.#held !== held || this.#state !== "started") return;
    this.#vouchedUntil = KILLED;
    this.#shared.log.info(`another reported the key ${JSON.stringify(this.key)} dead; it is taken up again`);
    this.#events.emit("killed");
    if (this.#state !== "started" || this.#held !== held) return;
    this.#take(this.#timesLost).catch((error: unknown) =>
      this.#shared.log.warn("a key could not be taken up again", error),
    );
  }
}
