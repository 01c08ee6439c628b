/**
 * Reports changes of liveness of the keys it watches.
 *
 *   running --stop--> stopped
 *   running --a namespace that is gone or another's, or rights that it never had--> failed
 *
 * Everything else makes it `stale`, which its `health` says, and heals by itself.
 */
import { checkKey, show } from "../core/checks.ts";
import { HeartbitError } from "../core/errors.ts";
import type { WatchTarget } from "../core/selection.ts";
import type { RoundRobin } from "../lib/round-robin.ts";
import { onAbort } from "../lib/abort.ts";
import type { Change } from "./change.ts";
import { ChangeStream, Subscription } from "./watching/delivery.ts";
import { Emitter, EventSource } from "../lib/emitter.ts";
import { checkListener, checkOptionsObject, checkSignal } from "../lib/arguments.ts";
import { checkTarget } from "./options.ts";
import type { Context } from "./context/context.ts";
import type { Health } from "./context/health.ts";
import type { SlotLoop } from "./slot-loop.ts";
import { Waits } from "../lib/timers.ts";

/** Whether a watcher reports changes. A failed one has an `error`. */
export type WatcherState = "running" | "stopped" | "failed";

/** A watcher's events. */
export interface WatcherEvents {
  /** Fires when the presence's health turns stale or healthy. Does not fire at the start, when it is healthy. */
  health: [health: Health];
}

/** Gets each change. A promise that it returns is not waited for. */
export type ChangeListener = (change: Change) => void;

/** Reports changes of liveness of the keys that it watches. Made by `presence.watcher()`. */
export class Watcher extends EventSource<WatcherEvents> {
  /** Resolves when it has stopped or failed. Never rejects. */
  readonly dead: Promise<void>;
  readonly #context: Context;
  readonly #loop: SlotLoop;
  readonly #delivery: RoundRobin<Change>;
  readonly #events: Emitter<WatcherEvents>;
  /** By target, as text, and listener. */
  readonly #subscriptions = new Map<string, Map<ChangeListener, Subscription>>();
  readonly #streams = new Set<ChangeStream>();
  /** For the store: given up when this watcher stops. */
  readonly #waits = new Waits();
  #state: WatcherState = "running";
  #error: Error | null = null;
  #died: () => void = () => {};

  /** @internal Use `presence.watcher()`. */
  constructor(context: Context, loop: SlotLoop, delivery: RoundRobin<Change>) {
    const events = new Emitter<WatcherEvents>((error, event) =>
      context.log.error(`a listener of ${event} threw`, error),
    );
    super(events);
    this.#events = events;
    this.#context = context;
    this.#loop = loop;
    this.#delivery = delivery;
    context.events.on("health", this.#onHealth);
    loop.watchers.add(this);
    this.dead = new Promise((resolve) => {
      this.#died = resolve;
    });
  }

  /** `failed` by what can never heal; by anything else it is `stale`, which its health tells, and stays `running`. */
  get state(): WatcherState {
    return this.#state;
  }

  /** Why it has failed; null while it runs and after a clean stop. */
  get error(): Error | null {
    return this.#error;
  }

  /** The presence's health: what this watcher tells may be late while it is `stale`. */
  get health(): Health {
    return this.#context.health.health;
  }

  /**
   * Tells the listener the present state - of a key: one change, alive or not; of a prefix or all: one for each live
   * key - and then each change. Never before `watch` has returned. What the listener throws, or rejects with, is
   * logged. Throws `ALREADY_WATCHED` (the same target and listener), `INVALID_KEY`, `INVALID_OPTION`,
   * `WATCHER_STOPPED`.
   */
  watch(target: WatchTarget, listener: ChangeListener): void {
    const checked = checkTarget(target);
    checkListener(listener);
    this.#checkRunning();
    const name = nameOf(checked);
    const listeners = this.#subscriptions.get(name) ?? new Map<ChangeListener, Subscription>();
    if (listeners.has(listener)) {
      throw new HeartbitError("ALREADY_WATCHED", `This listener watches ${describeTarget(checked)} already.`);
    }
    const subscription = new Subscription(checked, () => this.#delivery.add(subscription, listener));
    this.#subscriptions.set(name, listeners.set(listener, subscription));
    this.#loop.startWatching().subscribe(subscription);
  }

  /**
   * Delivers nothing more to the listener, pending changes included. Harmless where it does not watch the target. Throws
   * `INVALID_KEY`, `INVALID_OPTION`.
   */
  unwatch(target: WatchTarget, listener: ChangeListener): void {
    const name = nameOf(checkTarget(target));
    const listeners = this.#subscriptions.get(name);
    const subscription = listeners?.get(listener);
    if (listeners === undefined || subscription === undefined) return;
    listeners.delete(listener);
    if (listeners.size === 0) this.#subscriptions.delete(name);
    subscription.cancel();
    this.#loop.watching?.unsubscribe(subscription);
  }

  /**
   * The same content as `watch`, to iterate over: from this call on, per key the latest state that is not consumed yet.
   * Ends when the watcher stops or fails, at `break`, or when `signal` is aborted. Throws as `watch` does.
   */
  changes(
    target: WatchTarget,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterableIterator<Change> {
    const checked = checkTarget(target);
    const signal = checkSignal(checkOptionsObject(options).signal);
    this.#checkRunning();
    let ignore: (() => void) | undefined;
    const stream = new ChangeStream(checked, () => {
      ignore?.();
      if (this.#streams.delete(stream)) this.#loop.watching?.unsubscribe(stream.subscription);
    });
    this.#streams.add(stream);
    this.#loop.startWatching().subscribe(stream.subscription);
    ignore = onAbort(signal, () => stream.end());
    return stream;
  }

  /**
   * What this watcher considers true now, watched or not, loaded first where it is not, which takes as long as the store is
   * away. Rejects with `WATCHER_STOPPED` or `INVALID_KEY`.
   */
  async alive(key: string): Promise<boolean> {
    checkKey(key);
    this.#checkRunning();
    return this.#waits.until(this.#loop.startWatching().alive(key));
  }

  /** Asks for a load now, and does not wait for it. What goes wrong shows in `health`. */
  startSync(): void {
    if (this.#state !== "running") return;
    this.#loop
      .startWatching()
      .sync()
      .catch((error: unknown) => this.#context.log.debug("a sync failed", error));
  }

  /**
   * Loads now; resolves when all that was found has been handed to the listeners, or put into the buffers of `changes`.
   * Rejects with `STORE_UNAVAILABLE` at once when the store says that it cannot, and when it has not answered for a
   * period, at least 5 s and at most 10; and with `WATCHER_STOPPED`.
   */
  async sync(): Promise<void> {
    this.#checkRunning();
    await this.#waits.until(this.#loop.startWatching().sync());
    await this.#delivery.drained();
  }

  /** Stops: nothing more is delivered. Idempotent. */
  async stop(): Promise<void> {
    this.#end("stopped", null);
  }

  /** Stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** @internal It can never go on. */
  fail(error: Error): void {
    this.#end("failed", error);
  }

  #end(state: "stopped" | "failed", error: Error | null): void {
    if (this.#state !== "running") return;
    const subscriptions = [...this.#subscriptions.values()].flatMap((listeners) => [...listeners.values()]);
    for (const subscription of subscriptions) subscription.cancel();
    this.#loop.watching?.unsubscribeAll(subscriptions);
    for (const stream of this.#streams) stream.end();
    this.#subscriptions.clear();
    this.#state = state;
    this.#error = error;
    this.#context.events.off("health", this.#onHealth);
    this.#loop.leave(this);
    this.#waits.giveUp(this.#stoppedError());
    this.#died();
  }

  readonly #onHealth = (health: Health): void => this.#events.emit("health", health);

  #checkRunning(): void {
    if (this.#state !== "running") throw this.#stoppedError();
  }

  #stoppedError(): HeartbitError {
    const why = this.#error === null ? "" : ` because it failed: ${this.#error.message}`;
    return new HeartbitError("WATCHER_STOPPED", `The watcher has stopped${why || "."}`, {
      cause: this.#error,
    });
  }
}

function nameOf(target: WatchTarget): string {
  if (typeof target === "string") return `key ${target}`;
  return "prefix" in target && target.prefix !== "" ? `prefix ${target.prefix}` : "all";
}

function describeTarget(target: WatchTarget): string {
  if (typeof target === "string") return `the key ${show(target)}`;
  return "prefix" in target ? `the prefix ${show(target.prefix)}` : "all keys";
}
