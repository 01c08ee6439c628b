/** The entry point of the library: one opened namespace. Puts the parts together, and has no rules of its own. */
import { checkKey, checkPrefix } from "../core/checks.ts";
import { closed } from "../core/errors.ts";
import { closeLimitMs, OPEN_LIMIT_MS, quickMs } from "../core/limits.ts";
import { select } from "../core/selection.ts";
import type { Pruned, Store } from "../core/store.ts";
import { onAbort, unlessAborted } from "../lib/abort.ts";
import { checkOptionsObject } from "../lib/arguments.ts";
import { Emitter, loggedEvents, Subscribable } from "../lib/emitter.ts";
import { outsideOfRequests } from "../lib/outside.ts";
import { systemClock } from "../lib/system-clock.ts";
import { JoinedRun, within, withinOrStill } from "../lib/timers.ts";
import { NamespaceConfig } from "./context/config.ts";
import { type Context, forAWhile, patiently, sampleTime } from "./context/context.ts";
import { guarded } from "../stores/guard.ts";
import { type Health, HealthMonitor } from "./context/health.ts";
import type { Instrumentation } from "./context/instrumentation.ts";
import { type Gauges, isPresence, setInternals } from "./internals.ts";
import { makeLog } from "../lib/log.ts";
import { handleFuturePings } from "./context/pings.ts";
import { pruneAll } from "./context/pruning.ts";
import { Requests } from "../lib/requests.ts";
import { Patience } from "../core/patience.ts";
import { StoreTime } from "../core/store-time.ts";
import type { PresenceEvents } from "./events.ts";
import { type HeldKey, Holding } from "./hold.ts";
import { HoldingSide } from "./holding/holding-side.ts";
import type { Listing } from "../core/listing.ts";
import { readListing } from "./list.ts";
import { type CheckedOptions, checkOptions, type PresenceOptions } from "./options.ts";
import { Pinger } from "./pinger.ts";
import { SlotLoop } from "./slot-loop.ts";
import { nameOf, openStore, type Target } from "../stores/target.ts";
import { Watcher } from "./watcher.ts";
import type { Change } from "../core/change.ts";
import { RoundRobin } from "../lib/round-robin.ts";

/**
 * One opened namespace. It makes pingers, which hold keys, and watchers, which report which keys are alive. Once a
 * pinger or a watcher has started, it has a session and pings.
 */
export class Presence<Meta = unknown> extends Subscribable<PresenceEvents> {
  readonly #context: Context;
  /** The store, if it was opened here. */
  readonly #ownStore: Store | undefined;
  readonly #holdingSide: HoldingSide;
  readonly #loop: SlotLoop;
  readonly #delivery: RoundRobin<Change>;
  #ignoreAbort: () => void = () => {};
  #closing: Promise<void> | undefined;
  readonly #dropping = new JoinedRun(() => this.#drop());

  /**
   * Opens a namespace, and sets it up if nobody has. `Meta` is the type of the metas of its keys, which is not checked:
   * other programs may hold keys with others. Rejects with `INVALID_OPTION`, `CONFIG_MISMATCH` (it was set up
   * with another period, or by another version), `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `UNSUPPORTED_SERVER`, or
   * `PRESENCE_CLOSED` if `signal` was aborted.
   */
  static open<Meta = unknown>(target: Target, options: PresenceOptions = {}): Promise<Presence<Meta>> {
    return outsideOfRequests(() => Presence.#open(target, options)) as Promise<Presence<Meta>>;
  }

  static async #open(target: Target, options: PresenceOptions): Promise<Presence> {
    const checked = checkOptions(options, nameOf(target));
    checkNotAborted(checked);
    let presence: Presence | undefined;
    try {
      const { store, opened } = await openStore(target, checked);
      presence = new Presence(store, opened, checked);
      await unlessAborted(presence.#begin(checked.signal), checked.signal, () =>
        closed(checked.name, checked.signal?.reason),
      );
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
    const warn = (message: string): void => log.warn(message);
    const time = new StoreTime(clock, periodMs);
    const events = loggedEvents<PresenceEvents>(log);
    super(events);
    const unguarded = store.namespace(name, { periodMs, retentionSlots, warn });
    const namespace = guarded(unguarded, time, periodMs, warn);
    if (options.feed === "poll") delete namespace.feed;
    const context: Context = {
      name,
      namespace,
      get config() {
        return config; // made below, since it needs the context
      },
      clock,
      time,
      patience: new Patience(clock, periodMs),
      health: new HealthMonitor({ time, clock, events, log, namespace }),
      requests: new Requests(clock),
      events,
      log,
      instrumentation: new Emitter<Instrumentation>((error) => log.error("counting failed", error)),
      periodMs,
      retentionSlots,
      pollMs: options.pollMs,
    };
    const config = new NamespaceConfig(context);
    this.#context = context;
    this.#ownStore = ownsStore ? store : undefined;
    this.#holdingSide = new HoldingSide(context);
    this.#loop = new SlotLoop(this.#holdingSide);
    this.#delivery = new RoundRobin(clock, (error) => log.error("a listener of changes threw", error));
    const gauges = (): Gauges => ({
      held: this.#holdingSide.registrations.declared.heldCount,
      watching: this.#loop.watching?.gauges,
    });
    setInternals(this, { ...context, gauges });
  }

  /** The namespace. */
  get name(): string {
    return this.#context.name;
  }

  /** The length of a slot, in ms. */
  get periodMs(): number {
    return this.#context.periodMs;
  }

  /** The number of this presence's session; undefined until its first pinger or watcher has started. */
  get session(): number | undefined {
    return this.#holdingSide.session.current?.record.seq;
  }

  /** Whether this process's pings and its view of the store are up to date. */
  get health(): Health {
    return this.#context.health.health;
  }

  /**
   * The earliest time at which a watcher could report this process's keys dead, by this machine's wall clock. Compare
   * it with `new Date()` before work that must not be done twice. Null before a pinger or watcher has started, and
   * after `close`.
   */
  get vouchedUntil(): Date | null {
    const until = this.#holdingSide.session.lease?.until;
    return until === undefined || this.#holdingSide.isClosed ? null : new Date(until);
  }

  /** Makes a pinger of the key, not started yet. Throws `INVALID_KEY`, `INVALID_META`, `PRESENCE_CLOSED`. */
  pinger(key: string, options: { readonly meta?: Meta } = {}): Pinger<Meta> {
    this.#holdingSide.checkOpen();
    const { meta } = checkOptionsObject(options, ["meta"]);
    return new Pinger(this.#holdingSide, checkKey(key), meta);
  }

  /**
   * Holds many keys at once, without a pinger for each. Resolves when others can see them; waits for a store that is
   * away. Of a key that is given twice the last meta counts. Rejects with `INVALID_KEY`, `INVALID_META` or
   * `INVALID_OPTION`, and then holds none of them, and with `PRESENCE_CLOSED`, `NOT_PERMITTED` or `CONFIG_MISMATCH`.
   */
  async hold(keys: Iterable<HeldKey<Meta>>): Promise<Holding<Meta>> {
    this.#holdingSide.checkOpen();
    const holding = new Holding<Meta>(this.#holdingSide);
    await holding.add(keys);
    return holding;
  }

  /** Makes a watcher, which runs until it is stopped. Throws `PRESENCE_CLOSED`. */
  watcher(): Watcher<Meta> {
    this.#holdingSide.checkOpen();
    return new Watcher(this.#context, this.#loop, this.#delivery);
  }

  /**
   * Reads the state of one key, of the keys with a prefix, or of all keys. Needs no session. Keys that were never held,
   * or died longer ago than the retention, are not listed. If both options are given, `key` counts. Rejects with
   * `INVALID_KEY`, `INVALID_OPTION`, `NOT_PERMITTED`, `PRESENCE_CLOSED`, and with `STORE_UNAVAILABLE` if the store has
   * not answered for a period, at least 2 s and at most 10 s.
   */
  async list(options: { readonly prefix?: string; readonly key?: string } = {}): Promise<Listing<Meta>> {
    // null is not absent: it must not mean all keys
    const { key, prefix = "" } = checkOptionsObject(options, ["prefix", "key"]);
    const target = key === undefined ? { prefix: checkPrefix(prefix) } : checkKey(key);
    const read = (): Promise<Listing> => readListing(this.#context, select([target]));
    return (await this.#holdingSide.forAWhile(read)) as Listing<Meta>;
  }

  /**
   * Reports the key dead now, whoever holds it. A holder that is still running takes it up again. Returns how many live
   * holders were ended. Rejects with `INVALID_KEY`, `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async kill(key: string): Promise<number> {
    return this.#holdingSide.kill(checkKey(key));
  }

  /**
   * Deletes records that have been dead for longer than the retention. Presences do so by themselves from time to time.
   * The retention counts back from the fourth latest slot whose pings came in time; if there are no four recent ones,
   * only records three retentions old are deleted. Returns how many records were deleted. Rejects with
   * `STORE_UNAVAILABLE`, `NOT_PERMITTED`, `PRESENCE_CLOSED`.
   */
  async prune(): Promise<Pruned> {
    return this.#holdingSide.forAWhile(() => pruneAll(this.#context));
  }

  /**
   * Removes all data of the namespace, and closes this presence. Other presences find the namespace gone: their
   * watchers fail, and their pingers become `killed`. Rejects with `STORE_UNAVAILABLE` or `NOT_PERMITTED`, and the
   * presence continues, or with `PRESENCE_CLOSED`.
   */
  drop(): Promise<void> {
    return this.#dropping.run();
  }

  /**
   * Ends every key that this presence holds: at once, or with `linger` once their last ping no longer counts. Stops its
   * watchers, and closes what it opened itself. Planned absences continue. Idempotent. If the store is away, it waits
   * for a period, at most ten seconds, and does not reject: the keys then time out.
   */
  close(options: { readonly linger?: boolean } = {}): Promise<void> {
    const { linger } = checkOptionsObject(options, ["linger"]);
    this.#closing ??= this.#close(linger === true ? "stopped" : "killed");
    return this.#closing;
  }

  /** @internal Whether it is one, of whichever copy of the module. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isPresence(value);
  }

  /** Closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #begin(signal: AbortSignal | undefined): Promise<void> {
    const { config, namespace, clock, time } = this.#context;
    await config.configure();
    await sampleTime(this.#context);
    // The store's clock may have stepped back while no presence was open.
    const pings = within(clock, OPEN_LIMIT_MS, "open", namespace.pings(time.slot + 1));
    await handleFuturePings(this.#context, await pings);
    this.#holdingSide.checkOpen();
    this.#loop.start();
    this.#ignoreAbort = onAbort(signal, () => void this.close());
  }

  async #close(how: "stopped" | "killed"): Promise<void> {
    const { clock, periodMs, namespace, log, events } = this.#context;
    this.#ignoreAbort();
    this.#loop.stop();
    for (const watcher of this.#loop.watchers) await watcher.stop();
    const holds = this.#holdingSide.registrations.declared.byPinger.size > 0; // else only its session is left
    const end = clock.monotonic() + (holds ? closeLimitMs(periodMs) : quickMs(periodMs));
    const inTime = <T>(work: Promise<T>): Promise<T> =>
      withinOrStill(clock, Math.max(0, end - clock.monotonic()), "close", work);
    await inTime(this.#holdingSide.close(how)).catch((error: unknown) =>
      log.warn("not every key could be ended; the others will time out", error),
    );
    this.#holdingSide.stop();
    const closing = namespace.close().then(() => this.#ownStore?.close());
    await inTime(closing).catch((error: unknown) => log.debug("closing failed", error));
    events.emit("close");
  }

  /** Writes and openings begun before the drop come before it; nothing is written during it or after it. */
  async #drop(): Promise<void> {
    this.#holdingSide.checkOpen();
    const { namespace, requests } = this.#context;
    const { session, registrations } = this.#holdingSide;
    this.#holdingSide.closedAs = "killed";
    session.isEnding = true;
    const before = Promise.allSettled([registrations.queue.idle(), session.isOpening && session.open()]);
    await patiently(this.#context, "write", before).catch(() => {});
    try {
      await forAWhile(this.#context, () => {
        const dropping = patiently(this.#context, "drop", namespace.drop());
        return session.current?.heartbeat.stopFor(dropping) ?? dropping;
      });
    } catch (error) {
      if (this.#closing !== undefined) throw closed(this.name);
      this.#holdingSide.closedAs = undefined;
      session.isEnding = false;
      requests.add("reconcile");
      throw error;
    }
    this.#holdingSide.stop(); // there is nothing left to end
    await this.close();
  }
}

function checkNotAborted({ name, signal }: CheckedOptions): void {
  if (signal?.aborted === true) throw closed(name, signal.reason);
}
