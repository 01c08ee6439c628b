/**
 * One opened namespace: the entry point of the library. It puts the parts together and has no rule of its own: what is
 * done when something happens is in `recovery.ts`.
 */
import { hostname } from "node:os";
import { KILLED } from "../core/alive.ts";
import { checkKey, checkPrefix } from "../core/checks.ts";
import { HeartbitError, toError } from "../core/errors.ts";
import { select } from "../core/selection.ts";
import type { Pruned, Store } from "../core/store.ts";
import { onAbort } from "../lib/abort.ts";
import { systemClock } from "../lib/system-clock.ts";
import { Deliverer } from "./watching/delivery.ts";
import { Emitter, type Listener } from "../lib/emitter.ts";
import type { Happenings } from "./context/instrumentation.ts";
import { type Health, HealthKeeper } from "./context/health.ts";
import { Heart, type Lapse } from "./holding/heartbeat.ts";
import { Holdings } from "./holding/registrations.ts";
import { type Gauges, setInside } from "./context/internals.ts";
import { type Listing, readListing } from "./list.ts";
import { makeLog } from "./context/log.ts";
import { Observer } from "./watching/observer.ts";
import { type CheckedOptions, checkOptions, checkOptionsObject, type PresenceOptions } from "./options.ts";
import { Pinger, type PingerHost } from "./pinger.ts";
import { plausible } from "./context/guard.ts";
import { pruneAll } from "./context/pruning.ts";
import { ensurePresent } from "./context/pings.ts";
import { Recovery } from "./event-handlers.ts";
import { SessionKeeper } from "./holding/session.ts";
import { dropped, Setup } from "./context/config.ts";
import { attempt, bulk, patienceMs, type Shared } from "./context/context.ts";
import { nameOf, openStore, type Target } from "./target.ts";
import { StoreTime } from "./context/store-time.ts";
import { Sleeper, within } from "../lib/timers.ts";
import { Watcher } from "./watcher.ts";
import { closed } from "./holding/write-queue.ts";

/** A presence's events. */
export interface PresenceEvents {
  /**
   * Fires when the health turns `stale` or `healthy` again. Does not fire at the start, nor for a further trouble
   * while it is stale.
   */
  health: [health: Health];
  /**
   * Fires when this process could not ping for so long that others may have told its keys dead: as soon as
   * `vouchedUntil` has passed; when the process was paused, as soon as it goes on; when the machine slept, at the next
   * ping. Once a lapse; not before anything was held or watched. What is held is written again, and so alive again, as soon as the
   * store answers.
   */
  lapse: [lapse: Lapse];
  /** Fires once, when the presence has closed. */
  close: [];
}

/** How long opening waits for a store that does not answer, in ms. */
const OPEN_LIMIT_MS = 5000;
/** How long closing waits for it, where a period is longer, in ms. */
const CLOSE_LIMIT_MS = 10_000;

/**
 * One opened namespace: gives pingers, which hold keys, and watchers, which tell who is alive. It has a session, and pings,
 * once a pinger or a watcher has started.
 */
export class Presence {
  readonly #shared: Shared;
  readonly #options: CheckedOptions;
  readonly #store: Store;
  readonly #ownsStore: boolean;
  readonly #events: Emitter<PresenceEvents>;
  readonly #setup: Setup;
  readonly #session: SessionKeeper;
  readonly #holdings: Holdings;
  readonly #deliverer: Deliverer;
  readonly #sleeper: Sleeper;
  readonly #recovery: Recovery;
  readonly #pingerHost: PingerHost;
  /** The started ones. */
  readonly #pingers = new Set<Pinger>();
  readonly #watchers = new Set<Watcher>();
  #pingerCount = 0;
  #heart: Heart | undefined;
  #observer: Observer | undefined;
  #endNotices: () => void = () => {};
  #ignoreAbort: () => void = () => {};
  #closing: Promise<void> | undefined;
  #dropping: Promise<void> | undefined;

  /**
   * Opens a namespace, and sets it up where nobody has. Rejects with `INVALID_OPTION`, `CONFIG_MISMATCH` (it was set
   * up with another period, or by another version), `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `UNSUPPORTED_SERVER`, or
   * `PRESENCE_CLOSED` when `signal` was aborted.
   */
  static async open(target: Target, options: PresenceOptions = {}): Promise<Presence> {
    const checked = checkOptions(options, nameOf(target));
    checkNotAborted(checked);
    let presence: Presence | undefined;
    try {
      const { store, opened } = await openStore(target, checked);
      presence = new Presence(store, opened, checked);
      await unlessAborted(presence.#begin(), checked);
      checkNotAborted(checked);
      return presence;
    } catch (error) {
      await presence?.close();
      checkNotAborted(checked); // whatever else has gone wrong meanwhile
      throw error;
    }
  }

  private constructor(store: Store, ownsStore: boolean, options: CheckedOptions) {
    const { name, periodMs, retentionSlots } = options;
    const clock = options.clock ?? store.clock ?? systemClock;
    const log = makeLog(name, options.logger);
    if (ownsStore) store.warn = (message) => log.warn(message);
    const namespace = plausible(store.namespace(name, { periodMs, retentionSlots }), {
      periodMs,
      present: () => this.#shared.time.slot,
      warn: (message) => log.warn(message),
    });
    const stepped = (byMs: number): void => this.#recovery.stepped(byMs);
    const raised = (): void => this.#recovery.raised();
    const moved = (): void => this.#heart?.hurry(); // it may be another slot than the one that was pinged
    const time = new StoreTime({ namespace, clock, periodMs, stepped, moved, raised });
    const health = new HealthKeeper(
      () => time.position,
      () => clock.now(),
      (changed) => this.#tellHealth(changed),
    );
    const happenings = new Emitter<Happenings>((error) => log.error("counting what happens failed", error));
    this.#shared = { name, namespace, clock, time, health, log, happenings, periodMs, retentionSlots };
    const gauges = (): Gauges => ({ held: this.#pingers.size, observer: this.#observer?.gauges });
    setInside(this, { ...this.#shared, gauges });
    this.#options = options;
    this.#store = store;
    this.#ownsStore = ownsStore;
    this.#sleeper = new Sleeper(clock);
    this.#events = new Emitter((error, event) => log.error(`a listener of ${event} threw`, error));
    this.#deliverer = new Deliverer(clock, (error) => log.error("a listener of changes threw", error));
    this.#setup = new Setup(this.#shared);
    this.#session = new SessionKeeper(
      this.#shared,
      { host: hostname(), pid: process.pid },
      {
        prepare: () => this.#setup.ensure(),
        nextSeq: () => this.#setup.nextSeq(),
        opened: (session) => this.#startHeart(session.seq, session.slot),
        gone: () => this.#recovery.verify(),
        reopened: () => this.#holdings.rewrite(),
      },
    );
    this.#holdings = new Holdings(this.#shared, this.#session, () => this.#isCurrent());
    this.#pingerHost = {
      shared: this.#shared,
      holdings: this.#holdings,
      isClosed: () => this.#closing !== undefined,
      losses: () => this.#recovery.losses,
      dropping: () => this.#dropping,
      kill: (key) => this.kill(key),
      started: (pinger) => this.#pingers.add(pinger),
      ended: (pinger) => this.#pingers.delete(pinger),
    };
    this.#recovery = new Recovery({
      shared: this.#shared,
      setup: this.#setup,
      session: this.#session,
      holdings: this.#holdings,
      pingers: this.#pingers,
      watchers: this.#watchers,
      heart: () => this.#heart,
      stopHeart: () => this.#stopHeart(),
      observer: () => this.#observer,
      attempt: (act) => this.#attempt(act),
    });
  }

  /** The namespace. */
  get name(): string {
    return this.#shared.name;
  }

  /** The length of a slot, in ms. */
  get periodMs(): number {
    return this.#shared.periodMs;
  }

  /** The number of this presence's session; undefined before its first pinger or watcher has started. */
  get session(): number | undefined {
    return this.#session.current?.record.seq;
  }

  /** Whether this process's view of the store, and its pinging, is up to date. */
  get health(): Health {
    return this.#shared.health.health;
  }

  /**
   * The earliest time at which a watcher could tell this process's keys dead, by this machine's wall clock: compare it
   * with `new Date()` before doing what must not be done twice. Null before a pinger or watcher has started, and after
   * `close`.
   */
  get vouchedUntil(): Date | null {
    return this.#heart?.vouchedUntil ?? null;
  }

  /** A pinger of the key. Throws `INVALID_KEY`, `INVALID_META`, `PRESENCE_CLOSED`. */
  pinger(key: string, options: { readonly meta?: unknown } = {}): Pinger {
    this.#checkOpen();
    const { meta } = checkOptionsObject(options);
    return new Pinger(this.#pingerHost, this.#pingerCount++, checkKey(key), meta);
  }

  /** A watcher, which runs until it is stopped. Throws `PRESENCE_CLOSED`. */
  watcher(): Watcher {
    this.#checkOpen();
    const running = (): Observer | undefined => this.#observer;
    const watcher = new Watcher({
      shared: this.#shared,
      deliverer: this.#deliverer,
      observer: () => this.#startObserver(),
      get running() {
        return running();
      },
      ended: (ended) => this.#watcherEnded(ended),
    });
    this.#watchers.add(watcher);
    return watcher;
  }

  /**
   * The state of the keys with a prefix, of one key, or of all: one read, by the rule alone. A key that was never held,
   * or died longer ago than the retention, is not in it. Where both are given `key` holds. Rejects with `INVALID_KEY`,
   * `INVALID_OPTION`, `NOT_PERMITTED`, `PRESENCE_CLOSED`; and with `STORE_UNAVAILABLE` when the store has not answered for a
   * period, at least 2 s and at most 10.
   */
  async list(options: { readonly prefix?: string; readonly key?: string } = {}): Promise<Listing> {
    const { key, prefix = "" } = checkOptionsObject(options); // null is not absent: it must not mean all keys
    const target = key === undefined ? { prefix: checkPrefix(prefix) } : checkKey(key);
    return this.#attempt(() => readListing(this.#shared, select([target])));
  }

  /**
   * Reports the key dead now, whoever holds it. A holder that is really alive takes it up again. Gives how many holders
   * that were alive it ended. Rejects with `INVALID_KEY`, `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async kill(key: string): Promise<number> {
    checkKey(key);
    let ended = 0;
    await this.#attempt(async () => {
      await bulk(this.#shared, "write", this.#session.idle());
      const { keys } = await readListing(this.#shared, select([key]));
      // The most of all attempts: one whose answer was lost may have ended them.
      ended = Math.max(ended, keys[0]?.holders.length ?? 0);
      await bulk(this.#shared, "kill", this.#shared.namespace.kill(key));
    });
    return ended;
  }

  /**
   * Deletes what has been dead for longer than the retention; presences do so by themselves, now and then. The retention counts back
   * from the fourth latest slot in which somebody has pinged; where there are no four of late, what is three retentions old goes.
   * Gives how many were deleted. Rejects with `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async prune(): Promise<Pruned> {
    return pruneAll(this.#shared, (act) => this.#attempt(act));
  }

  /**
   * Removes all data of the namespace. What this presence holds is dead, its watchers fail, and so do those of others
   * when they notice. Rejects with `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  drop(): Promise<void> {
    this.#dropping ??= this.#drop().finally(() => {
      this.#dropping = undefined;
    });
    return this.#dropping;
  }

  /**
   * Ends every key that this presence holds, at once, or with `linger` when their last ping has run out; stops its
   * watchers; closes what it opened itself. Planned absences go on. Idempotent. Waits at most one period, ten seconds at
   * most, for a store that is away, and does not reject because of it: the keys time out then.
   */
  close(options: { readonly linger?: boolean } = {}): Promise<void> {
    const { linger } = checkOptionsObject(options);
    this.#closing ??= this.#close(linger === true);
    return this.#closing;
  }

  /** Calls the listener at each event, until `off`. What it throws, or rejects with, is logged. */
  on<Name extends keyof PresenceEvents>(event: Name, listener: Listener<PresenceEvents[Name]>): this {
    this.#events.on(event, listener);
    return this;
  }

  /** Calls the listener at the next event alone. */
  once<Name extends keyof PresenceEvents>(event: Name, listener: Listener<PresenceEvents[Name]>): this {
    this.#events.on(event, listener, true);
    return this;
  }

  /** Calls the listener no more; where it was added several times, once less. */
  off<Name extends keyof PresenceEvents>(event: Name, listener: Listener<PresenceEvents[Name]>): this {
    this.#events.off(event, listener);
    return this;
  }

  /** Closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---- opening and closing

  async #begin(): Promise<void> {
    const { namespace, clock, time } = this.#shared;
    await within(clock, OPEN_LIMIT_MS, "open", this.#setup.configure());
    await within(clock, OPEN_LIMIT_MS, "open", time.sample());
    // The store's clock may have stepped back while nobody was there.
    await ensurePresent(
      this.#shared,
      await within(clock, OPEN_LIMIT_MS, "open", namespace.pings(time.slot + 1)),
    );
    this.#checkOpen();
    this.#endNotices = namespace.notices?.((notice) => this.#recovery.notice(notice)) ?? this.#endNotices;
    this.#ignoreAbort = onAbort(this.#options.signal, () => void this.close());
  }

  async #close(linger: boolean): Promise<void> {
    const { clock, periodMs, time, namespace, log } = this.#shared;
    this.#ignoreAbort();
    this.#endNotices();
    this.#sleeper.end();
    for (const watcher of this.#watchers) await watcher.stop();
    for (const pinger of this.#pingers) pinger.close(linger ? "stopped" : "killed");
    this.#heart?.stop();
    const end = clock.monotonic() + Math.min(periodMs, CLOSE_LIMIT_MS);
    const inTime = (work: Promise<void>): Promise<void> =>
      within(clock, Math.max(0, end - clock.monotonic()), "close", work);
    await inTime(this.#holdings.end(linger ? time.slot : KILLED)).catch((error: unknown) =>
      log.warn("the keys could not be ended, they will time out", error),
    );
    this.#session.stop();
    this.#heart = undefined;
    const closing = namespace.close().then(() => (this.#ownsStore ? this.#store.close() : undefined));
    await inTime(closing).catch((error: unknown) => log.debug("closing failed", error));
    this.#events.emit("close");
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closed(this.name);
  }

  /** Nothing is written meanwhile: what was called before comes before it, what is called from now on comes after. */
  async #drop(): Promise<void> {
    this.#checkOpen();
    const { namespace, clock } = this.#shared;
    const pingers = [...this.#pingers];
    const heart = this.#heart;
    heart?.stop();
    await heart?.settled();
    await within(clock, patienceMs(this.#shared), "write", this.#session.idle()).catch(() => {});
    try {
      await this.#attempt(() => bulk(this.#shared, "drop", namespace.drop()));
    } catch (error) {
      const { session } = this;
      if (heart !== undefined && session !== undefined) void this.#startHeart(session, heart.acknowledged);
      throw error;
    }
    this.#recovery.lose(dropped(this.name), pingers);
  }

  // ---- the parts

  /** Resolves when the first ping has been answered, or given up. Rejects when it was refused. */
  #startHeart(seq: number, vouched: number): Promise<void> {
    // A session whose opening was under way when the presence was closed ends at once.
    if (this.#closing !== undefined) return Promise.resolve();
    this.#heart?.stop();
    const heart = new Heart(this.#shared, seq, vouched, {
      pinged: (slot, lapsed) => this.#recovery.pinged(slot, lapsed),
      lapse: (lapse) => this.#events.emit("lapse", lapse),
    });
    this.#heart = heart;
    heart.answered.catch(() => {
      if (this.#heart === heart) this.#heart = undefined;
    });
    return heart.answered;
  }

  #stopHeart(): void {
    this.#heart?.stop();
    this.#heart = undefined;
  }

  #startObserver(): Observer {
    this.#observer ??= new Observer(this.#shared, {
      holdings: this.#holdings,
      heart: () => this.#heart,
      begin: () => this.#beginToWatch(),
      verify: () => this.#recovery.verify(),
      isCurrent: () => this.#isCurrent(),
      useFeed: this.#options.feed === "auto",
      pollMs: this.#options.pollMs,
      failed: (error) => this.#recovery.failWatchers(toError(error)),
    });
    return this.#observer;
  }

  /** Who watches pings, so that a read can be known to be fresh, and slots in which nobody could write to be empty. */
  async #beginToWatch(): Promise<void> {
    try {
      await this.#session.open();
    } catch (error) {
      if (!(error instanceof HeartbitError) || error.code !== "NOT_PERMITTED") throw error;
      this.#shared.log.info("watching without the right to write", error);
    }
    const heart = this.#heart;
    await heart?.answered; // who may open a session, but not ping, has been given a part of the rights: that is told
    await heart?.first;
  }

  #isCurrent(): boolean {
    return (this.#heart?.acknowledged ?? Infinity) >= this.#shared.time.slot - 1;
  }

  #watcherEnded(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    const observer = this.#observer;
    this.#observer = undefined;
    void observer?.stop();
  }

  #tellHealth(health: Health): void {
    const { log } = this.#shared;
    if (health.state === "stale") log.warn(`stale: ${health.reason}`);
    else log.info("healthy");
    this.#events.emit("health", health);
    for (const watcher of this.#watchers) watcher.tellHealth(health);
  }

  /** Tries for a while what is asked for once. */
  #attempt<T>(act: () => Promise<T>): Promise<T> {
    return attempt(this.#shared, this.#sleeper, async () => {
      this.#checkOpen();
      return act().catch((error: unknown) => {
        this.#checkOpen();
        throw error;
      });
    });
  }
}

function checkNotAborted({ name, signal }: CheckedOptions): void {
  if (signal?.aborted === true) throw closed(name, signal.reason);
}

/** What it gives, or a rejection as soon as the signal is aborted. */
function unlessAborted<T>(work: Promise<T>, { name, signal }: CheckedOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const ignore = onAbort(signal, () => reject(closed(name, signal?.reason)));
    work.finally(ignore).then(resolve, reject);
  });
}
