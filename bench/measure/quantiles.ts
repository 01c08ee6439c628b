/** What many figures come to. */

export interface Quantiles {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Of at least one figure. */
export function quantiles(figures: readonly number[]): Quantiles {
  if (figures.length === 0) throw new Error("there are no figures");
  const sorted = figures.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)]!;
  return { count: sorted.length, min: at(0), p50: at(0.5), p99: at(0.99), max: at(1) };
}

export function median(figures: readonly number[]): number {
  return quantiles(figures).p50;
}

/** How far the figures are apart, as a part of their median. */
export function spreadOf(figures: readonly number[]): number {
  const { min, p50, max } = quantiles(figures);
  return (max - min) / p50;
}

export interface PowerLaw {
  readonly factor: number;
  readonly exponent: number;
}

/** The law y = factor * x ^ exponent that fits best where both axes are logarithmic. */
export function fitPowerLaw(points: readonly { readonly x: number; readonly y: number }[]): PowerLaw {
  const logs = points
    .filter(({ x, y }) => x > 0 && y > 0)
    .map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    logs.reduce((sum, point) => sum + of(point), 0) / logs.length;
  const x = mean((point) => point.x);
  const y = mean((point) => point.y);
  const exponent = mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
  return { factor: Math.exp(y - exponent * x), exponent };
}
