/**
 * The handle with which a program holds one key.
 *
 *   stopped --start--> started --stop--> stopped --start--> started
 *                      started --kill--> killed  --start--> started
 *
 * A key that somebody else has reported dead is taken up again: the pinger stays `started`, and emits `killed`.
 *
 * Each start is a registration of its own. What it makes of the start before:
 *
 *   the start before                             held since                it ends that one
 *   none                                         now                       -
 *   killed by anybody, or the namespace lost     now                       no, it is over
 *   stopped, and its time has run out            now                       yes
 *   refused                                      now                       yes: it may be written all the same
 *   stopped, and it still counts                 as long as that one       yes
 *
 * So a restart in time is not noticed: the key has been held all along.
 */
import { deathPosition, KILLED } from "../core/alive.ts";
import { encodeMeta } from "../core/checks.ts";
import { HeartbitError } from "../core/errors.ts";
import { checkOptionsObject } from "../lib/arguments.ts";
import { Emitter, type Listener } from "../lib/emitter.ts";
import { InOrder } from "../lib/queue.ts";
import { dropped } from "./context/config.ts";
import type { Holding } from "./holding/holding.ts";
import { Registration, type Succession } from "./holding/registration.ts";
import { closed } from "./holding/session.ts";
import { checkHoldMs } from "./options.ts";

/** Whether a pinger holds its key, and how it ended. */
export type PingerState = "stopped" | "started" | "killed";

/** A pinger's events. */
export interface PingerEvents {
  /**
   * Fires when somebody else has reported the key dead while this pinger held it. When its listeners have run, the pinger
   * takes the key up again, unless one has stopped or killed it. Fires also when somebody else has dropped the namespace:
   * then the pinger is `killed` until it is started again. Does not fire for its own `stop` and `kill`, nor for
   * `presence.drop` and `presence.close`.
   */
  killed: [];
}

/** The handle with which a program holds one key. Made by `presence.pinger(key)`. */
export class Pinger {
  /** The key that it holds, or would hold. */
  readonly key: string;
  readonly #holding: Holding;
  readonly #number: number;
  readonly #events: Emitter<PingerEvents>;
  /** A kill by key must be over before the next call takes effect. */
  readonly #calls = new InOrder();
  #state: PingerState = "stopped";
  #meta: string;
  /** The latest start. */
  #latest: Registration | undefined;
  /** Whether that is over: killed by anybody, or lost with the namespace. */
  #isOver = false;
  /** How many times the namespace had been lost before the latest start. */
  #losses = 0;
  /** The write of the end, which a repeated `stop` or `kill` waits for too. */
  #ending: Promise<void> = Promise.resolve();

  /** @internal Use `presence.pinger(key)`. */
  constructor(holding: Holding, key: string, meta: unknown) {
    const { context, registrations } = holding;
    this.key = key;
    this.#holding = holding;
    this.#number = registrations.nextPinger();
    this.#meta = encodeMeta(meta);
    this.#events = new Emitter((error, event) => context.log.error(`a listener of ${event} threw`, error));
  }

  /** `started` from the call of `start` on, before others can see it. */
  get state(): PingerState {
    return this.#state === "started" ? (this.#holding.closedAs ?? "started") : this.#state;
  }

  /**
   * Starts to hold the key. Resolves when others can see it, which takes as long as the store is away. Rejects with
   * `ALREADY_STARTED`, `PRESENCE_CLOSED`, `NOT_PERMITTED`, or `CONFIG_MISMATCH` (the namespace was dropped meanwhile, or has
   * another period); the key is not held then.
   */
  start(): Promise<void> {
    if (this.#holding.isClosed) return Promise.reject(closed(this.#holding.context.name));
    if (this.#state === "started") {
      const message = `The pinger of key ${JSON.stringify(this.key)} is started already.`;
      return Promise.reject(new HeartbitError("ALREADY_STARTED", message));
    }
    this.#state = "started";
    const { losses } = this.#holding.registrations;
    return this.#calls.run(() => this.#take(losses));
  }

  /**
   * Stops to hold the key. Watchers report it dead when its last ping, which is now, has run out; with `holdMs`, a planned
   * absence, not before so many ms, up to 30 days. Idempotent. Resolves when it is written, which takes as long as the
   * store is away. Rejects with `INVALID_OPTION`; and with `NOT_PERMITTED` or `PRESENCE_CLOSED` if it can never be written.
   */
  async stop(options: { readonly holdMs?: number } = {}): Promise<void> {
    const { holdMs: wanted } = checkOptionsObject(options);
    const holdMs = wanted === undefined ? 0 : checkHoldMs(wanted);
    if (this.#state !== "started") return this.#ending;
    return this.#end("stopped", { holdMs });
  }

  /**
   * Stops to hold the key and reports it dead at once, unless somebody else holds it too. On a pinger that is stopped it
   * reports the key dead whoever holds it, and rejects as `presence.kill` does. Idempotent. Resolves when it is written,
   * which on a started pinger takes as long as the store is away. Rejects with `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async kill(): Promise<void> {
    if (this.#state === "killed") return this.#ending;
    if (this.#state === "started") return this.#end("killed", "killed");
    if (this.#holding.isClosed) throw closed(this.#holding.context.name);
    this.#state = "killed";
    this.#ending = this.#calls.runAlone(() => this.#killKey());
    return this.#ending;
  }

  /**
   * Gives the key another meta in place of the one before. Resolves when others can see it; at once on a pinger that is
   * not started, whose next start has it. Rejects with `INVALID_META`; and with `NOT_PERMITTED` or `PRESENCE_CLOSED` if it
   * can never be written.
   */
  async update(meta: unknown): Promise<void> {
    const text = encodeMeta(meta);
    this.#meta = text;
    await this.#calls.run(async () => {
      if (this.#latest === undefined || this.#state !== "started") return;
      if (this.#holding.isClosed) throw closed(this.#holding.context.name);
      await this.#holding.registrations.update(this.#latest, text);
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

  /** Stops calling the listener; if it was added several times, it is called once less. */
  off<Name extends keyof PingerEvents>(event: Name, listener: Listener<PingerEvents[Name]>): this {
    this.#events.off(event, listener);
    return this;
  }

  /** Kills, if it is started. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "started") await this.kill();
  }

  async #killKey(): Promise<void> {
    try {
      await this.#holding.kill(this.key);
      this.#isOver = true;
    } catch (error) {
      if (this.#state === "killed") {
        this.#state = "stopped";
        this.#ending = Promise.resolve();
      }
      throw error;
    }
  }

  /** `losses`: as it was when this was called for. */
  async #take(losses: number): Promise<void> {
    const { context, registrations, isClosed } = this.#holding;
    if (isClosed) throw closed(context.name);
    if (losses !== registrations.losses) throw dropped(context.name);
    const registration = new Registration(this, this.key, this.#number, this.#meta, this.#succession());
    this.#latest = registration;
    this.#isOver = false;
    this.#losses = losses;
    try {
      await registrations.start(registration);
    } catch (error) {
      if (this.#latest === registration && this.#state === "started") this.#state = "stopped";
      throw error;
    }
  }

  /** What a new start makes of the one before: see the table above. */
  #succession(): Succession {
    const { time } = this.#holding.context;
    const isLost = this.#losses !== this.#holding.registrations.losses;
    const now = Math.floor(time.now);
    const earlier = this.#latest;
    if (earlier === undefined) return { start: 1, since: now, endsEarlier: false };
    const start = earlier.start + 1;
    if (isLost || this.#isOver || earlier.last === KILLED) return { start, since: now, endsEarlier: false };
    // A slot less than the rule allows: another clock may be a little ahead of ours.
    const counts = earlier.last !== undefined && time.position < deathPosition(earlier.last) - 1;
    return { start, since: counts ? earlier.since : now, endsEarlier: true };
  }

  #end(state: "stopped" | "killed", how: "killed" | { readonly holdMs: number }): Promise<void> {
    this.#state = state;
    this.#ending = this.#calls.run(async () => {
      // Lost meanwhile: to end it would set the namespace up again.
      if (this.#latest === undefined || this.#losses !== this.#holding.registrations.losses) return;
      await this.#holding.registrations.end(this.#latest, how);
    });
    return this.#ending;
  }

  /** @internal Another process has ended this registration: the key is taken up again. */
  endedByOther(registration: Registration): void {
    if (this.#latest !== registration || this.#state !== "started" || this.#holding.isClosed) return;
    const { log } = this.#holding.context;
    this.#isOver = true;
    log.info(`another process reported the key ${JSON.stringify(this.key)} dead; it is taken up again`);
    this.#events.emit("killed");
    if (this.#state !== "started" || this.#latest !== registration) return;
    this.#take(this.#losses).catch((error: unknown) => log.warn("a key could not be taken up again", error));
  }

  /** @internal The namespace is gone, and the key with it. */
  lost(): void {
    if (this.#state === "started") this.#state = "killed";
    this.#events.emit("killed");
  }
}
