/**
 * The board: the state of all keys, as one watcher reports it, for any number of clients. Like the library it keeps
 * live keys, and those that died within the retention.
 */
import { toError } from "../core/errors.ts";
import { SortedKeys } from "../core/sorted-keys.ts";
import type { Change, Holder } from "../core/change.ts";
import { readConfig } from "../presence/context/context.ts";
import type { Health } from "../presence/context/health.ts";
import { internalsOf } from "../presence/internals.ts";
import type { KeyState } from "../core/listing.ts";
import type { Presence } from "../presence/presence.ts";
import { Sleeper } from "../lib/timers.ts";
import type { Watcher } from "../presence/watcher.ts";
import { Journal } from "./journal.ts";
import { Processes } from "./processes.ts";

/** If there are more dead keys, they are forgotten sooner. */
const DEAD_MAX = 20_000;
/** After a failure of the watcher, the next one is made after at least a period, and at most this, in ms. */
const PAUSE_MS_MAX = 60_000;

export interface BoardHealth {
  /** `failed`: nothing is known, because the watcher has failed; another one starts when the namespace is there. */
  readonly state: Health["state"] | "failed";
  readonly reason?: string;
  readonly since?: Date;
}

/** Receives the events of the board. */
export interface BoardSink {
  /** All keys are known from now on. */
  loaded(): void;
  /** The watcher has failed: the known state is void until everything is loaded again. */
  startedOver(): void;
  changed(): void;
  health(): void;
  closed(): void;
}

export class Board {
  readonly presence: Presence;
  readonly journal = new Journal();
  processes = new Processes();
  #watcher: Watcher;
  readonly #sleeper: Sleeper;
  readonly #sinks = new Set<Partial<BoardSink>>();
  readonly #keys = new Map<string, KeyState>();
  /** The dead keys in the order of their deaths, with the store's time of each in ms. */
  readonly #dead = new Map<string, number>();
  #sorted = new SortedKeys();
  #isLoaded = false;
  /** Why the watcher has failed, until another one has loaded everything. */
  #failure: Error | undefined;

  constructor(presence: Presence) {
    this.presence = presence;
    this.#sleeper = new Sleeper(internalsOf(presence).clock);
    this.#watcher = this.#watch();
    void this.#run();
    void this.#forgetInTurn();
  }

  /** Whether all keys are known. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  get isClosed(): boolean {
    return this.#sleeper.ended;
  }

  get health(): BoardHealth {
    const { state, health, error } = this.#watcher;
    const failure = this.#failure ?? error;
    if (failure !== undefined && failure !== null) return { state: "failed", reason: failure.message };
    return state === "running" ? health : { state: "failed", reason: "the presence is closed" };
  }

  /** How many keys there are. */
  get totals(): { readonly alive: number; readonly dead: number } {
    return { alive: this.#keys.size - this.#dead.size, dead: this.#dead.size };
  }

  get(key: string): KeyState | undefined {
    return this.#keys.get(key);
  }

  /** The keys from this text on, in the order of their UTF-16 code units. Valid only in this turn of the event loop. */
  keysFrom(text: string): IterableIterator<string> {
    return this.#sorted.from(text);
  }

  /** The keys with the prefix, from this text on, as `keysFrom`. */
  keysWith(prefix: string, from: string): IterableIterator<string> {
    return this.#sorted.startingWith(prefix, from);
  }

  /** Passes events to the sink from now on, until the returned function is called. */
  follow(sink: Partial<BoardSink>): () => void {
    this.#sinks.add(sink);
    return () => void this.#sinks.delete(sink);
  }

  /** Resolves when all keys are known, or this is closed. */
  loaded(): Promise<void> {
    if (this.#isLoaded || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        end();
        resolve();
      };
      const end = this.follow({ loaded: done, closed: done });
    });
  }

  /** Idempotent. The caller's presence stays open. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.#sleeper.end();
    await this.#watcher.stop();
    this.#notify("closed");
    this.#sinks.clear();
  }

  #watch(): Watcher {
    const watcher = this.presence.watcher();
    watcher.on("health", () => this.#notify("health"));
    watcher.watch({ all: true }, (change) => this.#take(change));
    return watcher;
  }

  /** Loads everything, and after a failure again with another watcher: its namespace is gone, and may come back. */
  async #run(): Promise<void> {
    const { log, periodMs } = internalsOf(this.presence);
    for (let pauseMs = periodMs; !this.isClosed; pauseMs *= 2) {
      await this.#load();
      if (this.#isLoaded) pauseMs = periodMs;
      await this.#watcher.dead;
      const { error } = this.#watcher;
      if (error === null) break;
      this.#startOver(error);
      do await this.#sleeper.sleep(Math.min(pauseMs, Math.max(PAUSE_MS_MAX, periodMs)));
      while (!this.isClosed && !(await this.#isSetUp()));
      if (this.isClosed) break;
      try {
        this.#watcher = this.#watch();
      } catch (closed) {
        log.debug("the dashboard watches no more", toError(closed));
        break;
      }
    }
    await this.close();
  }

  /** A watcher would set a dropped namespace up again, and holders that have not noticed would go on in it. */
  async #isSetUp(): Promise<boolean> {
    const internals = internalsOf(this.presence);
    try {
      return (await readConfig(internals)) !== undefined;
    } catch (error) {
      internals.log.debug("the dashboard could not read the config", toError(error));
      return false;
    }
  }

  async #load(): Promise<void> {
    const { log, periodMs } = internalsOf(this.presence);
    while (!this.#isLoaded && this.#watcher.state === "running") {
      try {
        await this.#watcher.sync();
        await this.#loadDead();
        if (this.#watcher.state !== "running") return;
        this.#isLoaded = true;
        this.#notify("loaded");
        if (this.#failure === undefined) return;
        this.#failure = undefined;
        this.#notify("health");
      } catch (error) {
        log.debug("the dashboard's keys could not be loaded", toError(error));
        await this.#sleeper.sleep(Math.min(periodMs, 1000));
      }
    }
  }

  #startOver(error: Error): void {
    this.#failure = error;
    this.#isLoaded = false;
    this.#keys.clear();
    this.#dead.clear();
    this.#sorted = new SortedKeys();
    this.processes = new Processes();
    this.journal.clear();
    this.#notify("startedOver");
    this.#notify("health");
  }

  async #forgetInTurn(): Promise<void> {
    const { retentionSlots, periodMs } = internalsOf(this.presence);
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
      this.#set(state);
      this.#dead.set(state.key, state.since.getTime());
    }
    for (const [key, ms] of diedBefore) this.#dead.set(key, ms);
  }

  #take(change: Change): void {
    const { key, alive, at, cause, holders } = change;
    const before = this.#keys.get(key);
    const since = holders[0]?.since ?? at;
    this.#set({ key, alive, since, holders });
    this.#dead.delete(key); // so that it moves to the end
    if (!alive) this.#dead.set(key, at.getTime());
    this.processes.change(before?.holders ?? NOBODY, holders, cause, at);
    // The initial state of a watcher is not a change: each client gets the whole state.
    if (cause === "initial") return;
    this.journal.add(change);
    this.#notify("changed");
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
      this.#sorted.delete(key);
    }
  }

  #set(state: KeyState): void {
    if (!this.#keys.has(state.key)) this.#sorted.add(state.key);
    this.#keys.set(state.key, state);
  }

  #notify(what: keyof BoardSink): void {
    for (const sink of this.#sinks) sink[what]?.();
  }
}

const NOBODY: readonly Holder[] = [];
