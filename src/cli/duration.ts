/** Lengths of time as a person writes and reads them. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5000`, `5000ms`, `5s`, `1.5m`, `1h` in ms; undefined for what is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
  const unit = UNITS[match?.[2] ?? "ms"];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

const pad = (many: number): string => String(Math.floor(many)).padStart(2, "0");

/** `250 ms`, `12.3 s`, `4 m 05 s`, `3 h 20 m`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const minutes = ms / 60_000;
  if (minutes < 60) return `${Math.floor(minutes)} m ${pad((ms / 1000) % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
}
