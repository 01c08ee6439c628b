/**
 * The handle with which a program holds one key.
 *
 *   stopped --start--> started --stop, or start fails--> stopped
 *   started, stopped --kill--> killed --start--> started
 *   started --the namespace is dropped--> killed
 *
 * If another process kills the key, the pinger stays `started`, emits `killed`, and takes the key up again.
 *
 * Each start is a registration of its own. `successionOf` (core/registration.ts) says how it continues the one before.
 */
import { encodeMeta } from "../core/checks.ts";
import { alreadyStarted, closed, Dropped } from "../core/errors.ts";
import { Registration, successionOf } from "../core/registration.ts";
import { checkNumber, checkOptionsObject } from "../lib/arguments.ts";
import { Emitter, Subscribable } from "../lib/emitter.ts";
import { InOrder } from "../lib/queue.ts";
import type { HoldingSide } from "./holding/holding-side.ts";

/** The longest planned absence: 30 days. */
const HOLD_MS_MAX = 30 * 24 * 3_600_000;

/** Whether a pinger holds its key, and how it ended. */
export type PingerState = "stopped" | "started" | "killed";

/** A pinger's events. */
export interface PingerEvents {
  /**
   * Fires when another process has killed the key while this pinger held it. After its listeners have run, the pinger
   * takes the key up again, unless one of them stopped or killed it. Also fires when another process has dropped the
   * namespace; the pinger is then `killed` until it is started again. Does not fire for its own `stop` and `kill`, nor
   * for `drop` and `close` of its presence, nor when the key expires.
   */
  killed: [];
}

/** The handle with which a program holds one key. Made by `presence.pinger(key)`. */
export class Pinger<Meta = unknown> extends Subscribable<PingerEvents> {
  /** The key that it holds, or would hold. */
  readonly key: string;
  readonly #holdingSide: HoldingSide;
  readonly #number: number;
  readonly #events: Emitter<PingerEvents>;
  /** A kill by key must finish before the next call takes effect. Undefined until there is one. */
  #calls: InOrder | undefined;
  #state: PingerState = "stopped";
  #meta: string;
  /** The latest start. */
  #latest: Registration | undefined;
  /** Whether the latest start is over: killed, or lost with the namespace. */
  #isOver = false;
  /** How many times the namespace had been lost before the latest start. */
  #timesLost = 0;
  /** The write of the end; a repeated `stop` or `kill` waits for it too. */
  #ending: Promise<void> | undefined;

  /** @internal Use `presence.pinger(key)`. */
  constructor(holdingSide: HoldingSide, key: string, meta: unknown) {
    const events = new Emitter<PingerEvents>(holdingSide.listenerThrew, key);
    super(events);
    this.#events = events;
    this.key = key;
    this.#holdingSide = holdingSide;
    this.#number = holdingSide.registrations.nextPinger();
    this.#meta = encodeMeta(meta);
  }

  /** `started` from the call of `start` on, even before others can see it. */
  get state(): PingerState {
    return this.#state === "started" ? (this.#holdingSide.closedAs ?? "started") : this.#state;
  }

  /**
   * Starts to hold the key. Resolves when others can see it; waits for a store that is away. Rejects with
   * `ALREADY_STARTED`, `PRESENCE_CLOSED`, `NOT_PERMITTED`, or `CONFIG_MISMATCH` (the namespace was dropped meanwhile,
   * or has another period); then the key is not held.
   */
  start(): Promise<void> {
    if (this.#holdingSide.isClosed) return Promise.reject(closed(this.#holdingSide.context.name));
    if (this.#state === "started") return Promise.reject(alreadyStarted(this.key));
    this.#state = "started";
    const { timesLost } = this.#holdingSide.registrations;
    return this.#inOrder(() => this.#register(timesLost));
  }

  /**
   * Stops holding the key. Now counts as its last ping: watchers report it dead 1.5 to 2.5 periods later. With
   * `holdMs`, a planned absence of up to 30 days, they do so that many ms later. Idempotent. Resolves when it is
   * written; waits for a store that is away. Rejects with `INVALID_OPTION`, or with `NOT_PERMITTED`,
   * `PRESENCE_CLOSED` or `CONFIG_MISMATCH` (the namespace was dropped) if it can never be written.
   */
  async stop(options: { readonly holdMs?: number } = {}): Promise<void> {
    const { holdMs = 0 } = checkOptionsObject(options, ["holdMs"]);
    checkNumber("holdMs", holdMs, 0, HOLD_MS_MAX);
    if (this.#state !== "started") return this.#ending;
    return this.#end({ holdMs });
  }

  /**
   * Stops holding the key, and reports it dead at once unless it has another holder. On a stopped pinger it reports the
   * key dead whoever holds it, and rejects as `presence.kill` does. Idempotent. Resolves when it is written; a started
   * pinger waits for a store that is away. Rejects with `NOT_PERMITTED`, `PRESENCE_CLOSED`, `CONFIG_MISMATCH`.
   */
  async kill(): Promise<void> {
    if (this.#state === "killed") return this.#ending;
    if (this.#state === "started") return this.#end("killed");
    this.#holdingSide.checkOpen();
    this.#state = "killed";
    this.#ending = (this.#calls ??= new InOrder()).runAlone(() => this.#killKey());
    return this.#ending;
  }

  /**
   * Replaces the meta. Resolves when others can see it. On a pinger that is not started it resolves at once, and the
   * next start uses the meta. Rejects with `INVALID_META`, or as `stop` does if it can never be written.
   */
  async update(meta: Meta): Promise<void> {
    const text = encodeMeta(meta);
    this.#meta = text;
    await this.#inOrder(async () => {
      if (this.#latest === undefined || this.#state !== "started") return;
      this.#holdingSide.checkOpen();
      await this.#holdingSide.registrations.update(this.#latest, text);
    });
  }

  /** Kills, if the pinger is started. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "started") await this.kill();
  }

  #inOrder(act: () => Promise<void>): Promise<void> {
    return this.#calls === undefined ? act() : this.#calls.run(act);
  }

  async #killKey(): Promise<void> {
    try {
      await this.#holdingSide.kill(this.key);
      this.#isOver = true;
    } catch (error) {
      if (this.#state === "killed") {
        this.#state = "stopped";
        this.#ending = undefined;
      }
      throw error;
    }
  }

  /** `timesLost`: the count when `start` was called. */
  async #register(timesLost: number): Promise<void> {
    const { context, registrations } = this.#holdingSide;
    this.#holdingSide.checkOpen();
    if (timesLost !== registrations.timesLost) {
      if (this.#state === "started") this.#state = "stopped";
      throw new Dropped(context.name);
    }
    const isOver = this.#isOver || timesLost !== this.#timesLost;
    const succession = successionOf(this.#latest, isOver, context.time);
    const registration = new Registration(this, this.key, this.#number, this.#meta, succession);
    this.#latest = registration;
    this.#isOver = false;
    this.#timesLost = timesLost;
    try {
      await registrations.start(registration);
    } catch (error) {
      if (this.#latest === registration && this.#state === "started") this.#state = "stopped";
      throw error;
    }
  }

  #end(how: "killed" | { readonly holdMs: number }): Promise<void> {
    this.#state = how === "killed" ? "killed" : "stopped";
    this.#ending = this.#inOrder(async () => {
      // The namespace was lost meanwhile: ending the key would set it up again.
      if (this.#latest === undefined || this.#timesLost !== this.#holdingSide.registrations.timesLost) return;
      await this.#holdingSide.registrations.end(this.#latest, how);
    });
    return this.#ending;
  }

  /** @internal Another process has ended this registration: the key is taken up again. */
  endedByOther(registration: Registration): void {
    if (this.#latest !== registration || this.#state !== "started" || this.#holdingSide.isClosed) return;
    this.#isOver = true;
    this.#events.emit("killed");
    if (this.#state !== "started" || this.#latest !== registration) return;
    this.#holdingSide.takeUpAgain(this.key, () => this.#register(this.#timesLost));
  }

  /** @internal The namespace is gone, and the key with it. */
  lost(): void {
    if (this.#state !== "started" || this.#timesLost === this.#holdingSide.registrations.timesLost) return;
    this.#state = "killed";
    this.#events.emit("killed");
  }
}
