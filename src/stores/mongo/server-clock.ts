/**
 * What a client knows of the clock that stamps a namespace: samples, carried on by the monotonic clock.
 *
 * Each sample is a stamp that the server made, and it arrives later. So what is carried on from the moment of arrival
 * is never ahead of the server's clock, unless that has stepped back since: a lower bound, which is all that is needed
 * to say from when on changes are to be read again. The reader of changes reads everything again when it learns of a
 * step.
 *
 * The samples are the stamps of pings and of `time()`, because these come from the server that holds the data. What a
 * router says of its own clock is no sample: its clock may be ahead of that server's.
 */
import { systemClock } from "../../lib/system-clock.ts";

/** Two clocks may drift apart by some 10 ms in this time; the overlap of reads is far longer. */
const SAMPLE_MS_MIN = 60_000;
/** A holder samples the clock once a period. */
const SAMPLE_PERIODS = 3;

export class ServerClock {
  /** Whether the namespace is known to be set up: to ask for its time must not begin it. */
  isSetUp = false;
  /** Whether this user may have the server stamp a document; undefined until that was tried. */
  mayStamp: boolean | undefined;
  /** The question that is under way for all who need an answer. */
  asking: Promise<number> | undefined;
  readonly #sampleMsMax: number;
  #serverMs = NaN;
  #atMs = -Infinity;
  #isExact = false;

  constructor(periodMs: number) {
    this.#sampleMsMax = Math.max(SAMPLE_MS_MIN, SAMPLE_PERIODS * periodMs);
  }

  /** Takes in a stamp that the server made for this client, at the moment of its arrival. */
  sample(ms: number): void {
    this.#take(ms, true);
  }

  /**
   * Takes in a stamp that the server made for another client some time ago. That is a lower bound too, but a worse one,
   * so it counts only where this client has no stamps of its own: because it may not write.
   */
  overhear(ms: number): void {
    if (!this.#isExact || this.reached() === undefined) this.#take(ms, false);
  }

  /** A time, in ms, that the server's clock has reached; undefined when it was last heard of too long ago. */
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
