/**
 * Writes what is declared and not stored yet (core/backlog.ts), in batches that adapt to the speed of the store
 * (core/batch-size.ts). A batch that is not acknowledged in time is given up, cancelled, and sent again.
 */
import { Backlog } from "../../core/backlog.ts";
import { BatchSize } from "../../core/batch-size.ts";
import { closed, GivenUp, isFinal, toError } from "../../core/errors.ts";
import { patienceMs, retryMs } from "../../core/limits.ts";
import type { End } from "../../core/reconcile.ts";
import type { Registration, Unwritten } from "../../core/registration.ts";
import { type Context, patientlyWritten } from "../context/context.ts";
import { describe } from "../../lib/log.ts";
import type { Session } from "./session.ts";

export class WriteQueue {
  readonly #context: Context;
  readonly #session: Session;
  readonly #backlog = new Backlog();
  readonly #size: BatchSize;
  #draining: Promise<void> | undefined;
  /** Whether the latest attempt to write failed. */
  isFailing = false;
  /** Why it writes nothing any more. */
  #ended: Error | undefined;
  /** The batch that is under way. */
  #sending: Promise<void> | undefined;

  constructor(context: Context, session: Session) {
    this.#context = context;
    this.#session = session;
    this.#size = new BatchSize(patienceMs(context.periodMs));
  }

  /**
   * Writes the latest state of a registration. Resolves when this or a later state is acknowledged. Rejects for faults
   * that can never pass, or with `PRESENCE_CLOSED`.
   */
  write(registration: Registration, unwritten: Unwritten): Promise<void> {
    if (this.#isOver) return Promise.reject(closed(this.#context.name));
    const whenWritten = registration.written();
    this.add(registration, unwritten);
    return whenWritten;
  }

  /** Like `write`, without waiting for it. */
  add(registration: Registration, unwritten: Unwritten): void {
    this.#backlog.add(registration, unwritten);
    this.#start();
  }

  /** Ends starts of this session that are not declared any more. */
  end(ends: readonly End[]): void {
    this.#backlog.addEnds(ends);
    if (ends.length > 0) this.#start();
  }

  /** Resolves when everything that is queued now has been acknowledged or refused. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  /** Resolves when what is queued now of a key has been acknowledged or refused. */
  async settled(key: string): Promise<void> {
    await this.#sending?.catch(() => {});
    const ofKey = [...this.#backlog.waiting()].filter((registration) => registration.key === key);
    await Promise.allSettled(ofKey.map((registration) => registration.written()));
  }

  /** Gives up everything that is queued, or everything except ends. */
  giveUp(error: Error, withEnds?: boolean): void {
    this.#backlog.giveUp(error, withEnds);
  }

  /** Gives up everything, and what is under way if it fails. It is not used again. */
  abandon(error: Error): void {
    this.#ended = error;
    this.giveUp(error);
  }

  get #isOver(): boolean {
    return this.#ended !== undefined || this.#session.sleeper.ended;
  }

  #start(): void {
    this.#draining ??= Promise.resolve()
      .then(() => this.#drain())
      .finally(() => {
        this.#draining = undefined;
        if (!this.#backlog.isEmpty && !this.#isOver) this.#start();
      });
  }

  async #drain(): Promise<void> {
    const { health, time, periodMs } = this.#context;
    while (!this.#backlog.isEmpty && !this.#isOver) {
      try {
        const { record, heartbeat } = await this.#session.open();
        // A record with a slot from before a sleep does not prove life.
        if (time.mayHaveSlept && !(await heartbeat.confirm()))
          throw new GivenUp("The machine may have slept, and no ping was acknowledged since.");
        this.#sending = this.#writeBatch(record.seq);
        await this.#sending;
        this.isFailing = false;
      } catch (error) {
        if (this.#isOver) break;
        this.isFailing = !isFinal(error);
        if (!this.isFailing) {
          this.giveUp(toError(error));
          break;
        }
        health.suspect(`a write failed: ${describe(error)}`);
        await this.#session.sleeper.sleep(retryMs(periodMs, error));
      }
    }
    if (this.#isOver) this.giveUp(this.#ended ?? closed(this.#context.name));
  }

  /** Sends the next batch. If it fails, its writes are queued again. */
  async #writeBatch(seq: number): Promise<void> {
    const { clock, namespace, time } = this.#context;
    const batch = this.#backlog.take(seq, this.#size.begin(clock.monotonic()), time);
    const cancel = new AbortController();
    try {
      await patientlyWritten(this.#context, "write", namespace.write(batch.writes, cancel.signal));
    } catch (error) {
      cancel.abort();
      this.#size.failed(batch.writes.length, clock.monotonic());
      this.#backlog.putBack(batch);
      throw error;
    }
    this.#size.acknowledged(batch.writes.length, clock.monotonic());
    this.#backlog.acknowledge(batch);
  }
}
