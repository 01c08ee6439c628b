/**
 * The one loop of a presence. It sleeps until something is due or was requested (context/requests.ts), and starts it:
 *
 *   ping          at the slot's moment            holding/heartbeat.ts   the answer has the store's time
 *   config        when it may have changed        context/config.ts      also asks for the time if it is uncertain
 *   reconcile     when there is a reason          holding/reconciler.ts
 *   read          every `pollMs` without a feed   watching/snapshot.ts
 *   evaluate      at half of the slot             watching/evaluator.ts  reads, reports, evaluates, notifies
 *   prune         about once in a retention       context/pruning.ts
 *
 * They run side by side, and none twice at once, so a slow read delays no ping. A failure is a suspicion (one of
 * pruning is only logged), and the activity is tried again. Only a namespace that is gone, or was set up again with
 * another period or format version, ends what is held and watched.
 */
import { type HeartbitError, isHeartbitError } from "../core/errors.ts";
import { catchUpMs, retryMs } from "../core/limits.ts";
import { nextPruning, RETURN_SLOTS } from "../core/pruning.ts";
import { isEmptySelection } from "../core/selection.ts";
import type { Slot } from "../core/slots.ts";
import type { StoreNotice } from "../core/store.ts";
import { type Context, noteFailure, noteLateness, sampleTime } from "./context/context.ts";
import { outsideOfRequests } from "../lib/outside.ts";
import { RecurringFailure } from "../lib/log.ts";
import { pruneInTurn } from "./context/pruning.ts";
import { checkLapse } from "./holding/heartbeat.ts";
import type { HoldingSide } from "./holding/holding-side.ts";
import type { Watcher } from "./watcher.ts";
import { WatchingSide } from "./watching/watching-side.ts";

interface Activity {
  /** What it does, for messages. */
  readonly doing: string;
  /** In how many ms it is due; Infinity if nothing is known to be due. */
  readonly nextMs: () => number;
  readonly act: () => Promise<void>;
  /** When it may run again: a monotonic time, in ms. Infinity while it runs. */
  notBefore?: number;
  /** Whether it failed when it last ran. */
  isFailing?: boolean;
}

export class SlotLoop {
  readonly watchers = new Set<Watcher>();
  readonly #context: Context;
  readonly #holdingSide: HoldingSide;
  readonly #activities: readonly Activity[];
  #watching: WatchingSide | undefined;
  #endNotices: (() => void) | undefined;
  #isStoreLost = false;
  /** Whether the namespace is gone, and nothing was held or watched since. */
  #isNamespaceLost = false;
  /** Monotonic times, in ms. */
  #polledAt = -Infinity;
  #configFollowedAt = -Infinity;
  /** The stamp of the latest own ping that a turn has taken into account. */
  #pingSeen = 0;
  /** The position of that turn. */
  #pingSeenAt = -Infinity;
  /** Infinity until the first own ping. */
  #pruneAt: Slot = Infinity;
  readonly #pruningFailure: RecurringFailure;

  constructor(holdingSide: HoldingSide) {
    const { context, reconciler } = holdingSide;
    const { time } = context;
    this.#context = context;
    this.#holdingSide = holdingSide;
    this.#pruningFailure = new RecurringFailure(context.log, "pruning failed, so what is stored grows");
    this.#activities = [
      { doing: "reading the config", nextMs: () => this.#configInMs, act: () => this.#followConfig() },
      { doing: "reconciling", nextMs: () => (reconciler.isDue ? 0 : Infinity), act: () => reconciler.run() },
      { doing: "reading changes", nextMs: () => this.#pollInMs, act: () => this.#poll() },
      {
        doing: "evaluating",
        nextMs: () => this.#watching?.evaluator.nextMs ?? Infinity,
        act: async () => this.#watching?.evaluator.evaluate(),
      },
      {
        doing: "pruning",
        nextMs: () => (time.slot >= this.#pruneAt ? 0 : Infinity),
        act: () => this.#prune(),
      },
    ];
  }

  /** The watching side, if a watcher runs. */
  get watching(): WatchingSide | undefined {
    return this.#watching;
  }

  start(): void {
    this.#endNotices = this.#context.namespace.notices?.((notice) => this.#notice(notice));
    void this.#run();
  }

  /** Starts the watching side, if it does not run yet. */
  startWatching(): WatchingSide {
    if (this.#watching === undefined) {
      const watching = outsideOfRequests(() => new WatchingSide(this.#holdingSide));
      this.#watching = watching;
      watching.started.catch((error: unknown) => {
        if (this.#watching === watching) this.#failWatchers(error as Error);
      });
    }
    return this.#watching;
  }

  /** A watcher has ended. */
  leave(watcher: Watcher): void {
    this.watchers.delete(watcher);
    if (this.watchers.size > 0) return;
    void this.#watching?.stop();
    this.#watching = undefined;
    this.#context.requests.sleeper.wake();
  }

  stop(): void {
    this.#endNotices?.();
    this.#context.requests.sleeper.end();
  }

  async #run(): Promise<void> {
    const { sleeper } = this.#context.requests;
    while (!sleeper.ended) {
      this.#turn();
      const lateMs = await sleeper.sleep(this.#nextMs);
      if (this.#isActive) noteLateness(this.#context, lateMs);
    }
  }

  /** Starts everything that is due. Never waits. */
  #turn(): void {
    const { clock, time, requests, health } = this.#context;
    const { current, lease } = this.#holdingSide.session;
    if (this.#isActive) this.#isNamespaceLost = false;
    if (lease !== undefined) checkLapse(this.#context, lease); // also while the keys move to another session
    current?.heartbeat.beat();
    const own = current?.heartbeat.ownPing;
    if (own !== undefined && own.ms !== this.#pingSeen) {
      this.#pingSeen = own.ms;
      this.#pingSeenAt = time.position;
      // May be due at once: even if no presence lives long enough to wait for its turn, one of them prunes.
      if (this.#pruneAt === Infinity) this.#pruneAt = nextPruning(this.#context) - 1;
      // After a lapse others may still be coming back.
      if (requests.has("recover")) this.#pruneAt = nextPruning(this.#context) + RETURN_SLOTS;
    }
    // If anything is watched, an evaluation says so.
    const isWell = own !== undefined && health.latestSuspicion <= this.#pingSeenAt && !this.#isFailing;
    if (this.#watching === undefined && isWell) health.markHealthy();
    if (requests.take("resync")) this.#watching?.snapshot.plan.resync();
    if (requests.take("feed")) this.#watching?.feed.reopen();
    const now = clock.monotonic();
    for (const activity of this.#activities) {
      const { notBefore = now, nextMs } = activity;
      if (notBefore <= now && nextMs() <= 0) void this.#do(activity);
    }
  }

  async #do(activity: Activity): Promise<void> {
    const { clock, requests, periodMs } = this.#context;
    activity.notBefore = Infinity;
    let pauseMs = 0;
    try {
      await activity.act();
    } catch (error) {
      if (requests.sleeper.ended) return;
      const isLost = isHeartbitError(error, "CONFIG_MISMATCH") && !this.#holdingSide.isClosed; // or we drop it
      if (isLost) this.#loseNamespace(error);
      else {
        noteFailure(this.#context, "read", error, activity.doing);
        pauseMs = retryMs(periodMs, error);
      }
    }
    activity.isFailing = pauseMs > 0;
    activity.notBefore = clock.monotonic() + pauseMs;
    requests.sleeper.wake();
  }

  /** Whether something fails again and again, so that no ping alone shows that all is well. */
  get #isFailing(): boolean {
    const { isFailing } = this.#holdingSide.registrations.queue;
    return isFailing || this.#activities.some((one) => one.isFailing === true && one.nextMs() <= 0);
  }

  get #isActive(): boolean {
    const { current, isOpening } = this.#holdingSide.session;
    return this.#watching !== undefined || current !== undefined || isOpening;
  }

  /** No ping and no evaluation can show that the store answers again, so the config is read for that. */
  get #isIdleAndStale(): boolean {
    return !this.#isActive && !this.#isNamespaceLost && this.#context.health.health.state === "stale";
  }

  /** In how many ms the next turn is due. Infinity if only a request can bring one. */
  get #nextMs(): number {
    const now = this.#context.clock.monotonic();
    const { current, lease } = this.#holdingSide.session;
    let nextMs = Math.min(
      current?.heartbeat.nextMs ?? Infinity,
      Math.max(0, (lease?.lapsesAt ?? Infinity) - now),
    );
    for (const { notBefore = now, nextMs: due } of this.#activities)
      nextMs = Math.min(nextMs, Math.max(due(), notBefore - now));
    return nextMs;
  }

  get #configInMs(): number {
    const { requests, clock, periodMs, config } = this.#context;
    if (requests.has("restore") || requests.has("config") || requests.has("announceOffset")) return 0;
    if (this.#isIdleAndStale) return 0;
    const againMs = Math.max(0, this.#configFollowedAt + catchUpMs(periodMs) - clock.monotonic());
    if (requests.has("time") && againMs === 0) return 0;
    return this.#isActive && config.mustCatchUp ? againMs : Infinity;
  }

  async #followConfig(): Promise<void> {
    const { config, requests, clock, health } = this.#context;
    if (this.#isIdleAndStale) requests.add("config");
    if (!(await requests.serve("restore", () => config.configure())))
      await requests.serve("config", () => config.check());
    if (this.#isIdleAndStale) health.markHealthy();
    // Without pings and evaluations, which wait for the slot, another step would not be noticed.
    if (config.mustCatchUp && this.#holdingSide.session.current === undefined) requests.add("time");
    await requests.serve("time", () => sampleTime(this.#context));
    if (config.mustCatchUp) await config.catchUp();
    await requests.serve("announceOffset", () => config.announceOffset(this.#holdingSide.session.ownPing));
    this.#configFollowedAt = clock.monotonic();
  }

  get #pollInMs(): number {
    const { clock, requests, pollMs } = this.#context;
    const watching = this.#watching;
    if (watching === undefined || isEmptySelection(watching.snapshot.coverage)) return Infinity;
    if (requests.has("poll")) return 0;
    if (watching.feed.covers(watching.snapshot.coverage)) return Infinity;
    return this.#polledAt + pollMs - clock.monotonic();
  }

  async #poll(): Promise<void> {
    const { clock, requests } = this.#context;
    requests.take("poll");
    this.#polledAt = clock.monotonic();
    await this.#watching?.snapshot.poll();
  }

  async #prune(): Promise<void> {
    this.#pruneAt = this.#context.time.slot + RETURN_SLOTS; // if it fails
    const hasFailed = await this.#pruningFailure.noteIn(() => pruneInTurn(this.#context));
    if (!hasFailed) this.#pruneAt = nextPruning(this.#context);
  }

  #notice(notice: StoreNotice): void {
    const { health, requests, log } = this.#context;
    const wasLost = this.#isStoreLost;
    this.#isStoreLost = notice.kind === "lost";
    if (notice.kind === "lost") return health.suspect(notice.reason);
    if (!wasLost || this.#isNamespaceLost) return; // what was dropped is not set up again
    log.info("the store is found again");
    for (const activity of this.#activities) if (activity.notBefore !== Infinity) delete activity.notBefore;
    this.#holdingSide.session.sleeper.wake();
    // Acknowledged writes may have been lost with the server, even the config.
    requests.add("restore", "ping", "reconcile", "feed", "poll");
  }

  /** The namespace is gone, or was set up again with another period or version: what was held or watched ends. */
  #loseNamespace(error: HeartbitError): void {
    this.#context.requests.clear();
    this.#context.health.suspect(error.message);
    this.#holdingSide.lose(error);
    this.#failWatchers(error);
    this.#isNamespaceLost = true;
  }

  #failWatchers(error: Error): void {
    this.#context.log.error("all watchers have failed", error);
    for (const watcher of this.watchers) watcher.fail(error);
  }
}
