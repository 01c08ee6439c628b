/**
 * The board: the state of all keys, as one watcher reports it, for any number of clients. Like the library it keeps
 * live keys, and those that died within the retention.
 */
import { toError } from "../core/errors.ts";
import type { Change, Holder } from "../presence/change.ts";
import type { Health } from "../presence/context/health.ts";
import { internalsOf } from "../presence/context/internals.ts";
import type { KeyState } from "../presence/list.ts";
import type { Presence } from "../presence/presence.ts";
import { Sleeper } from "../lib/timers.ts";
import type { Watcher } from "../presence/watcher.ts";
import { type Entry, Journal } from "./journal.ts";
import { Processes } from "./processes.ts";

/** If there are more dead keys, they are forgotten sooner. */
const DEAD_MAX = 20_000;

export interface BoardHealth {
  /** `failed`: it cannot recover; a new dashboard is needed. */
  readonly state: Health["state"] | "failed";
  readonly reason?: string;
  readonly since?: Date;
}

/** Receives the events of the board. */
export interface BoardSink {
  /** All keys are known from now on. */
  loaded(): void;
  changed(entry: Entry): void;
  health(): void;
  closed(): void;
}

export class Board {
  readonly presence: Presence;
  readonly journal = new Journal();
  readonly processes = new Processes();
  readonly #watcher: Watcher;
  readonly #sleeper: Sleeper;
  readonly #sinks = new Set<BoardSink>();
  readonly #keys = new Map<string, KeyState>();
  /** The dead keys in the order of their deaths, with the store's time of each in ms. */
  readonly #dead = new Map<string, number>();
  #sorted: readonly string[] | undefined;
  #isLoaded = false;

  constructor(presence: Presence) {
    this.presence = presence;
    this.#sleeper = new Sleeper(internalsOf(presence).clock);
    this.#watcher = presence.watcher();
    this.#watcher.on("health", () => this.#tell("health"));
    this.#watcher.watch({ all: true }, (change) => this.#take(change));
    void this.#watcher.dead.then(() => (this.#watcher.error === null ? this.close() : this.#tell("health")));
    void this.#run();
  }

  /** Whether all keys are known. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  get isClosed(): boolean {
    return this.#sleeper.ended;
  }

  get health(): BoardHealth {
    const { error, state, health } = this.#watcher;
    if (state === "running") return health;
    return { state: "failed", reason: error?.message ?? "the presence is closed" };
  }

  /** How many keys there are. */
  get totals(): { readonly alive: number; readonly dead: number } {
    return { alive: this.#keys.size - this.#dead.size, dead: this.#dead.size };
  }

  get(key: string): KeyState | undefined {
    return this.#keys.get(key);
  }

  /** All keys, unordered. The caller owns the array. */
  keys(): string[] {
    return [...this.#keys.keys()];
  }

  /** All keys, in the order of their UTF-16 code units. */
  sortedKeys(): readonly string[] {
    this.#sorted ??= this.keys().toSorted();
    return this.#sorted;
  }

  /** Passes events to the sink from now on, until the returned function is called. */
  follow(sink: BoardSink): () => void {
    this.#sinks.add(sink);
    return () => void this.#sinks.delete(sink);
  }

  /** Resolves when all keys are known, or this is closed. */
  loaded(): Promise<void> {
    if (this.#isLoaded || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = this.follow({
        loaded: () => done(),
        changed: () => {},
        health: () => {},
        closed: () => done(),
      });
      const done = (): void => {
        end();
        resolve();
      };
    });
  }

  /** Idempotent. The caller's presence stays open. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.#sleeper.end();
    await this.#watcher.stop();
    this.#tell("closed");
    this.#sinks.clear();
  }

  async #run(): Promise<void> {
    const { log, retentionSlots, periodMs } = internalsOf(this.presence);
    while (!this.#isLoaded && this.#watcher.state === "running") {
      try {
        await this.#watcher.sync();
        await this.#loadDead();
        this.#isLoaded = true;
        this.#tell("loaded");
      } catch (error) {
        log.debug("the dashboard's keys could not be loaded", toError(error));
        await this.#sleeper.sleep(Math.min(periodMs, 1000));
      }
    }
    while (!this.isClosed) {
      await this.#sleeper.sleep((retentionSlots * periodMs) / 20);
      this.#forget();
    }
  }

  /** A watcher starts with live keys only; keys that died earlier come from a listing. */
  async #loadDead(): Promise<void> {
    const { keys } = await this.presence.list();
    const dead = keys.filter(({ key, alive }) => !alive && !this.#keys.has(key));
    const diedBefore = [...this.#dead];
    this.#dead.clear();
    for (const state of dead.toSorted((a, b) => a.since.getTime() - b.since.getTime())) {
      this.#keys.set(state.key, state);
      this.#dead.set(state.key, state.since.getTime());
    }
    for (const [key, ms] of diedBefore) this.#dead.set(key, ms);
    this.#sorted = undefined;
  }

  #take(change: Change): void {
    const { key, alive, at, cause, holders } = change;
    const before = this.#keys.get(key);
    const since = holders[0]?.since ?? at;
    this.#keys.set(key, { key, alive, since, holders });
    if (before === undefined) this.#sorted = undefined;
    this.#dead.delete(key); // so that it moves to the end
    if (!alive) this.#dead.set(key, at.getTime());
    this.processes.change(before?.holders ?? NOBODY, holders, cause, at);
    // The initial state of a watcher is not a change: each client gets the whole state.
    if (cause === "initial") return;
    const entry = this.journal.add(change);
    for (const sink of this.#sinks) sink.changed(entry);
    if (this.#dead.size > DEAD_MAX) this.#forgetDead(-Infinity);
  }

  #forget(): void {
    const { time, retentionSlots, periodMs } = internalsOf(this.presence);
    const oldest = time.now - retentionSlots * periodMs;
    this.#forgetDead(oldest);
    this.processes.forgetBefore(oldest);
  }

  #forgetDead(oldest: number): void {
    for (const [key, ms] of this.#dead) {
      if (ms >= oldest && this.#dead.size <= DEAD_MAX) break;
      this.#dead.delete(key);
      this.#keys.delete(key);
      this.#sorted = undefined;
    }
  }

  #tell(what: "loaded" | "health" | "closed"): void {
    for (const sink of this.#sinks) sink[what]();
  }
}

const NOBODY: readonly Holder[] = [];
