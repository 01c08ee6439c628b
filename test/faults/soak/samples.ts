/** What the soak measures, and whether it is flat. Pure. */

/** What was measured at a time, by names that end with their units: "heap of steady-1, MB". */
export interface Sample {
  /** Since the start. */
  readonly minute: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface Fit {
  readonly name: string;
  readonly median: number;
  readonly max: number;
  readonly slopePerHour: number;
  /** How much the line rises over the time it was fitted to, as a part of the median. */
  readonly growth: number;
  readonly isFlat: boolean;
}

/** What says of a stored record whether it is dead, and since when: as docs/format.md has it. */
export interface StoredRecord {
  readonly session: number;
  readonly slot: number;
  readonly last: number;
}

const OPEN = Number.MAX_SAFE_INTEGER;

/**
 * How many slots ago what has been dead for longest was vouched for. Load moves this little, and what is never pruned
 * raises it by one a slot. A session that lives raises its slot, so that it is never old.
 */
export function longestDead(
  sessions: readonly StoredRecord[],
  registrations: readonly StoredRecord[],
  now: number,
): number {
  const stored = new Set(sessions.map(({ session }) => session));
  const dead = registrations.filter(({ session, last }) => last !== OPEN || !stored.has(session));
  const vouched = [...sessions, ...dead].map(({ slot, last }) =>
    last === OPEN ? slot : Math.max(slot, last),
  );
  return Math.max(0, ...vouched.map((slot) => now - slot));
}

/**
 * The name of what is flat while it goes up and down below this. In slots: at the retention of the soak, 120, something
 * is pruned 120 to 300 slots after its death where nothing hinders it, and each lapse of those who prune puts that off;
 * what is forgotten passes this within two minutes.
 */
export const DEAD = "stored after death, slots";
const DEAD_MOST = 1200;

/** What comes before this part of the soak is warming up: caches fill, code is compiled. */
const WARM_UP = 1 / 4;
/** The line may rise by this part of the median. */
const GROWTH_MAX = 0.1;
/** And whatever is little in itself may rise by as much as this: one more connection is no leak. */
const RISE_MAX = { memory: 2, stored: 0, others: 3 };

/**
 * Fits a line to what comes after the warm-up: its slope is the median of the slopes between any two points (Theil and
 * Sen), so that what a busy machine does for a minute is not taken for a leak. Throws where there are less than three.
 */
export function fit(name: string, samples: readonly Sample[]): Fit {
  const from = (samples.at(-1)?.minute ?? 0) * WARM_UP;
  const points = samples
    .filter(({ minute }) => minute >= from)
    .map(({ minute, values }) => ({ x: minute, y: values[name] ?? NaN }));
  if (points.length < 3) throw new Error(`There are ${points.length} points of ${name}, too few for a line.`);
  const slope = medianOf(
    points.flatMap(({ x, y }, i) => points.slice(i + 1).map((other) => (other.y - y) / (other.x - x))),
  );
  const median = medianOf(points.map(({ y }) => y));
  const max = points.reduce((most, { y }) => Math.max(most, y), -Infinity);
  const rise = slope * ((points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0));
  const growth = median === 0 ? 0 : rise / median;
  const riseMax = RISE_MAX[name.endsWith("MB") ? "memory" : name.startsWith("stored") ? "stored" : "others"];
  const isFlat = name === DEAD ? max <= DEAD_MOST : growth <= GROWTH_MAX || rise <= riseMax;
  return { name, median, max, slopePerHour: slope * 60, growth, isFlat };
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
