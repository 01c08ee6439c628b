/**
 * Reports changes of liveness of the keys that it watches.
 *
 *   running --stop--> stopped
 *   running --the namespace is gone, or was set up again with another period or format version--> failed
 *   running --a right was never granted--> failed
 *
 * Any other fault makes it `stale`, as its `health` says, and passes by itself.
 */
import { checkKey } from "../core/checks.ts";
import { HeartbitError, watcherStopped } from "../core/errors.ts";
import { checkTarget, nameOf, showTarget, type WatchTarget } from "../core/selection.ts";
import { Subscription, type WatcherLife } from "../core/subscriptions.ts";
import type { RoundRobin } from "../lib/round-robin.ts";
import { onAbort } from "../lib/abort.ts";
import { PullStream } from "../lib/pull-stream.ts";
import { type Change, changesOf } from "../core/change.ts";
import { type Emitter, loggedEvents, Subscribable } from "../lib/emitter.ts";
import { checkListener, checkOptionsObject, checkSignal } from "../lib/arguments.ts";
import type { Context } from "./context/context.ts";
import type { Health } from "./context/health.ts";
import type { SlotLoop } from "./slot-loop.ts";
import { Waits } from "../lib/timers.ts";

/** Whether a watcher reports changes. A failed watcher has an `error`. */
export type WatcherState = "running" | "stopped" | "failed";

/** A watcher's events. */
export interface WatcherEvents {
  /** Fires when the presence's health turns `stale` or `healthy`. Does not fire at the start, nor after `stop`. */
  health: [health: Health];
}

/** Receives each change. A promise that it returns is not awaited. */
export type ChangeListener<Meta = unknown> = (change: Change<Meta>) => void;

/** Reports changes of liveness of the keys that it watches. Made by `presence.watcher()`. */
export class Watcher<Meta = unknown> extends Subscribable<WatcherEvents> {
  /** Resolves when the watcher has stopped or failed. Never rejects. */
  readonly dead: Promise<void>;
  readonly #context: Context;
  readonly #loop: SlotLoop;
  readonly #delivery: RoundRobin<Change>;
  readonly #events: Emitter<WatcherEvents>;
  /** By target (as text) and listener. */
  #subscriptions = new Map<string, Map<ChangeListener, Subscription>>();
  #streams = new Map<PullStream<Change>, Subscription>();
  readonly #life: WatcherLife = { isOver: false };
  /** Calls that wait for the store; given up when this watcher stops. */
  readonly #waits = new Waits();
  #state: WatcherState = "running";
  #error: Error | null = null;
  #died: () => void = () => {};

  /** @internal Use `presence.watcher()`. */
  constructor(context: Context, loop: SlotLoop, delivery: RoundRobin<Change>) {
    const events = loggedEvents<WatcherEvents>(context.log);
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

  /** `failed` only for faults that can never pass. After any other it stays `running`, and its health is `stale`. */
  get state(): WatcherState {
    return this.#state;
  }

  /** Why it failed; null while it runs and after a clean stop. */
  get error(): Error | null {
    return this.#error;
  }

  /** The presence's health. While it is `stale`, changes may be reported late. */
  get health(): Health {
    return this.#context.health.health;
  }

  /**
   * Calls the listener with the current state, then with each change, but never before `watch` has returned. The
   * current state of a key is one change, alive or not; of a prefix or of all keys it is one change for each live key.
   * Errors that the listener throws or rejects with are logged. Throws `ALREADY_WATCHED` (the same target and
   * listener), `INVALID_KEY`, `INVALID_OPTION`, `WATCHER_STOPPED`.
   */
  watch(target: WatchTarget, listener: ChangeListener<Meta>): void {
    const checked = checkTarget(target);
    const checkedListener = checkListener(listener) as ChangeListener;
    this.#checkRunning();
    const name = nameOf(checked);
    const listeners = this.#subscriptions.get(name) ?? new Map<ChangeListener, Subscription>();
    if (listeners.has(checkedListener)) {
      throw new HeartbitError("ALREADY_WATCHED", `This listener already watches ${showTarget(checked)}.`);
    }
    const arrived = (): void => this.#delivery.add(changes, checkedListener);
    const subscription = new Subscription(checked, arrived, this.#life);
    const changes = changesOf(subscription);
    this.#subscriptions.set(name, listeners.set(checkedListener, subscription));
    this.#loop
      .startWatching()
      .subscribe(subscription)
      .catch((error: Error) => this.fail(error));
  }

  /**
   * Stops calling the listener, even for pending changes. Does nothing if it does not watch the target. Throws
   * `INVALID_KEY`, `INVALID_OPTION`.
   */
  unwatch(target: WatchTarget, listener: ChangeListener<Meta>): void {
    const name = nameOf(checkTarget(target));
    const listeners = this.#subscriptions.get(name);
    const subscription = listeners?.get(listener as ChangeListener);
    if (listeners === undefined || subscription === undefined) return;
    listeners.delete(listener as ChangeListener);
    if (listeners.size === 0) this.#subscriptions.delete(name);
    subscription.cancel();
    this.#loop.watching?.unsubscribe(subscription);
  }

  /**
   * Reports what `watch` reports, as an async iterator. It begins with this call, and yields for each key the latest
   * state that was not consumed yet. Ends when the watcher stops or fails, at `break`, or when `signal` is aborted.
   * Throws as `watch` does.
   */
  changes(
    target: WatchTarget,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterableIterator<Change<Meta>> {
    const checked = checkTarget(target);
    const signal = checkSignal(checkOptionsObject(options, ["signal"]).signal);
    this.#checkRunning();
    let ignore: (() => void) | undefined;
    const subscription = new Subscription(checked, () => stream.serve(), this.#life);
    const stream = new PullStream(changesOf(subscription), () => {
      ignore?.();
      subscription.cancel();
      if (this.#state !== "running") return; // all are unsubscribed together
      this.#streams.delete(stream);
      this.#loop.watching?.unsubscribe(subscription);
    });
    this.#streams.set(stream, subscription);
    this.#loop
      .startWatching()
      .subscribe(subscription)
      .catch((error: Error) => this.fail(error));
    ignore = onAbort(signal, () => stream.end());
    return stream as AsyncIterableIterator<Change<Meta>>;
  }

  /**
   * Whether the key is alive as far as this watcher knows. A key that is not watched is loaded first, which waits for a
   * store that is away. Rejects with `WATCHER_STOPPED` or `INVALID_KEY`.
   */
  async alive(key: string): Promise<boolean> {
    checkKey(key);
    this.#checkRunning();
    return this.#waits.until(this.#loop.startWatching().alive(key));
  }

  /** Starts a `sync` and does not wait for it. Failures show in `health`. */
  startSync(): void {
    if (this.#state !== "running") return;
    this.#loop
      .startWatching()
      .sync()
      .catch((error: unknown) => this.#context.log.debug("a sync failed", error));
  }

  /**
   * Reads and evaluates now. Resolves when the listeners have been called with everything that was found, or it is in
   * the buffers of `changes`. Rejects with the store's error if it answers with one, such as `NOT_PERMITTED`, with
   * `STORE_UNAVAILABLE` if nothing came from it for a period, at least 5 s and at most 10 s, and with `WATCHER_STOPPED`.
   */
  async sync(): Promise<void> {
    this.#checkRunning();
    await this.#waits.until(this.#loop.startWatching().sync());
    await this.#delivery.drained();
  }

  /** Stops: no listener is called any more. Idempotent. */
  async stop(): Promise<void> {
    this.#end("stopped", null);
  }

  /** Stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** @internal Fails it for a fault that can never pass. */
  fail(error: Error): void {
    this.#end("failed", error);
  }

  #end(state: "stopped" | "failed", error: Error | null): void {
    if (this.#state !== "running") return;
    this.#life.isOver = true;
    this.#state = state;
    this.#error = error;
    this.#context.events.off("health", this.#onHealth);
    this.#loop.leave(this);
    const [subscriptions, streams] = [this.#subscriptions, this.#streams];
    this.#subscriptions = new Map(); // a program may keep a watcher that has stopped
    this.#streams = new Map();
    this.#loop.watching?.unsubscribeAll(allOf(subscriptions, streams)); // if there are other watchers
    for (const stream of streams.keys()) stream.end();
    this.#waits.giveUp(watcherStopped(error));
    this.#died();
  }

  readonly #onHealth = (health: Health): void => this.#events.emit("health", health);

  #checkRunning(): void {
    if (this.#state !== "running") throw watcherStopped(this.#error);
  }
}

function* allOf(
  subscriptions: ReadonlyMap<string, ReadonlyMap<ChangeListener, Subscription>>,
  streams: ReadonlyMap<PullStream<Change>, Subscription>,
): IterableIterator<Subscription> {
  for (const listeners of subscriptions.values()) yield* listeners.values();
  yield* streams.values();
}
