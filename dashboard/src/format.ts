/** Times and values for people to read. */

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const whole = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});
const number = new Intl.NumberFormat();

/** `14:02:11`, in this machine's time zone. */
export function formatClock(ms: number): string {
  return clock.format(ms);
}

/** With its date, for tooltips. */
export function formatMoment(ms: number): string {
  return whole.format(ms);
}

/** `12,345` */
export function formatNumber(value: number): string {
  return number.format(value);
}

/** `42 s`, `3 min`, `2 h 05`, `3 d 4 h`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `250 ms`, `5 s`, `10 min`, `2.5 h`. */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Number((ms / 1000).toFixed(1))} s`;
  if (ms < 7_200_000) return `${Number((ms / 60_000).toFixed(1))} min`;
  return `${Number((ms / 3_600_000).toFixed(1))} h`;
}

/** On one line; empty for null. Control and invisible characters are escaped: they could hide or reverse text. */
export function formatMeta(meta: unknown): string {
  return meta === null ? "" : printable(JSON.stringify(meta));
}

/** Characters that are invisible or reverse text, except those that make an emoji. As in src/cli/text.ts. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u2800]|(?!(?<=\p{ExtPict})\ufe0f)\p{DI}/gu;

export function printable(text: string): string {
  return text.replace(UNSEEN, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** As `printable`, except that line breaks stay. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** `web-1:4711` */
export function formatProcess({ host, pid }: { readonly host: string; readonly pid: number }): string {
  return `${printable(host)}:${pid}`;
}
