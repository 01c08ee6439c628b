/** Everything that the page knows, fed by the connection. Views are notified at a pace that people can follow. */
import { Connection, type Link } from "../net/connection.ts";
import { ask, setToken } from "../net/server.ts";
import type { ServerEvent } from "../net/sse.ts";
import { type Cause, type Change, Keys, type KeysPage } from "./keys.ts";
import { Pulse, type PulsePage } from "./pulse.ts";

export interface Hello {
  readonly name: string;
  readonly periodMs: number;
  readonly retentionMs: number;
  readonly session: number | null;
  readonly allowWrites: boolean;
}

export interface Health {
  readonly state: "healthy" | "stale" | "failed";
  readonly reason?: string;
  readonly since?: string;
}

/** How many changes the page keeps, of all keys together. */
const CHANGES_MAX = 20_000;
/** How many slots the pulse has: as many as the server keeps. */
export const PULSE_SLOTS = 120;
const NOTIFY_MS = 80;
const FORGET_MS = 5000;

export class Model {
  readonly keys = new Keys();
  readonly pulse = new Pulse();
  hello: Hello | undefined;
  health: Health = { state: "healthy" };
  /** How many keys of a snapshot are still to come; undefined if all have arrived. */
  loading: number | undefined = 0;
  /** Oldest first. */
  changes: Change[] = [];
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #seen = 0;
  /** The store's time minus this machine's, in ms. */
  #ahead = 0;
  #notifyTimer = 0;
  #pulseUsers = 0;
  #pulseTimer = 0;

  constructor() {
    this.#connection = new Connection({ event: (event) => this.#take(event), turned: () => this.#notify() });
    setInterval(() => this.#forget(), FORGET_MS);
    document.addEventListener("visibilitychange", () => this.#pollSoon(0));
  }

  get link(): Link {
    return this.#connection.link;
  }

  /** The store's time now, in ms. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  start(): void {
    this.#connection.connect();
  }

  unlock(token: string): void {
    setToken(token);
    this.#connection.connect();
  }

  /** Returns how many holders it ended. */
  async kill(key: string): Promise<number> {
    const response = await ask(`api/keys/kill?key=${encodeURIComponent(key)}`, { method: "POST" });
    return ((await response.json()) as { ended: number }).ended;
  }

  /** Calls the listener after each change, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keeps the pulse up to date, until the returned function is called. */
  usePulse(): () => void {
    this.#pulseUsers++;
    this.#pollSoon(0);
    return () => void this.#pulseUsers--;
  }

  #take({ event, data }: ServerEvent): void {
    const content: unknown = JSON.parse(data);
    if (event === "hello") this.#begin(content as Hello & { now: string; health: Health; resumed: boolean });
    else if (event === "health") this.health = content as Health;
    else if (event === "snapshot") {
      const { alive, dead } = content as { alive: number; dead: number };
      this.loading = alive + dead;
      this.keys.clear();
    } else if (event === "keys") this.keys.load(content as KeysPage);
    else if (event === "ready") this.loading = undefined;
    else if (event === "past") this.#past(content as ReportedChange[]);
    else if (event === "change") this.#change(content as ReportedChange);
    this.#notify();
  }

  #begin({
    now,
    health,
    resumed,
    ...hello
  }: Hello & { now: string; health: Health; resumed: boolean }): void {
    this.hello = hello;
    this.health = health;
    this.#ahead = Date.parse(now) - Date.now();
    if (resumed) return;
    this.loading ??= 0;
    this.pulse.clear();
    this.#pollSoon(0);
  }

  /** Changes from before this page was opened. A page that was connected earlier has more of them already. */
  #past(changes: readonly ReportedChange[]): void {
    if (this.changes.length > 0) return;
    for (const change of changes) this.keys.explain(this.#note(change));
  }

  #change(change: ReportedChange): void {
    this.keys.change(this.#note(change));
  }

  #note({ key, alive, at, cause, holders }: ReportedChange): Change {
    const change = {
      id: ++this.#seen,
      key,
      alive,
      cause,
      atMs: Date.parse(at),
      holders: holders.map(({ since, ...holder }) => ({ ...holder, sinceMs: Date.parse(since) })),
    };
    this.changes.push(change);
    if (this.changes.length > CHANGES_MAX * 1.1) this.changes = this.changes.slice(-CHANGES_MAX);
    return change;
  }

  #forget(): void {
    if (this.hello === undefined || this.loading !== undefined) return;
    this.keys.forgetBefore(this.now - this.hello.retentionMs);
    this.#notify();
  }

  async #poll(): Promise<void> {
    if (this.#pulseUsers === 0 || document.visibilityState !== "visible") return;
    let nextMs = 1000;
    try {
      const response = await ask(`api/pulse?after=${this.pulse.latest?.read ?? 0}`);
      const page = (await response.json()) as PulsePage;
      this.pulse.take(page, PULSE_SLOTS);
      nextMs = Math.max(page.nextMs, 250) + 20;
      this.#notify();
    } catch {
      nextMs = Math.max(1000, this.hello?.periodMs ?? 0); // the connection shows that the server is away
    }
    this.#pollSoon(nextMs);
  }

  #pollSoon(ms: number): void {
    clearTimeout(this.#pulseTimer);
    this.#pulseTimer = setTimeout(() => void this.#poll(), ms);
  }

  #notify(): void {
    if (this.#notifyTimer !== 0) return;
    // Sorting many keys takes longer.
    const delayMs = NOTIFY_MS + (this.keys.alive + this.keys.dead) / 200;
    this.#notifyTimer = setTimeout(() => {
      this.#notifyTimer = 0;
      for (const listener of this.#listeners) listener();
    }, delayMs);
  }
}

interface ReportedChange {
  readonly key: string;
  readonly alive: boolean;
  readonly at: string;
  readonly cause: Cause;
  readonly holders: readonly { session: number; host: string; pid: number; since: string; meta: unknown }[];
}
