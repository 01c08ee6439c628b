/** A program that uses heartbit, in one life of one process. */
import { isHeartbitError } from "../../src/core/errors.ts";
import { type Change, type Pinger, Presence, type Watcher } from "../../src/index.ts";
import type { Store } from "../../src/core/store.ts";
import type { Link } from "./link.ts";
import type { Machine } from "./machine.ts";
import type { ActorPlan, Plan, Target } from "./plan.ts";
import { type Holding, type Life, wasDown } from "./truth.ts";

/** One call of `watch`, and what it was told. */
export interface Subscription {
  readonly name: string;
  readonly target: Target;
  readonly watchedAt: number;
  /** Whether the present state has been told: always true once a key's has. */
  readonly known: Map<string, Change>;
  readonly listener: (change: Change) => void;
  ended: boolean;
}

/** What the simulation hears of a program. */
export interface Reports {
  now(): number;
  note(what: string): void;
  wrong(what: string): void;
  changed(actor: Actor, subscription: Subscription, change: Change): void;
  held(holding: Holding): void;
}

export class Actor {
  readonly name: string;
  readonly life: Life;
  readonly machine: Machine;
  readonly link: Link;
  readonly holdings: Holding[] = [];
  readonly subscriptions: Subscription[] = [];
  presence: Presence | undefined;
  watcher: Watcher | undefined;
  readonly #plan: Plan;
  readonly #own: ActorPlan;
  readonly #store: Store;
  readonly #reports: Reports;
  readonly #pingers: { readonly pinger: Pinger; holding: Holding | undefined }[] = [];
  #updates = 0;
  #isClosing = false;
  #vouchedAtEnd = -Infinity;

  constructor(plan: Plan, life: Life, machine: Machine, link: Link, store: Store, reports: Reports) {
    this.#plan = plan;
    this.#own = plan.actors[life.actor] as ActorPlan;
    this.life = life;
    this.name = `p${life.actor}${life.number > 1 ? `#${life.number}` : ""}`;
    this.machine = machine;
    this.link = link;
    this.#store = store;
    this.#reports = reports;
  }

  get isOver(): boolean {
    return this.life.endedAt !== Infinity;
  }

  /** Its `vouchedUntil`, as a true time: as it was at its end, where it is over. */
  vouchedUntil(): number {
    return this.isOver ? this.#vouchedAtEnd : this.#vouched();
  }

  #vouched(): number {
    const until = this.presence?.vouchedUntil?.getTime() ?? -Infinity;
    return this.#reports.now() + until - this.machine.now();
  }

  /** Opens, holds its keys, watches its targets. */
  begin(): void {
    this.#inBackground("open", async () => {
      const presence = await this.#open();
      if (this.isOver) return;
      this.presence = presence;
      presence.on("lapse", () => {
        this.life.lapses.push(this.#reports.now());
        this.#reports.note(`${this.name} lapse`);
      });
      for (const [i, key] of this.#own.keys.entries()) {
        const pinger = presence.pinger(key, { meta: 0 });
        this.#pingers.push({ pinger, holding: undefined });
        pinger.on("killed", () => this.#killed(i));
        this.start(i);
      }
      for (const target of this.#own.watches) this.watch(target);
    });
  }

  start(key: number): void {
    const held = this.#pingers[key];
    if (held === undefined || held.pinger.state === "started" || this.isOver || this.#isClosing) return;
    const now = this.#reports.now();
    const holding: Holding = {
      key: held.pinger.key,
      life: this.life,
      calledAt: now,
      visibleAt: Infinity,
      session: -1,
      endedAt: Infinity,
      how: undefined,
      heldUntil: -Infinity,
      over: Infinity,
      meta: this.#updates,
      metaAt: Infinity,
      metaWanted: held.holding?.metaWanted ?? 0,
      killedEvents: [],
    };
    holding.meta = holding.metaWanted;
    held.holding = holding;
    this.holdings.push(holding);
    this.#reports.held(holding);
    this.#inBackground("start", async () => {
      await held.pinger.start();
      holding.visibleAt = holding.metaAt = this.#reports.now();
      holding.session = this.presence?.session ?? -1;
    });
  }

  end(key: number, how: "stopped" | "held" | "killed", heldMs = 0): boolean {
    const held = this.#pingers[key];
    const holding = held?.holding;
    if (held?.pinger.state !== "started" || holding === undefined || holding.endedAt !== Infinity)
      return false;
    const now = this.#reports.now();
    holding.endedAt = now;
    holding.how = how;
    if (how === "held") holding.heldUntil = now + heldMs;
    this.#reports.note(`${this.name} ${holding.key} ${how}`);
    this.#inBackground(how, async () => {
      if (how === "killed") await held.pinger.kill();
      else await held.pinger.stop(how === "held" ? { holdMs: heldMs } : {});
      holding.over = Math.max(this.#reports.now(), holding.heldUntil);
    });
    return true;
  }

  update(key: number): void {
    const held = this.#pingers[key];
    const holding = held?.holding;
    if (held?.pinger.state !== "started" || holding === undefined) return;
    const meta = ++this.#updates;
    holding.metaWanted = meta;
    holding.metaAt = Infinity;
    this.#inBackground("update", async () => {
      await held.pinger.update(meta);
      if (holding.metaWanted !== meta) return;
      holding.meta = meta;
      holding.metaAt = this.#reports.now();
    });
  }

  watch(target: Target): void {
    if (this.presence === undefined || this.isOver || this.#isClosing) return;
    this.watcher ??= this.presence.watcher();
    const subscription: Subscription = {
      name: `${this.name}/${this.subscriptions.length}`,
      target,
      watchedAt: this.#reports.now(),
      known: new Map(),
      listener: (change) => this.#reports.changed(this, subscription, change),
      ended: false,
    };
    this.subscriptions.push(subscription);
    this.#reports.note(`${this.name} watches ${JSON.stringify(target)} as ${subscription.name}`);
    this.watcher.watch(target, subscription.listener);
  }

  /** Ends one subscription, or the watcher with all. */
  unwatch(all: boolean): void {
    if (all) {
      for (const subscription of this.subscriptions) subscription.ended = true;
      this.#inBackground("stop", async () => this.watcher?.stop());
      this.watcher = undefined;
      return;
    }
    const subscription = this.subscriptions.find(({ ended }) => !ended);
    if (subscription === undefined) return;
    subscription.ended = true;
    this.watcher?.unwatch(subscription.target, subscription.listener);
  }

  /** Calls that may fail in an outage, and change no truth. */
  call(what: "prune" | "list" | "sync"): void {
    this.#inBackground(what, async () => {
      if (what === "prune") await this.presence?.prune();
      else if (what === "list") await this.presence?.list();
      else await this.watcher?.sync();
    });
  }

  killKey(key: string): void {
    this.#inBackground("kill", async () => void (await this.presence?.kill(key)));
  }

  close(linger: boolean): void {
    const { presence } = this;
    if (presence === undefined || this.#isClosing) return;
    this.#isClosing = true;
    for (const subscription of this.subscriptions) subscription.ended = true;
    const now = this.#reports.now();
    const ended = this.holdings.filter(({ endedAt }) => endedAt === Infinity);
    for (const holding of ended) {
      holding.endedAt = now;
      holding.how = linger ? "stopped" : "killed";
    }
    this.#inBackground("close", async () => {
      await presence.close({ linger });
      this.life.endedAt = this.#reports.now();
      // Where the store was away, the keys time out.
      for (const holding of ended) {
        holding.over = this.life.endedAt;
        if (holding.how === "killed" && wasDown(this.life, now)) holding.how = "crashed";
      }
    });
  }

  crash(): void {
    const now = this.#reports.now();
    this.#vouchedAtEnd = this.#vouched();
    this.life.endedAt = now;
    this.machine.crash();
    this.link.loseFeeds("the process has crashed");
    for (const subscription of this.subscriptions) subscription.ended = true;
    for (const holding of this.holdings) {
      if (holding.over === Infinity) holding.over = Math.max(now, holding.heldUntil);
      if (holding.endedAt !== Infinity) continue;
      holding.endedAt = now;
      holding.how = "crashed";
    }
  }

  async #open(): Promise<Presence> {
    const { periodMs, retentionSlots } = this.#plan;
    const { feed } = this.#own;
    const error = (message: string, cause?: unknown): void =>
      this.#reports.wrong(
        `${this.name} logged: ${message} ${cause instanceof Error ? cause.stack : String(cause)}`,
      );
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
        if (!isHeartbitError(caught, "STORE_UNAVAILABLE")) throw caught;
        await new Promise<void>((resolve) => void this.machine.setTimer(resolve, periodMs / 10));
      }
    }
  }

  #killed(key: number): void {
    this.#pingers[key]?.holding?.killedEvents.push(this.#reports.now());
    this.#reports.note(`${this.name} ${this.#own.keys[key]} killed by another`);
  }

  /** What a program calls may fail while the store is away, or because it closes; anything else is wrong. */
  #inBackground(what: string, act: () => Promise<void>): void {
    act().catch((error: unknown) => {
      const isExpected =
        isHeartbitError(error, "STORE_UNAVAILABLE") ||
        (this.#isClosing ||
        this.isOver ||
        this.presence === undefined ||
        this.holdings.some(({ endedAt }) => endedAt < Infinity)
          ? isHeartbitError(error, "PRESENCE_CLOSED")
          : false) ||
        isHeartbitError(error, "WATCHER_STOPPED");
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (isExpected) this.#reports.note(`${this.name} ${what} failed: ${said.split("\n")[0]}`);
      else this.#reports.wrong(`${this.name} ${what} rejected: ${said}`);
    });
  }
}
