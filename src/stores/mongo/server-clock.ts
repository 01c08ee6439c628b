/**
 * What a client knows of its server's clock: samples of `localTime`, carried on by the monotonic clock.
 *
 * Each sample is a time at which the answer was made, and it arrives later. So what is carried on from the moment of
 * arrival is never ahead of the server's clock, unless that has stepped back since: a lower bound, which is all that
 * is needed to say from when on changes are to be read again. The reader of changes reads everything anew when it
 * learns of a step.
 */
import { systemClock } from "../../lib/system-clock.ts";

/** Two clocks may drift apart by some 10 ms in this time; the overlap of reads is far longer. */
const SAMPLE_MS_MAX = 60_000;

export class ServerClock {
  #serverMs = NaN;
  #atMs = -Infinity;

  /** Takes in a `localTime`, at the moment of its arrival. */
  sample(localTimeMs: number): void {
    if (Number.isNaN(localTimeMs)) return;
    this.#serverMs = localTimeMs;
    this.#atMs = systemClock.monotonic();
  }

  /** A time, in ms, that the server's clock has reached; undefined when it was last heard of too long ago. */
  reached(): number | undefined {
    const elapsed = systemClock.monotonic() - this.#atMs;
    return elapsed <= SAMPLE_MS_MAX ? this.#serverMs + elapsed : undefined;
  }
}
