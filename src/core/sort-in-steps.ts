/** A step sorts, or merges, about this many items. */
const STEP_ITEMS = 500;

/** Sorts the items in steps: sorting very many at once would delay everything else. */
export function* sortInSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[], void> {
  let runs: T[][] = [];
  for (let first = 0; first < items.length; first += STEP_ITEMS) {
    runs.push(items.slice(first, first + STEP_ITEMS).toSorted(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const [a = [], b] = [runs[at], runs[at + 1]];
      merged.push(b === undefined ? a : yield* merge(a, b, compare));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[], void> {
  const merged: T[] = [];
  for (let [i, j] = [0, 0]; i < a.length || j < b.length;) {
    const takesB = i === a.length || (j < b.length && compare(a[i] as T, b[j] as T) > 0);
    merged.push((takesB ? b[j++] : a[i++]) as T);
    if (merged.length % STEP_ITEMS === 0) yield;
  }
  return merged;
}
