/** The store's clock beside this machine's, and how far away the store is. */
import type { Finding, Namespace } from "../../core/store.ts";
import { within } from "../../lib/timers.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { formatDuration } from "../duration.ts";

/** How long one answer may take, in ms. */
export const ANSWER_LIMIT_MS = 10_000;
const SAMPLES = 7;

/** Above these parts of the period a round trip is slow, or too slow: reads are given up after a fifth. */
const SLOW_OF_PERIOD = 1 / 20;
const TOO_SLOW_OF_PERIOD = 1 / 5;
/** By how much a clock may be off, as a part of the period. */
const OFFSET_OF_PERIOD = 1 / 10;

export interface Samples {
  /** The median time from asking to answering, in ms. */
  readonly roundTripMs: number;
  /** The store's time minus this machine's wall time, by the quickest answer, in ms. */
  readonly offsetMs: number;
  /** How far `offsetMs` may be off. */
  readonly errorMs: number;
  /** The store's time of the quickest answer, in ms. */
  readonly storeMs: number;
}

/** Asks the store for its time, several times. Rejects if it does not answer. */
export async function takeSamples(namespace: Namespace): Promise<Samples> {
  const samples: Samples[] = [];
  for (let count = 0; count < SAMPLES; count++) {
    const began = systemClock.monotonic();
    const storeMs = await within(systemClock, ANSWER_LIMIT_MS, "time", namespace.time());
    const roundTripMs = systemClock.monotonic() - began;
    const errorMs = roundTripMs / 2;
    samples.push({ roundTripMs, errorMs, offsetMs: storeMs - (systemClock.now() - errorMs), storeMs });
  }
  samples.sort((a, b) => a.roundTripMs - b.roundTripMs);
  const quickest = samples[0] as Samples;
  const median = samples[Math.floor(SAMPLES / 2)] as Samples;
  return { ...quickest, roundTripMs: median.roundTripMs };
}

export function examineClock({ offsetMs, errorMs }: Samples, periodMs: number): Finding {
  const check = "clock offset";
  const way = offsetMs > 0 ? "behind" : "ahead of";
  const found = `This machine's clock is ${formatDuration(Math.abs(offsetMs))} ${way} the store's`;
  if (Math.abs(offsetMs) - errorMs <= periodMs * OFFSET_OF_PERIOD) {
    return { check, level: "ok", found: `${found}, give or take ${formatDuration(errorMs)}.` };
  }
  return {
    check,
    level: "warning",
    found: `${found}, more than a tenth of the period.`,
    advice:
      "Synchronize both clocks with NTP: heartbit tolerates the difference, but every step of a clock holds expiries back, and times in logs disagree.",
  };
}

export function examineRoundTrip({ roundTripMs }: Samples, periodMs: number): Finding {
  const check = "round trip";
  const found = `The store answers in ${formatDuration(roundTripMs)}`;
  if (roundTripMs <= periodMs * SLOW_OF_PERIOD) return { check, level: "ok", found: `${found}.` };
  const isTooSlow = roundTripMs > periodMs * TOO_SLOW_OF_PERIOD;
  const part = isTooSlow ? "a fifth" : "a twentieth";
  const enoughMs = Math.ceil(roundTripMs / SLOW_OF_PERIOD / 100) * 100;
  return {
    check,
    level: isTooSlow ? "error" : "warning",
    found: `${found}, more than ${part} of the period: reads are given up after a fifth.`,
    advice: `Choose a period of ${formatDuration(enoughMs)} or more, or a store that is nearer or less busy.`,
  };
}
