/** Text for a terminal: a key or meta must neither break a line nor control the terminal. */
import { stripVTControlCharacters } from "node:util";
import type { Change } from "../core/change.ts";

export type Colour = "green" | "red" | "yellow" | "dim" | "bold";

/** Control and invisible characters, except those that turn the character before them into an emoji. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u2800]|(?!(?<=\p{ExtPict})\ufe0f)\p{DI}/gu;

/** The text with control and invisible characters written as escapes. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

/** The value as JSON without control characters: they are escaped, so that the parsed value is the same. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSEEN, (char) => {
    const units = Array.from({ length: char.length }, (_, at) => char.charCodeAt(at).toString(16));
    return units.map((unit) => `\\u${unit.padStart(4, "0")}`).join("");
  });
}

/** The text without the part between `//` and the last `@`, which in a connection string contains the password. */
export function withoutPasswords(text: string): string {
  return text.replace(/(\w:\/\/)\S*@/g, "$1***@");
}

/** The text of a file that a person made, without a byte order mark: in UTF-8, or UTF-16 as of Windows PowerShell. */
export function decodeText(bytes: Uint8Array): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(isUtf16 ? "utf-16le" : "utf-8").decode(bytes);
}

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60]/u;
const graphemes = new Intl.Segmenter();
const PLAIN = /^[ -~]*$/;

/** How many columns of a terminal the text takes. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length; // a hundred times as fast
  let width = 0;
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) {
    width += WIDE.test(segment) ? 2 : 1;
  }
  return width;
}

export function padEnd(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

/** More code units a column than readable text has. Longer text is truncated without measuring it. */
const UNITS_MAX = 16;

/** The text, truncated to the width with an ellipsis. */
export function clip(text: string, width: number): string {
  const head = text.slice(0, UNITS_MAX * width);
  if (head.length === text.length && widthOf(text) <= width) return text;
  let clipped = "";
  let taken = 1;
  for (const { segment } of graphemes.segment(head)) {
    taken += widthOf(segment);
    if (taken > width) break;
    clipped += segment;
  }
  return width < 1 ? "" : `${clipped}…`;
}

/** A column is no wider: a longer cell moves only the rest of its own row. */
const COLUMN_WIDTH_MAX = 60;

/** Rows as aligned columns, two spaces apart, nothing after the last; some of them aligned to the right. */
export function columns(
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.min(Math.max(widths[index] ?? 0, widthOf(cell)), COLUMN_WIDTH_MAX);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const padded = padEnd(cell, widths[index] ?? 0);
        return right.has(index) ? padded.slice(cell.length) + cell : padded;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** Whether a person may have written one for the other: in another case, or with one character more, fewer or other. */
export function isSimilar(a: string, b: string): boolean {
  const [x, y] = [Array.from(a.toLowerCase()), Array.from(b.toLowerCase())];
  if (a === b || Math.min(x.length, y.length) < 3 || Math.abs(x.length - y.length) > 1) return false;
  let start = 0;
  while (start < x.length && x[start] === y[start]) start++;
  let end = 0;
  while (end < Math.min(x.length, y.length) - start && x.at(-1 - end) === y.at(-1 - end)) end++;
  const [left, right] = [x.slice(start, x.length - end), y.slice(start, y.length - end)];
  const isSwapped = left.length === 2 && left.toReversed().join("") === right.join("");
  return (left.length <= 1 && right.length <= 1) || isSwapped;
}

/** `1 holder`, `2 holders`. */
export function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? "" : "s"}`;
}

/** A moment, to the second. */
export function formatTime(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}

export function formatMeta(meta: unknown): string {
  return meta === null || meta === undefined ? "-" : printable(JSON.stringify(meta));
}

/** The holders of a key: `host:pid`, and the meta if there is one. */
export function formatHolders(holders: Change["holders"]): string {
  return holders
    .map(({ host, pid, meta }) => `${printable(host)}:${pid}${meta === null ? "" : ` ${formatMeta(meta)}`}`)
    .join(", ");
}

const KEY_WIDTH_MAX = 40;

/** Formats a stream of changes: time, key, state, cause, holders. The column of keys grows as needed. */
export class ChangeLines {
  readonly #paint: (colour: Colour, text: string) => string;
  #keyWidth = 12;

  constructor(paint: (colour: Colour, text: string) => string) {
    this.#paint = paint;
  }

  line({ key, alive, at, cause, holders }: Change): string {
    const name = printable(key);
    this.#keyWidth = Math.min(Math.max(this.#keyWidth, widthOf(name)), KEY_WIDTH_MAX);
    const state = alive ? this.#paint("green", "alive") : this.#paint("red", "dead ");
    const cells = [at.toISOString(), padEnd(name, this.#keyWidth), state, padEnd(cause, 7)];
    return [...cells, formatHolders(holders)].join("  ").trimEnd();
  }
}
