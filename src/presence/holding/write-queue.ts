/**
 * The writes of this presence: registrations whose latest state is not stored yet. Only the latest state of each waits,
 * however often it changed meanwhile. Ends go before starts, starts before metas.
 *
 * Writes go in batches. A batch that is not acknowledged in time is given up, cancelled, and sent again with a quarter
 * of the writes. One that is acknowledged quickly lets the next one be twice as large. So a store of any speed makes
 * progress. (The idea is that of TCP's congestion window: additive or multiplicative increase, multiplicative
 * decrease.)
 */
import { isFinal, toError } from "../../core/errors.ts";
import type { End } from "../../core/reconcile.ts";
import type { Write } from "../../core/store.ts";
import { type Context, patienceMs, retryMs } from "../context/context.ts";
import { describe } from "../../lib/log.ts";
import { within } from "../../lib/timers.ts";
import type { Registration, Unwritten, Waiter } from "./registration.ts";
import { closed, type Session } from "./session.ts";

const BATCH_FIRST = 500;
const BATCH_MAX = 5000;
const SHRINK = 4;
const GROW = 2;
/** A batch that took less than this part of its time limit lets the next one be larger. */
const QUICK = 1 / 4;

interface Batched {
  readonly registration: Registration;
  readonly unwritten: Unwritten;
  readonly waiters: Waiter[];
}

export class WriteQueue {
  readonly #context: Context;
  readonly #session: Session;
  readonly #unwritten = {
    end: new Set<Registration>(),
    start: new Set<Registration>(),
    meta: new Set<Registration>(),
  };
  /** Ends of starts that are not declared any more. */
  #ends: End[] = [];
  #batchMax = BATCH_FIRST;
  #draining: Promise<void> | undefined;
  /** The batch that is under way. */
  #sending: Promise<void> | undefined;

  constructor(context: Context, session: Session) {
    this.#context = context;
    this.#session = session;
  }

  /**
   * Writes the latest state of a registration. Resolves when this or a later state is acknowledged. Rejects for faults
   * that can never pass, or with `PRESENCE_CLOSED`.
   */
  write(registration: Registration, unwritten: "end" | "start" | "meta"): Promise<void> {
    if (this.#session.isStopped) return Promise.reject(closed(this.#context.name));
    return new Promise((resolve, reject) => {
      (registration.waiters ??= []).push({ resolve, reject });
      this.add(registration, unwritten);
    });
  }

  /** Like `write`, without waiting for it. */
  add(registration: Registration, unwritten: "end" | "start" | "meta"): void {
    const before = registration.unwritten;
    // An end includes everything, a start includes the meta.
    const isMore =
      before === "nothing" || unwritten === "end" || (unwritten === "start" && before === "meta");
    if (isMore) {
      if (before !== "nothing") this.#unwritten[before].delete(registration);
      registration.unwritten = unwritten;
      this.#unwritten[unwritten].add(registration);
    }
    this.#start();
  }

  /** Ends starts of this session that are not declared any more. */
  end(ends: readonly End[]): void {
    this.#ends.push(...ends);
    if (ends.length > 0) this.#start();
  }

  /** Resolves when everything that is queued now has been acknowledged or refused. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  /** Resolves when what is queued now of a key has been acknowledged or refused. */
  async settled(key: string): Promise<void> {
    await this.#sending?.catch(() => {});
    const pending = Object.values(this.#unwritten).flatMap((some) =>
      [...some].filter((one) => one.key === key),
    );
    await Promise.all(
      pending.map((registration) => {
        return new Promise<void>((resolve) => {
          (registration.waiters ??= []).push({ resolve, reject: () => resolve() });
        });
      }),
    );
  }

  /** Gives up everything that is queued. */
  giveUp(error: Error): void {
    for (const some of Object.values(this.#unwritten)) {
      for (const registration of some) {
        registration.unwritten = "nothing";
        for (const { reject } of takeWaiters(registration)) reject(error);
      }
      some.clear();
    }
    this.#ends = [];
  }

  get #isEmpty(): boolean {
    const { end, start, meta } = this.#unwritten;
    return end.size + start.size + meta.size + this.#ends.length === 0;
  }

  #start(): void {
    this.#draining ??= Promise.resolve()
      .then(() => this.#drain())
      .finally(() => {
        this.#draining = undefined;
        if (!this.#isEmpty && !this.#session.isStopped) this.#start();
      });
  }

  async #drain(): Promise<void> {
    const { health } = this.#context;
    while (!this.#isEmpty && !this.#session.isStopped) {
      try {
        const { record, heartbeat } = await this.#session.open();
        // A record with a slot from before a sleep does not prove life.
        if (this.#context.time.mayHaveSlept) await heartbeat.confirm();
        this.#sending = this.#writeBatch(record.seq);
        await this.#sending;
      } catch (error) {
        if (this.#session.isStopped) break;
        if (isFinal(error)) {
          this.giveUp(toError(error));
          break;
        }
        health.suspect(`a write failed: ${describe(error)}`);
        await this.#session.sleeper.sleep(retryMs(this.#context, error));
      }
    }
    if (this.#session.isStopped) this.giveUp(closed(this.#context.name));
  }

  /** Sends the next batch. If it fails, its registrations are queued again. */
  async #writeBatch(seq: number): Promise<void> {
    const { clock, namespace } = this.#context;
    const ends = this.#ends.splice(0, this.#batchMax);
    const ours = ends.filter(({ id }) => id.session === seq);
    const writes: Write[] = ours.map(({ id, last }) => ({ kind: "end", registration: idOf(id), last }));
    const batch = this.#takeNext(seq, writes);
    const limitMs = patienceMs(this.#context);
    const began = clock.monotonic();
    const cancel = new AbortController();
    try {
      await within(clock, limitMs, "write", namespace.write(writes, cancel.signal));
    } catch (error) {
      cancel.abort();
      this.#batchMax = Math.max(1, Math.floor(Math.min(this.#batchMax, writes.length) / SHRINK));
      this.#ends.unshift(...ends);
      for (const one of batch) this.#putBack(one);
      throw error;
    }
    const isQuick = clock.monotonic() - began < limitMs * QUICK;
    if (isQuick && writes.length >= this.#batchMax)
      this.#batchMax = Math.min(BATCH_MAX, this.#batchMax * GROW);
    for (const { registration, unwritten, waiters } of batch) {
      registration.writing--;
      if (unwritten === "start") registration.startsUnderWay--;
      if (unwritten !== "meta") registration.endsEarlier = false;
      for (const { resolve } of waiters) resolve();
    }
  }

  /** Takes registrations out of the queue, up to a batch, and adds their writes. */
  #takeNext(seq: number, writes: Write[]): Batched[] {
    const batch: Batched[] = [];
    for (const unwritten of ["end", "start", "meta"] as const) {
      for (const registration of this.#unwritten[unwritten]) {
        if (writes.length >= this.#batchMax) return batch;
        this.#unwritten[unwritten].delete(registration);
        registration.unwritten = "nothing";
        registration.writing++;
        if (unwritten === "start") registration.startsUnderWay++;
        writes.push(...registration.writes(seq, this.#context, unwritten));
        batch.push({ registration, unwritten, waiters: takeWaiters(registration) });
      }
    }
    return batch;
  }

  #putBack({ registration, unwritten, waiters }: Batched): void {
    registration.writing--;
    if (unwritten === "start") registration.startsUnderWay--;
    if (waiters.length > 0) registration.waiters = [...waiters, ...(registration.waiters ?? [])];
    if (unwritten !== "nothing") this.add(registration, unwritten);
  }
}

function idOf({ session, pinger, start }: End["id"]): End["id"] {
  return { session, pinger, start };
}

function takeWaiters(registration: Registration): Waiter[] {
  const waiters = registration.waiters ?? [];
  registration.waiters = undefined;
  return waiters;
}
