/** What lies between one process and the store: latency, and all that can go wrong on the way. */
import { HeartbitError } from "../../src/index.ts";
import type { Namespace, StoreNotice } from "../../src/core/store.ts";
import type { Act, Cluster } from "./cluster.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";

/** Something wrong with a link, as long as it lasts. */
export type Condition =
  /** Operations fail, those under way too (they may have happened); feeds are lost. */
  | { readonly kind: "fail" }
  /** Operations and feeds are held up, and go on afterwards. */
  | { readonly kind: "hold" }
  /** A process has stopped in the middle of a write: those of others wait until it goes on, and reads do not. */
  | { readonly kind: "locked" }
  /** Operations and feeds vanish on the way there or back: nobody ever answers. */
  | { readonly kind: "lose" }
  | { readonly kind: "slow"; readonly ms: number }
  /** Some writes fail, or happen although they failed, or happen minutes later, or twice. */
  | { readonly kind: "flaky"; readonly chance: number }
  /** Beside a primary without its majority: writes fail, reads show what was, feeds are silent. */
  | { readonly kind: "cut"; readonly copy: () => Namespace }
  /** Some reads show what was. */
  | { readonly kind: "stale"; readonly chance: number; readonly copy: () => Namespace }
  /** Calls wait in line for a store that takes so long for each. */
  | { readonly kind: "queue"; readonly ms: number }
  /** Calls wait for one of so many connections, behind queries of the program that take up to so long. */
  | { readonly kind: "pool"; readonly connections: number; readonly ms: number }
  /** The server has no feeds. */
  | { readonly kind: "standalone" }
  /** Writes are acknowledged so much later, and reads show what was acknowledged. */
  | { readonly kind: "majority lags"; readonly ms: number; readonly copy: () => Namespace }
  /** Everything is refused. */
  | { readonly kind: "refuse" }
  /** The feed falls silent, without an error. */
  | { readonly kind: "silent" }
  /** The feed tells late, twice and out of order. */
  | { readonly kind: "mess"; readonly ms: number };

type Fate = "done" | "refused" | "unanswered" | "late" | "twice" | "never";

export interface LinkOptions {
  readonly cluster: Cluster;
  readonly machine: Machine;
  readonly random: Random;
  readonly periodMs: number;
  /** Whether the store tells when it is lost and found, and its time. */
  readonly notices: boolean;
  /** It may only read, through a router whose clock is ahead of the store's by so many ms. */
  readonly routerAheadMs: number | undefined;
}

export class Link {
  readonly machine: Machine;
  readonly cluster: Cluster;
  readonly random: Random;
  readonly periodMs: number;
  readonly #conditions = new Set<Condition>();
  readonly #wakers = new Set<() => void>();
  readonly #feeds = new Set<(reason: string) => void>();
  readonly #listeners = new Set<(notice: StoreNotice) => void>();
  readonly hasNotices: boolean;
  readonly #routerAheadMs: number | undefined;
  /** When each connection of a full pool is free. */
  #freeAt: number[] = [];

  constructor({ cluster, machine, random, periodMs, notices, routerAheadMs }: LinkOptions) {
    this.cluster = cluster;
    this.machine = machine;
    this.random = random;
    this.periodMs = periodMs;
    this.hasNotices = notices;
    this.#routerAheadMs = routerAheadMs;
  }

  /** Something goes wrong from now on; the result ends it. */
  suffer(condition: Condition): () => void {
    this.#conditions.add(condition);
    if (condition.kind === "fail") this.loseFeeds("the connection failed");
    const cutsOff = ["fail", "lose", "cut"].includes(condition.kind);
    if (condition.kind === "standalone") this.loseFeeds("the server is standalone");
    if (cutsOff) this.#notice({ kind: "lost", reason: "the store was lost" });
    return () => {
      if (!this.#conditions.delete(condition)) return;
      if (condition.kind === "cut") this.loseFeeds("the primary has changed");
      if (condition.kind === "lose" && this.random.chance(0.7)) this.loseFeeds("the connection was reset");
      for (const wake of this.#wakers) wake();
      // It was restarted.
      if (condition.kind === "standalone") this.#notice({ kind: "lost", reason: "the server was restarted" });
      if (cutsOff || condition.kind === "standalone") this.#notice({ kind: "found" });
    };
  }

  /** All open feeds are lost, with all that they had to tell. */
  loseFeeds(reason: string): void {
    for (const lose of this.#feeds) lose(reason);
  }

  find<Kind extends Condition["kind"]>(kind: Kind): Extract<Condition, { kind: Kind }> | undefined {
    for (const condition of this.#conditions) {
      if (condition.kind === kind) return condition as Extract<Condition, { kind: Kind }>;
    }
    return undefined;
  }

  /** An operation that only reads. */
  read<T>(act: Act<T>): Promise<T> {
    return this.#deliver(async () => {
      await this.#travel();
      await this.#waitInLine();
      const stale = this.find("stale");
      const copy =
        this.find("cut")?.copy ??
        (this.random.chance(stale?.chance ?? 0) ? stale?.copy : undefined) ??
        this.find("majority lags")?.copy;
      const result = await act(copy?.() ?? this.cluster.primary);
      await this.#travel();
      return result;
    });
  }

  get mayOnlyRead(): boolean {
    return this.#routerAheadMs !== undefined;
  }

  /** The time by the clock that answers: who may not write has it from the router. */
  time(): Promise<number> {
    return this.read(() => Promise.resolve(this.cluster.now() + (this.#routerAheadMs ?? 0)));
  }

  /** An operation that changes something. */
  write<T>(act: Act<T>): Promise<T> {
    if (!this.mayOnlyRead) return this.ask(act, "locked");
    return this.read(() => {
      throw new HeartbitError("NOT_PERMITTED", "The simulated user may only read.");
    });
  }

  /** An operation that is answered as a write is. Those that write wait while the store is locked. */
  ask<T>(act: Act<T>, waits?: "locked"): Promise<T> {
    return this.#deliver(async () => {
      await this.#travel();
      await this.#waitInLine();
      if (waits !== undefined) await this.#end(waits);
      if (this.find("cut") !== undefined) return this.#failBesideTheDeposed();
      const fate = this.#fate();
      const again = (): void => {
        const lateMs =
          this.periodMs * (this.random.chance(0.3) ? this.random.between(0, 30) : this.random.next());
        this.cluster.world.after(lateMs, () => void this.cluster.change(act));
      };
      if (fate === "never") return forever<T>();
      if (fate === "late" || fate === "twice") again();
      if (fate === "refused" || fate === "late") throw unavailable(`a write was ${fate}`);
      const result = await this.cluster.change(act);
      await this.sleep(this.find("majority lags")?.ms ?? 0);
      await this.#travel();
      if (fate === "unanswered") throw unavailable("a write was done, but not answered");
      return result;
    });
  }

  /** For feeds: `lose` is called when the link loses them. */
  addFeed(lose: (reason: string) => void): () => void {
    this.#feeds.add(lose);
    return () => void this.#feeds.delete(lose);
  }

  listen(listener: (notice: StoreNotice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  latency(): number {
    return this.random.between(0.3, 4) + (this.find("slow")?.ms ?? 0) / 2;
  }

  /** The way there, or back. */
  async #travel(): Promise<void> {
    await this.sleep(this.latency());
    await this.#end("hold");
    if (this.find("lose") !== undefined) await forever();
    if (this.find("fail") !== undefined) throw unavailable("the connection failed");
    if (this.find("refuse") !== undefined)
      throw new HeartbitError("NOT_PERMITTED", "The simulated store refuses.");
  }

  /** Waits until there is no such condition. */
  async #end(kind: "hold" | "locked"): Promise<void> {
    while (this.find(kind) !== undefined) await new Promise<void>((resolve) => this.#wakers.add(resolve));
  }

  async #waitInLine(): Promise<void> {
    const queue = this.find("queue");
    if (queue !== undefined) await this.sleep(this.cluster.serveAfter(queue.ms));
    const pool = this.find("pool");
    if (pool !== undefined) await this.#waitForConnection(pool);
  }

  async #waitForConnection({ connections, ms }: Extract<Condition, { kind: "pool" }>): Promise<void> {
    if (this.#freeAt.length !== connections) this.#freeAt = Array.from({ length: connections }, () => 0);
    const { now } = this.cluster.world;
    const first = this.#freeAt.indexOf(Math.min(...this.#freeAt));
    const at = Math.max(now, this.#freeAt[first] ?? 0) + this.random.between(0, ms);
    this.#freeAt[first] = at + this.latency();
    await this.sleep(at - now);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.cluster.world.after(ms, resolve));
  }

  #fate(): Fate {
    const chance = this.find("flaky")?.chance ?? 0;
    if (!this.random.chance(chance)) return "done";
    return this.random.pick([
      "refused",
      "unanswered",
      "late",
      "twice",
      "refused",
      "unanswered",
      "late",
      "never",
    ]);
  }

  /** It waits for a majority that does not come. */
  async #failBesideTheDeposed(): Promise<never> {
    await this.sleep(this.random.between(0, this.periodMs));
    if (this.random.chance(0.5)) await forever();
    throw unavailable("no majority has acknowledged the write");
  }

  #deliver<T>(run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      run().then(
        (result) => this.machine.deliver(() => resolve(result)),
        (error: unknown) => this.machine.deliver(() => reject(error)),
      );
    });
  }

  #notice(notice: StoreNotice): void {
    if (!this.hasNotices) return;
    this.cluster.world.after(this.random.between(0, this.periodMs / 4), () => this.#tell(notice));
  }

  #tell(notice: StoreNotice): void {
    this.machine.deliver(() => {
      for (const listener of this.#listeners) listener(notice);
    });
  }
}

function forever<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

function unavailable(what: string): HeartbitError {
  return new HeartbitError("STORE_UNAVAILABLE", `The simulated store: ${what}.`);
}
