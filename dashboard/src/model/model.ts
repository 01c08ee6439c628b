/** Everything that the page knows, fed by the connection. Views are notified at a pace that a person can follow. */
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

/** Changes that the page remembers, of all keys together. */
const CHANGES_MAX = 20_000;
/** Slots of the pulse: as many as the server keeps. */
export const PULSE_SLOTS = 120;
const TELL_MS = 80;
const FORGET_MS = 5000;

export class Model {
  readonly keys = new Keys();
  readonly pulse = new Pulse();
  hello: Hello | undefined;
  health: Health = { state: "healthy" };
  /** The keys that are to come in a snapshot; undefined when all are here. */
  loading: number | undefined = 0;
  /** Oldest first. */
  changes: Change[] = [];
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #seen = 0;
  /** The store's time less this machine's, in ms. */
  #ahead = 0;
  #telling = 0;
  #pulseUsers = 0;
  #pulseTimer = 0;

  constructor() {
    this.#connection = new Connection({ event: (event) => this.#hear(event), turned: () => this.#tell() });
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

  /** Gives how many holders it ended. */
  async kill(key: string): Promise<number> {
    const response = await ask(`api/keys/kill?key=${encodeURIComponent(key)}`, { method: "POST" });
    return ((await response.json()) as { ended: number }).ended;
  }

  /** Calls back when something has changed, until the result is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keeps the pulse up to date, until the result is called. */
  usePulse(): () => void {
    this.#pulseUsers++;
    this.#pollSoon(0);
    return () => void this.#pulseUsers--;
  }

  #hear({ event, data }: ServerEvent): void {
    const told: unknown = JSON.parse(data);
    if (event === "hello") this.#begin(told as Hello & { now: string; health: Health; resumed: boolean });
    else if (event === "health") this.health = told as Health;
    else if (event === "snapshot") {
      const { alive, dead } = told as { alive: number; dead: number };
      this.loading = alive + dead;
      this.keys.clear();
    } else if (event === "keys") this.keys.load(told as KeysPage);
    else if (event === "ready") this.loading = undefined;
    else if (event === "past") this.#past(told as ToldChange[]);
    else if (event === "change") this.#change(told as ToldChange);
    this.#tell();
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

  /** What happened before this page came. Where it had been here before, it knows more. */
  #past(told: readonly ToldChange[]): void {
    if (this.changes.length > 0) return;
    for (const change of told) this.keys.explain(this.#note(change));
  }

  #change(told: ToldChange): void {
    this.keys.change(this.#note(told));
  }

  #note({ key, alive, at, cause, holders }: ToldChange): Change {
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
    this.#tell();
  }

  async #poll(): Promise<void> {
    if (this.#pulseUsers === 0 || document.visibilityState !== "visible") return;
    let nextMs = 1000;
    try {
      const response = await ask(`api/pulse?after=${this.pulse.latest?.read ?? 0}`);
      const page = (await response.json()) as PulsePage;
      this.pulse.take(page, PULSE_SLOTS);
      nextMs = Math.max(page.nextMs, 250) + 20;
      this.#tell();
    } catch {
      nextMs = Math.max(1000, this.hello?.periodMs ?? 0); // that the server is away is told by the connection
    }
    this.#pollSoon(nextMs);
  }

  #pollSoon(ms: number): void {
    clearTimeout(this.#pulseTimer);
    this.#pulseTimer = setTimeout(() => void this.#poll(), ms);
  }

  #tell(): void {
    if (this.#telling !== 0) return;
    // With many keys it takes longer to put them in order.
    const delayMs = TELL_MS + (this.keys.alive + this.keys.dead) / 200;
    this.#telling = setTimeout(() => {
      this.#telling = 0;
      for (const listener of this.#listeners) listener();
    }, delayMs);
  }
}

interface ToldChange {
  readonly key: string;
  readonly alive: boolean;
  readonly at: string;
  readonly cause: Cause;
  readonly holders: readonly { session: number; host: string; pid: number; since: string; meta: unknown }[];
}
