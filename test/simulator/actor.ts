/** A program that uses heartbit, in one life of one process. */
import { isHeartbitError } from "../../src/core/errors.ts";
import { type Change, type Pinger, Presence, type Watcher } from "../../src/index.ts";
import type { Store } from "../../src/core/store.ts";
import type { Link } from "./link.ts";
import type { Machine } from "./machine.ts";
import type { ActorPlan, Plan, Target } from "./plan.ts";
import type { LifeDiary } from "../judge/diary.ts";

/** One call of `watch`. */
interface Subscription {
  readonly id: string;
  readonly target: Target;
  readonly listener: (change: Change) => void;
  ended: boolean;
}

interface Held {
  readonly pinger: Pinger;
  /** How many times it was started. */
  starts: number;
  meta: number;
  isEnding: boolean;
}

/** What the simulation hears of a program. */
export interface Reports {
  now(): number;
  note(what: string): void;
  changed(): void;
}

export class Actor {
  readonly name: string;
  readonly diary: LifeDiary;
  readonly machine: Machine;
  readonly link: Link;
  presence: Presence | undefined;
  #watcher: Watcher | undefined;
  readonly #subscriptions: Subscription[] = [];
  readonly #plan: Plan;
  readonly #own: ActorPlan;
  readonly #store: Store;
  readonly #reports: Reports;
  readonly #pingers: Held[] = [];
  #updates = 0;
  #isClosing = false;
  #isOver = false;
  #vouched = -Infinity;
  #session: number | undefined;

  constructor(
    plan: Plan,
    own: ActorPlan,
    diary: LifeDiary,
    machine: Machine,
    link: Link,
    store: Store,
    reports: Reports,
  ) {
    this.#plan = plan;
    this.#own = own;
    this.diary = diary;
    this.name = `${diary.life.name}${diary.life.life > 1 ? `#${diary.life.life}` : ""}`;
    this.machine = machine;
    this.link = link;
    this.#store = store;
    this.#reports = reports;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Logs what cannot be listened to. */
  sample(): void {
    const vouchedUntil = this.presence?.vouchedUntil?.getTime();
    if (this.#isOver || vouchedUntil === undefined) return;
    const until = this.#reports.now() + vouchedUntil - this.machine.now();
    if (Math.abs(until - this.#vouched) < 2) return;
    this.#vouched = until;
    this.diary.note({ e: "lease", until });
  }

  /** It pings, or holds keys, under this number. */
  isSession(session: number | undefined): void {
    if (session === undefined || session === this.#session) return;
    this.#session = session;
    this.diary.note({ e: "session", session });
  }

  /** Opens, holds its keys, watches its targets. */
  begin(): void {
    this.#inBackground("open", async () => {
      const presence = await this.#open();
      if (this.#isOver) return;
      this.presence = presence;
      this.diary.note({ e: "opened" });
      presence.on("lapse", () => {
        this.diary.note({ e: "lapse" });
        this.#reports.note(`${this.name} lapse`);
      });
      presence.on("health", ({ state, reason }) => this.#health(state, reason));
      if (presence.health.state === "stale") this.#health("stale", presence.health.reason);
      for (const [i, key] of this.#own.keys.entries()) {
        const pinger = presence.pinger(key, { meta: 0 });
        this.#pingers.push({ pinger, starts: 0, meta: 0, isEnding: false });
        pinger.on("killed", () => this.#killed(i));
        this.start(i);
      }
      for (const target of this.#own.watches) this.watch(target);
    });
  }

  start(index: number): void {
    const held = this.#pingers[index];
    if (held === undefined || held.pinger.state === "started" || this.#isOver || this.#isClosing) return;
    const { key } = held.pinger;
    held.isEnding = false;
    const n = ++held.starts;
    this.diary.note({ e: "starting", key, n });
    this.#inBackground("start", async () => {
      await held.pinger.start();
      this.isSession(this.presence?.session);
      this.diary.note({ e: "started", key, n });
    });
  }

  end(index: number, how: "stopped" | "held" | "killed", holdMs = 0): boolean {
    const held = this.#pingers[index];
    if (held?.pinger.state !== "started" || held.isEnding) return false;
    const { key } = held.pinger;
    held.isEnding = true;
    const n = held.starts;
    this.diary.note({
      e: "ending",
      key,
      n,
      how: how === "killed" ? "killed" : "stopped",
      ...(how === "held" ? { holdMs } : {}),
    });
    this.#reports.note(`${this.name} ${key} ${how}`);
    this.#inBackground(how, async () => {
      if (how === "killed") await held.pinger.kill();
      else await held.pinger.stop(how === "held" ? { holdMs } : {});
      this.diary.note({ e: "ended", key, n });
    });
    return true;
  }

  update(index: number): void {
    const held = this.#pingers[index];
    if (held?.pinger.state !== "started" || held.isEnding) return;
    const { key } = held.pinger;
    held.meta = ++this.#updates;
    const meta = String(held.meta);
    this.diary.note({ e: "updating", key, meta });
    this.#inBackground("update", async () => {
      await held.pinger.update(Number(meta));
      if (String(held.meta) === meta) this.diary.note({ e: "updated", key, meta });
    });
  }

  watch(target: Target): void {
    if (this.presence === undefined || this.#isOver || this.#isClosing) return;
    this.#watcher ??= this.presence.watcher();
    const subscription: Subscription = {
      id: String(this.#subscriptions.length),
      target,
      listener: (change) => this.#changed(subscription, change),
      ended: false,
    };
    this.#subscriptions.push(subscription);
    this.#reports.note(`${this.name} watches ${JSON.stringify(target)} as ${subscription.id}`);
    this.diary.note({ e: "watches", id: subscription.id, target });
    this.#watcher.watch(target, subscription.listener);
  }

  /** Ends one subscription, or the watcher with all. */
  unwatch(all: boolean): void {
    const ended = this.#subscriptions.filter((one) => !one.ended).slice(0, all ? Infinity : 1);
    for (const subscription of ended) {
      subscription.ended = true;
      this.diary.note({ e: "unwatches", id: subscription.id });
      if (!all) this.#watcher?.unwatch(subscription.target, subscription.listener);
    }
    if (!all) return;
    this.diary.note({ e: "stops watching" });
    const watcher = this.#watcher;
    this.#watcher = undefined;
    this.#inBackground("stop", async () => watcher?.stop());
  }

  /** Calls that may fail in an outage, and change no truth. */
  call(what: "prune" | "list" | "sync"): void {
    this.#inBackground(what, async () => {
      if (what === "prune") await this.presence?.prune();
      else if (what === "list") await this.presence?.list();
      else await this.#watcher?.sync();
    });
  }

  killKey(key: string): void {
    this.#inBackground("kill", async () => void (await this.presence?.kill(key)));
  }

  close(linger: boolean): void {
    const { presence } = this;
    if (presence === undefined || this.#isClosing) return;
    this.#isClosing = true;
    this.diary.note({ e: "closing", linger });
    this.#inBackground("close", async () => {
      await presence.close({ linger });
      this.diary.note({ e: "closed" });
      this.#isOver = true;
      this.diary.end("closed");
    });
  }

  crash(): void {
    this.sample();
    this.#isOver = true;
    this.diary.end("crashed");
    this.machine.crash();
    this.link.loseFeeds("the process has crashed");
  }

  async #open(): Promise<Presence> {
    const { periodMs, retentionSlots } = this.#plan;
    const { feed } = this.#own;
    const error = (message: string, cause?: unknown): void =>
      this.#broken(`logged: ${message} ${cause instanceof Error ? cause.stack : String(cause)}`);
    for (;;) {
      try {
        const options = {
          name: "simulated",
          periodMs,
          retentionSlots,
          feed,
          clock: this.machine,
          logger: { error },
        };
        return await Presence.open(this.#store, options);
      } catch (caught) {
        if (!isHeartbitError(caught, "STORE_UNAVAILABLE") && !isHeartbitError(caught, "NOT_PERMITTED"))
          throw caught;
        await new Promise<void>((resolve) => void this.machine.setTimer(resolve, periodMs / 10));
      }
    }
  }

  #changed({ id }: Subscription, { key, alive, cause, holders }: Change): void {
    if (this.#isOver) return;
    this.#reports.changed();
    const sessions = holders.map(({ session }) => session).join(" ");
    this.#reports.note(`  ${this.name}/${id} ${key} ${alive ? "alive" : "dead"} (${cause}) [${sessions}]`);
    const who = holders.map(({ session, since, meta }) => {
      return { session, since: since.getTime(), meta: JSON.stringify(meta) };
    });
    this.diary.note({ e: "reported", id, change: { key, alive, cause, holders: who } });
  }

  #health(state: "healthy" | "stale", reason?: string): void {
    this.diary.note({ e: "health", state, ...(reason === undefined ? {} : { reason }) });
  }

  #killed(index: number): void {
    const key = this.#own.keys[index] ?? "";
    this.diary.note({ e: "killed", key });
    this.#reports.note(`${this.name} ${key} killed by another`);
  }

  #broken(why: string): void {
    this.diary.note({ e: "broken", why });
  }

  /** What a program calls may fail while the store is away, or because it closes; anything else is wrong. */
  #inBackground(what: string, act: () => Promise<void>): void {
    act().catch((error: unknown) => {
      const isExpected =
        isHeartbitError(error, "STORE_UNAVAILABLE") ||
        isHeartbitError(error, "NOT_PERMITTED") ||
        (this.#isClosing || this.#isOver || this.presence === undefined
          ? isHeartbitError(error, "PRESENCE_CLOSED")
          : false) ||
        isHeartbitError(error, "WATCHER_STOPPED");
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (isExpected) this.#reports.note(`${this.name} ${what} failed: ${said.split("\n")[0]}`);
      else this.#broken(`${what} rejected: ${said}`);
    });
  }
}
