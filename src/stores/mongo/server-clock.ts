/**
 * What a client knows about the clock that stamps a namespace: samples, extrapolated by the monotonic clock.
 *
 * Each sample is a stamp of the server that arrives later. So the extrapolation from its arrival is never ahead of the
 * server's clock, unless that has stepped back since. Such a lower bound is enough to know from when on changes must be
 * read again. The reader of changes reads everything again when it learns of a step.
 *
 * Samples are the stamps of pings and what `time()` returns, if that comes from the server that holds the data. A
 * router's own clock is not a sample: it may be ahead of that server's.
 */
import { systemClock } from "../../lib/system-clock.ts";

/** Two clocks drift apart by some 10 ms in this time; the overlap of reads is far longer. */
const SAMPLE_MS_MIN = 60_000;
/** A holder samples the clock once a period. */
const SAMPLE_PERIODS = 3;

export class ServerClock {
  /** Whether the namespace is known to be set up: to ask for its time must not begin it. */
  isSetUp = false;
  /** Whether this user may have the server stamp a document; undefined until that was tried. */
  mayStamp: boolean | undefined;
  /** Whether this user may ask a router for the clock of a shard, as far as is known. */
  mayAskShard = true;
  /** The request under way, shared by everyone who needs its answer. */
  asking: Promise<number> | undefined;
  readonly #sampleMsMax: number;
  #serverMs = NaN;
  #atMs = -Infinity;
  #isExact = false;

  constructor(periodMs: number) {
    this.#sampleMsMax = Math.max(SAMPLE_MS_MIN, SAMPLE_PERIODS * periodMs);
  }

  /** Adds a stamp that the server made for this client, when it arrives. */
  sample(ms: number): void {
    this.#take(ms, true);
  }

  /**
   * Adds a stamp that the server made for another client some time ago. That is a lower bound too, but a worse one, so
   * it counts only if this client has no stamps of its own, because it may not write.
   */
  overhear(ms: number): void {
    if (!this.#isExact || this.reached() === undefined) this.#take(ms, false);
  }

  /** A time, in ms, that the server's clock has reached; undefined if the latest sample is too old. */
  reached(): number | undefined {
    const elapsed = systemClock.monotonic() - this.#atMs;
    return elapsed <= this.#sampleMsMax ? this.#serverMs + elapsed : undefined;
  }

  #take(ms: number, isExact: boolean): void {
    if (Number.isNaN(ms)) return;
    this.#serverMs = ms;
    this.#atMs = systemClock.monotonic();
    this.#isExact = isExact;
  }
}
