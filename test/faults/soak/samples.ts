/** What the soak measures, and whether it is flat. Pure. */

/** What one process holds. */
export interface Held {
  /** Of JavaScript's heap, after the garbage was collected. */
  readonly heapMb: number;
  readonly externalMb: number;
  readonly rssMb: number;
  readonly handles: number;
  readonly timers: number;
  readonly descriptors: number;
}

export interface Sample {
  /** Since the start. */
  readonly minute: number;
  /** By the names of the processes that live as long as the soak. */
  readonly processes: Readonly<Record<string, Held>>;
  /**
   * Documents; of the pings the slots, each of which has a document for every 1,024 numbers among which somebody lives: one,
   * and two from when those of the newcomers pass a multiple of that.
   */
  readonly stored: {
    readonly sessions: number;
    readonly registrations: number;
    readonly slots: number;
    /** How many slots ago what has been dead for longest, of all that is stored, was vouched for. */
    readonly longestDead: number;
  };
}

/** What says of a stored document whether it is dead, and since when: as docs/format.md has it. */
export interface StoredSession {
  readonly _id: number;
  readonly slot: number;
  readonly last?: number;
}
export interface StoredRegistration {
  readonly session: number;
  readonly slot: number;
  readonly last?: number;
}

/**
 * How many slots ago what has been dead for longest was vouched for. Load moves this little, and what is never pruned raises it by
 * one a slot. A session that lives raises its slot, so that it is never old.
 */
export function longestDead(
  sessions: readonly StoredSession[],
  registrations: readonly StoredRegistration[],
  now: number,
): number {
  const open = new Set(sessions.map(({ _id }) => _id));
  const dead = registrations.filter(({ session, last }) => last !== undefined || !open.has(session));
  return Math.max(0, ...[...sessions, ...dead].map(({ slot, last = 0 }) => now - Math.max(slot, last)));
}

/** One quantity over time. */
export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly points: readonly (readonly [minute: number, value: number])[];
  /** Where it is bounded: it is flat while it goes up and down below this. */
  readonly most?: number;
}

export interface Fit {
  readonly name: string;
  readonly unit: string;
  readonly first: number;
  readonly last: number;
  readonly median: number;
  readonly max: number;
  readonly slopePerHour: number;
  /** How much the line rises over the time it was fitted to, as a part of the median. */
  readonly growth: number;
  readonly isFlat: boolean;
}

/**
 * In slots. At the retention of the soak, 120, something is pruned 120 to 300 slots after its death where nothing hinders it, and each
 * lapse of those who prune puts that off; what is forgotten passes this within two minutes.
 */
const DEAD_MOST = 1200;

/** What comes before this part of the soak is warming up: caches fill, code is compiled. */
const WARM_UP = 1 / 4;
/** The line may rise by this part of the median. */
const GROWTH_MAX = 0.1;
/** And whatever is little in itself may rise by as much as this: one more connection is no leak. */
const RISE_MAX: Readonly<Record<string, number>> = { MB: 2, "": 3 };

export function seriesOf(samples: readonly Sample[]): Series[] {
  const names = Object.keys(samples[0]?.processes ?? {});
  const of = (name: string, unit: string, value: (sample: Sample) => number): Series => ({
    name,
    unit,
    points: samples.map((sample) => [sample.minute, value(sample)] as const),
  });
  const kinds = [
    ["heapMb", "heap", "MB"],
    ["externalMb", "external memory", "MB"],
    ["rssMb", "resident memory", "MB"],
    ["handles", "handles", ""],
    ["timers", "timers", ""],
    ["descriptors", "file descriptors", ""],
  ] as const;
  return [
    ...kinds.flatMap(([kind, label, unit]) =>
      names.map((name) => of(`${label} of ${name}`, unit, ({ processes }) => processes[name]?.[kind] ?? NaN)),
    ),
    ...(["sessions", "registrations"] as const).map((kind) =>
      of(`stored ${kind}`, "documents", ({ stored }) => stored[kind]),
    ),
    of("stored pings", "slots", ({ stored }) => stored.slots),
    { ...of("stored after death", "slots", ({ stored }) => stored.longestDead), most: DEAD_MOST },
  ];
}

/**
 * Fits a line to what comes after the warm-up: its slope is the median of the slopes between any two points (Theil and Sen),
 * so that what a busy machine does for a minute is not taken for a leak. Throws where there are less than three points.
 */
export function fit({ name, unit, points, most }: Series): Fit {
  const from = (points.at(-1)?.[0] ?? 0) * WARM_UP;
  const fitted = points.filter(([minute]) => minute >= from);
  if (fitted.length < 3) throw new Error(`There are ${fitted.length} points of ${name}, too few for a line.`);
  const slopes = fitted.flatMap(([x, y], i) => fitted.slice(i + 1).map(([x2, y2]) => (y2 - y) / (x2 - x)));
  const slope = medianOf(slopes);
  const median = medianOf(fitted.map(([, y]) => y));
  const rise = slope * ((fitted.at(-1)?.[0] ?? 0) - (fitted[0]?.[0] ?? 0));
  const growth = median === 0 ? 0 : rise / median;
  const max = fitted.reduce((highest, [, y]) => Math.max(highest, y), -Infinity);
  const isLevel = growth <= GROWTH_MAX || rise <= (RISE_MAX[unit] ?? 0);
  return {
    name,
    unit,
    first: fitted[0]?.[1] ?? NaN,
    last: fitted.at(-1)?.[1] ?? NaN,
    median,
    max,
    slopePerHour: slope * 60,
    growth,
    isFlat: most === undefined ? isLevel : max <= most,
  };
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
