/** Spans of time. */

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** In order, those that overlap or touch made one. */
export function merge(spans: readonly Span[]): Span[] {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** Whether some span has something of [from, to]. */
export function touches(spans: readonly Span[], from: number, to: number): boolean {
  return spans.some((span) => span.from <= to && span.to >= from);
}

/** What they have of [from, to]. */
export function within(spans: readonly Span[], from: number, to: number): Span[] {
  return spans
    .filter((span) => touches([span], from, to))
    .map((span) => ({ from: Math.max(span.from, from), to: Math.min(span.to, to) }));
}

/** What a span has outside of merged others. */
export function without({ from, to }: Span, others: readonly Span[]): Span[] {
  const rest: Span[] = [];
  let since = from;
  for (const other of within(others, from, to)) {
    if (other.from > since) rest.push({ from: since, to: other.from });
    since = other.to;
  }
  return since < to ? [...rest, { from: since, to }] : rest;
}

export function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The first time, `need` or more after `from`, before which none of the merged spans had a part for so long. */
export function quietSince(spans: readonly Span[], from: number, need: number): number {
  let time = from + need;
  for (const span of spans) {
    if (span.to < time - need) continue;
    if (span.from > time) break;
    time = span.to + need;
  }
  return time;
}
